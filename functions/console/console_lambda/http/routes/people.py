"""Find people with one sentence, write the email to those who are chosen, and have its drafts made."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import Form, SentForm, SignedIn, Visitor
from console_lambda.own_workflows import ANSWER_TEMPLATE, WRITE_TO_PEOPLE, takes_people, workflow_named
from email_sender.kit.system_clock import now

router = page_router()
_PEOPLE = (5, 10, 20, 50)
_FIRST_TEXT: Final = """\
Hello {{ contact.first_name }},

You wrote about “{{ evidence[0].topic }}” on {{ evidence[0].date }}.

"""
_LAST_LINE: Final = "\n\n--\nNo more mail from us: {{ unsubscribe_url }}"
# What a template's name cannot have.
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9 _.-]+")


@dataclass(frozen=True, slots=True)
class Letter:
    """What somebody wrote and chose on the page so far. An empty `template` is the email of `subject` and `text`."""

    chosen: Collection[str] = ()
    template: str = ""
    workflow: str = ""
    subject: str = ""
    text: str = _FIRST_TEXT
    problems: Sequence[Mapping[str, str]] = field(default_factory=list)


@router.get("/find")
async def find(visitor: SignedIn, q: str = "", limit: int = 10, weak: bool = False) -> Response:
    return _page(visitor, q, limit, weak, Letter())


@router.post("/find/start")
async def start(visitor: SignedIn, form: SentForm) -> Response:
    """Start a run for the chosen people. `people` are JSON: a contact, and the messages that prove the choice."""
    try:
        people = [json.loads(entry) for entry in form.texts("people")]
    except ValueError:
        people = []
    if not people:
        return _again(
            visitor, form, people, [{"pointer": "", "message": "Nobody is chosen. Choose at least one person."}]
        )
    title = form.text("title")[:200]
    template = form.text("template")
    try:
        if not template:
            template = _stored_email(visitor, form, title)
        workflow_id = form.text("workflow") or workflow_named(visitor.api, WRITE_TO_PEOPLE)["id"]
        inputs = {"people": people, "template": template, "title": title}
        run = visitor.api.post(f"/workflows/{workflow_id}/execute", {"inputs": inputs}, key=form.text("key"))
    except ApiProblem as problem:
        if problem.status not in (409, 422):
            raise
        return _again(visitor, form, people, problem.errors, template)
    return visitor.go_to(f"/runs/{run['id']}?then=approve")


def _stored_email(visitor: Visitor, form: Form, title: str) -> str:
    """Store the email of the form as a template, and return its name, which says what it was for."""
    key = form.text("key")
    about = _NOT_IN_NAMES.sub(" ", title).strip(" ._-")[:60] or "Email"
    # What somebody typed below the lines that were there may leave a hole.
    text = re.sub(r"\n{3,}", "\n\n", form.text("text"))
    if text and "unsubscribe_url" not in text:
        text += _LAST_LINE
    body = {"name": f"{about} {now():%Y-%m-%d} {key[:8]}", "subject": form.text("subject"), "body_text": text}
    return str(visitor.api.post("/templates", body, key=f"{key}-template" if key else "")["name"])


def _again(
    visitor: Visitor,
    form: Form,
    people: Sequence[Mapping[str, Any]],
    problems: Sequence[Mapping[str, str]],
    template: str = "",
) -> Response:
    """Show the search again with what was chosen and written, and what is wrong with it.

    `template` is the email, if it is stored already.
    """
    letter = Letter(
        {str(person.get("contact")) for person in people},
        template or form.text("template"),
        form.text("workflow"),
        form.text("subject"),
        form.text("text"),
        problems,
    )
    return _page(visitor, form.text("title"), form.number("limit") or 10, form.is_on("weak"), letter)


def _page(visitor: Visitor, question: str, limit: int, weak: bool, letter: Letter) -> Response:
    question = question.strip()
    found: Mapping[str, Any] = {}
    workflows: Sequence[Any] = ()
    templates: Sequence[Any] = ()
    if question:
        search = {
            "collection": "message_vectors",
            "text": question[:2_000],
            "limit": min(max(limit, 1), 50),
            "group_by": "contact",
            "group_size": 3,
            "weak_matches": weak,
        }
        found = visitor.api.post("/vectors/search", search)
        if visitor.may("workflows:execute"):
            workflows = [
                one
                for one in visitor.api.items("/workflows")
                if one["status"] == "active" and takes_people(one["definition"])
            ]
            templates = [one for one in visitor.api.items("/templates") if one["name"] != ANSWER_TEMPLATE["name"]]
    groups = found.get("groups") or []
    return visitor.page(
        "find.html",
        code=422 if letter.problems else 200,
        question=question,
        limit=limit,
        weak=weak,
        sizes=_PEOPLE,
        groups=groups,
        people={str(group["key"]): _person(group) for group in groups},
        letter=letter,
        problems=letter.problems,
        nobody=found.get("nobody"),
        period=found.get("period"),
        contacts=_contacts(visitor, [str(group["key"]) for group in groups]),
        workflows=workflows,
        templates=templates,
    )


def _person(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a workflow gets of somebody: `evidence` names messages, `quotes` also the passages that matched."""
    hits = group["hits"]
    passages = {hit["id"]: (hit.get("message") or {}).get("passage") for hit in hits}
    quotes = [
        {"id": place, **({"passage": {name: passage[name] for name in ("start", "end")}} if passage else {})}
        for place, passage in passages.items()
    ]
    return {"contact": group["key"], "evidence": [hit["id"] for hit in hits], "quotes": quotes}


def _contacts(visitor: Visitor, ids: Sequence[str]) -> Mapping[str, Any]:
    if not ids:
        return {}
    listed = visitor.api.get("/contacts", id=list(ids), limit=100)
    return {contact["id"]: contact for contact in listed["items"]}
