"""The commands. Each has `--json` for programs."""

import json
import time
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from email_sender_client import models
from email_sender_client.cli import store
from email_sender_client.cli.output import notes, print_json, print_note, print_table, print_text
from email_sender_client.client import Client
from email_sender_client.errors import ApiError, CodeNeeded

app = typer.Typer(
    name="email-sender",
    help="Find people in a mail archive, write to them, and act on their answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
# Seconds between two looks at new events.
_LOOK = 2.0


def _client() -> Client:
    stored = store.load()
    return Client(stored.url, stored.session, session_changed=lambda session: store.save(stored.url, session))


@app.command()
def login(
    url: Annotated[str, typer.Argument(help="Where the platform runs, such as http://127.0.0.1:8080.")],
    user: Annotated[str, typer.Option(prompt=True, help="Your user name or email address.")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, envvar="EMAIL_SENDER_PASSWORD")],
    code: Annotated[str | None, typer.Option(help="A code of your authenticator app.")] = None,
) -> None:
    """Sign in. The session is stored until `logout`, in a file that only you can read."""
    with Client(url) as client:
        try:
            session = client.open_session(user, password, code=code)
        except CodeNeeded:
            session = client.open_session(user, password, code=typer.prompt("Code of your authenticator app"))
    store.save(url, session)
    notes.print(f"Signed in at {url}.", highlight=False)


@app.command()
def logout() -> None:
    """Sign out, and end the session at the platform."""
    stored = store.load()
    try:
        if stored.session.refresh_token:
            with Client(stored.url) as client:
                client.sign_out({"refresh_token": stored.session.refresh_token})
    finally:
        store.forget()


@app.command("import")
def import_mailbox(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A mailbox file (mbox).")],
    as_json: Json = False,
) -> None:
    """Import a mail archive, and wait until it is searchable."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with _client() as client:
        with Progress(*columns, console=notes, transient=True) as bars:
            bar = bars.add_task("Uploading", total=path.stat().st_size)
            import_id = client.upload_mailbox(path, progress=lambda sent, _: bars.update(bar, completed=sent))
        with notes.status("Reading …") as status:
            done = client.wait_for_import(
                import_id,
                progress=lambda state: status.update(f"Reading: {state.progress.messages:,} messages …"),
            )
        if as_json:
            print_json(done)
        else:
            counts = done.progress
            print_text(
                f"{done.status}: {counts.stored:,} messages stored, {counts.duplicates:,} were there already, "
                f"{counts.failed:,} could not be read. Import {done.id}"
            )
            if done.error:
                print_text(done.error, "red")
    if done.status == "failed":
        raise typer.Exit(1)


@app.command()
def find(
    question: Annotated[str, typer.Argument(help='One sentence, such as "who has trouble with a printer?"')],
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many people.")] = 10,
    as_json: Json = False,
) -> None:
    """Find the people to write to, each with the passage that proves it."""
    with _client() as client:
        people = client.find_people(question, limit=limit)
    if as_json:
        print_json([{"contact": contact, **_plain_group(group)} for contact, group in people])
        return
    if not people:
        print_text("Nobody in the archive matches.")
        return
    rows = []
    for contact, group in people:
        message = group.hits[0].message
        passage = " ".join(message.passage.text.split()) if message and message.passage else ""
        suppressed = f" (gets no mail: {contact.suppressed})" if contact.suppressed else ""
        rows.append((f"{group.score:.2f}", f"{contact.name or ''} <{contact.email}>{suppressed}", passage, contact.id))
    print_table(("score", "person", "passage", "contact"), rows)


def _plain_group(group: models.Group) -> dict[str, Any]:
    return {"score": group.score, "reason": group.reason, "messages": group.hits}


@app.command()
def run(
    workflow: Annotated[str, typer.Argument(help="The id of a workflow, or a file with a definition (YAML).")],
    inputs: Annotated[list[str] | None, typer.Option("--input", "-i", help="name=value; a value may be JSON.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the run ends or needs an approval.")] = True,
    as_json: Json = False,
) -> None:
    """Start a workflow, and follow it until it ends or needs an approval."""
    values = dict(_input(text) for text in inputs or ())
    with _client() as client:
        workflow_id = workflow
        if Path(workflow).is_file():
            workflow_id = _publish(client, Path(workflow).read_text())
            notes.print(f"Published as workflow {workflow_id}.", highlight=False)
        started = client.start_run(workflow_id, models.ExecuteIn(inputs=values))
        state: models.Run | models.RunDetail = started
        if wait:
            with notes.status(f"Run {started.id} …"):
                state = client.wait_for_run(started.id, until_waiting=True)
        pending = _approvals_of(client, started.id) if state.status == "waiting" else []
    if as_json:
        print_json({"run": state, "approvals": pending})
    else:
        print_text(f"Run {state.id}: {state.status}")
        for step in state.steps or [] if isinstance(state, models.RunDetail) else []:
            if step.item is None:
                print_text(f"  {step.step}: {step.status}")
        for approval in pending:
            print_text(f"It waits for an approval: email-sender approve {approval.id}")
        if state.status == "waiting" and not pending:
            print_text("It waits: for a time, an answer, or an approval by somebody who may approve.")
        if state.error:
            print_text(json.dumps(state.error, ensure_ascii=False), "red")
    if state.status in ("failed", "cancelled", "timed_out"):
        raise typer.Exit(1)


def _publish(client: Client, definition: str) -> str:
    """Store a workflow, or a new version of the one with this name, and return its id."""
    name = client.validate_workflow({"definition": definition}).name
    for workflow in client.iterate_workflows():
        if workflow.name == name:
            return str(client.update_workflow(workflow.id, {"definition": definition}).id)
    return str(client.create_workflow({"definition": definition}).id)


def _approvals_of(client: Client, run_id: UUID) -> list[models.Approval]:
    """Return what waits for an approval in a run; nothing for somebody who may not approve."""
    try:
        return [approval for approval in client.iterate_approvals(status="pending") if approval.run_id == run_id]
    except ApiError as error:
        if error.status == httpx.codes.FORBIDDEN:
            return []
        raise


def _input(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"{text!r} is not name=value.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@app.command()
def approve(
    approval_id: Annotated[str | None, typer.Argument(help="Without it, the open approvals are listed.")] = None,
    deny: Annotated[bool, typer.Option("--deny", help="Deny instead.")] = False,
    comment: Annotated[str | None, typer.Option(help="Why; the comment is kept with the decision.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """List the open approvals, or show the drafts of one and decide."""
    with _client() as client:
        if approval_id is None:
            _list_approvals(list(client.iterate_approvals(status="pending")), as_json)
            return
        approval = client.get_approval(approval_id)
        ids = [str(draft.draft_id) for draft in approval.drafts]
        # At most 100 ids in one request.
        drafts = [draft for at in range(0, len(ids), 100) for draft in client.list_drafts(ids[at : at + 100]).items]
        if not yes:
            for draft in drafts:
                print_note(f"{draft.subject}\n", "bold")
                print_note(draft.text)
                notes.rule()
            question = f"{'Deny' if deny else 'Approve'} “{approval.title}” with {len(drafts)} drafts?"
            typer.confirm(question, abort=True, err=True)
        # Only the texts that were shown are approved: one that changes meanwhile is refused.
        seen = {str(draft.id): draft.sha256 for draft in drafts}
        decision = "denied" if deny else "approved"
        decided = client.decide_approval(approval_id, {"decision": decision, "comment": comment, "seen": seen})
    if as_json:
        print_json(decided)
    else:
        print_text(f"{decided.title}: {decided.status}")


def _list_approvals(approvals: list[models.Approval], as_json: bool) -> None:
    if as_json:
        print_json(approvals)
    elif not approvals:
        print_text("Nothing waits for an approval.")
    else:
        rows = [(item.id, item.title, len(item.drafts), f"{item.expires_at:%Y-%m-%d %H:%M}") for item in approvals]
        print_table(("approval", "title", "drafts", "expires (UTC)"), rows)


@app.command()
def tail(
    type: Annotated[str | None, typer.Option(help="Only events of this type, such as email.replied.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=200, help="Events before now.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with new events.")] = True,
    as_json: Json = False,
) -> None:
    """Print events as they happen: sent, delivered, answered, bounced."""
    with _client() as client:
        known = client.list_events(type=type, limit=200).items
        _print_events(reversed(known[:lines]), as_json)
        while follow:
            time.sleep(_LOOK)
            fresh = _new_events(client, type, {event.id for event in known})
            _print_events(reversed(fresh), as_json)
            known = [*fresh, *known][:200]


def _new_events(client: Client, type: str | None, known: set[UUID]) -> list[models.Event]:
    return list(takewhile(lambda event: event.id not in known, client.iterate_events(type=type)))


def _print_events(events: Iterable[models.Event], as_json: bool) -> None:
    for event in events:
        if as_json:
            print_json(event)
        else:
            about = event.correlation_id or event.aggregate_id or ""
            print_text(f"{event.occurred_at:%H:%M:%S}  {event.type:28}  {about}")
