"""Contacts: the list, one conversation, answers from it, and lists from and to spreadsheets."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn, Visitor
from console_lambda.own_workflows import ANSWER, ANSWER_TEMPLATE, template_named, workflow_named
from console_lambda.spreadsheets import UnreadableTable, contacts_as_csv, decode_table, read_contacts

router = page_router()
_SHOWN_EMAILS = 50
# Each request of the API brings 100, and the browser waits for all of them.
_MAX_EXPORTED = 5_000
_AT_ONCE = 1_000


@router.get("/contacts")
async def contacts(visitor: SignedIn, q: str = "", cursor: str = "") -> Response:
    page = visitor.api.get("/contacts", q=q.strip()[:200], cursor=cursor, limit=50)
    return visitor.page("contacts.html", page=page, q=q)


@router.post("/contacts")
async def add(visitor: SignedIn, form: SentForm) -> Response:
    body = {"email": form.text("email"), "name": form.text("name") or None}
    contact = visitor.api.post("/contacts", body, key=form.text("key"))
    return visitor.go_to(f"/contacts/{contact['id']}", "The contact is stored.")


@router.get("/contacts/import")
async def import_form(visitor: SignedIn) -> Response:
    return visitor.page("contacts_import.html", report=None, table="", problem=None)


@router.post("/contacts/import")
async def import_table(visitor: SignedIn, form: SentForm) -> Response:
    """Show what each line of the table would do, and do it when the person says so."""
    table = form.text("table") or decode_table(await form.file("file"))
    is_dry = not form.is_on("store")
    try:
        entries = read_contacts(table)
    except UnreadableTable as error:
        return visitor.page("contacts_import.html", code=422, report=None, table=table, problem=str(error))
    report: list[Mapping[str, Any]] = []
    for at in range(0, len(entries), _AT_ONCE):
        chunk = entries[at : at + _AT_ONCE]
        contacts = [entry.as_contact() for entry in chunk]
        answer = visitor.api.post("/contacts/bulk", {"contacts": contacts, "dry_run": is_dry})
        for entry, result in zip(chunk, answer["results"], strict=True):
            report.append({**result, "line": entry.line, "email": entry.email})
    added = sum(result["outcome"] == "added" for result in report)
    if is_dry:
        return visitor.page("contacts_import.html", report=report, table=table, problem=None, added=added)
    return visitor.go_to("/contacts", "1 contact was added." if added == 1 else f"{added} contacts were added.")


@router.get("/contacts/export")
async def export(visitor: SignedIn) -> Response:
    table = contacts_as_csv(visitor.api.items("/contacts", at_most=_MAX_EXPORTED))
    headers = {"content-disposition": 'attachment; filename="contacts.csv"'}
    return Response(table, media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/contacts/{contact_id}")
async def conversation(visitor: SignedIn, contact_id: UUID) -> Response:
    return visitor.page("conversation.html", seen="", problem=None, typed={}, **_conversation(visitor, contact_id))


@router.get("/live/contacts/{contact_id}")
async def live_conversation(visitor: SignedIn, contact_id: UUID) -> Response:
    return visitor.live("conversation_live.html", **_conversation(visitor, contact_id))


@router.post("/contacts/{contact_id}/answer")
async def answer(visitor: SignedIn, form: SentForm, contact_id: UUID) -> Response:
    """Send a mail through a run, which sends it once. Whoever may not send asks for an approval."""
    needs_approval = not visitor.may("messaging:send")
    subject = form.text("subject")
    expected = _conversation(visitor, contact_id)["subject"]
    if expected == f"Re: {subject}":
        # Their answer came while the page was open.
        subject = expected
    inputs = {
        "contact": str(contact_id),
        "subject": subject,
        "text": form.text("text"),
        "approval": needs_approval,
    }
    if form.text("follows"):
        inputs["follows"] = form.text("follows")
    try:
        template_named(visitor.api, ANSWER_TEMPLATE)
        workflow = workflow_named(visitor.api, ANSWER)
        visitor.api.post(f"/workflows/{workflow['id']}/execute", {"inputs": inputs}, key=form.text("key"))
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        values = {"problem": problem.detail, "typed": inputs, "seen": "", **_conversation(visitor, contact_id)}
        return visitor.page("conversation.html", code=422, **values)
    notice = "An admin must approve it first." if needs_approval else "The answer is being sent."
    return visitor.go_to(f"/contacts/{contact_id}", notice)


@router.post("/contacts/{contact_id}")
async def change(visitor: SignedIn, form: SentForm, contact_id: UUID) -> Response:
    stored = visitor.api.get(f"/contacts/{contact_id}")
    body = {"name": form.text("name") or None, "attributes": stored["attributes"]}
    visitor.api.put(f"/contacts/{contact_id}", body)
    return visitor.go_to(f"/contacts/{contact_id}", "The name is stored.")


@router.post("/contacts/{contact_id}/delete")
async def delete(visitor: SignedIn, contact_id: UUID) -> Response:
    visitor.api.delete(f"/contacts/{contact_id}")
    return visitor.go_to("/contacts", "The contact and its mail are deleted.")


@router.post("/messages/{message_id}/class")
async def classify(visitor: SignedIn, form: SentForm, message_id: UUID) -> Response:
    visitor.api.put(f"/messages/{message_id}/class", {"class": form.text("class")})
    return visitor.go_to("", "Your decision is stored.")


@router.post("/emails/{email_id}/settle")
async def settle(visitor: SignedIn, form: SentForm, email_id: UUID) -> Response:
    visitor.api.post(f"/emails/{email_id}/settle", {"decision": form.text("decision")})
    return visitor.go_to("", "Your decision is stored.")


def _conversation(visitor: Visitor, contact_id: UUID) -> dict[str, Any]:
    """Return the contact, and its messages and emails with the oldest first."""
    contact, messages, emails = visitor.api.get_all(
        (f"/contacts/{contact_id}", {}),
        (f"/contacts/{contact_id}/messages", {"limit": 50}),
        ("/emails", {"contact_id": str(contact_id), "limit": _SHOWN_EMAILS}),
    )
    drafts = {
        draft["id"]: draft for draft in visitor.api.get_by_id("/drafts", [one["draft_id"] for one in emails["items"]])
    }
    sent = {email["id"]: email["sent_at"] or email["created_at"] or "" for email in emails["items"]}
    entries = [
        {"at": sent[email["id"]], "email": email, "draft": drafts[email["draft_id"]]}
        for email in emails["items"]
        if email["draft_id"] in drafts
    ]
    # An answer comes after what it answers, whatever the clock of its sender said.
    entries += [
        {"at": max(message["sent_at"] or "", sent.get(message["answers_email_id"], "")), "message": message}
        for message in messages["items"]
    ]
    entries.sort(key=lambda entry: entry["at"])
    last = next((email for email in emails["items"] if email["provider_message_id"]), None)
    # Of our own last email, whose conversation an answer continues.
    ours = [entry["draft"]["subject"] for entry in entries if "draft" in entry]
    theirs = [entry["message"]["subject"] for entry in entries if "message" in entry]
    subject = (ours or theirs or [""])[-1]
    # A second mail to somebody who has not answered is no answer.
    answers = bool(entries) and "message" in entries[-1]
    return {
        "contact": contact,
        "entries": entries,
        "answers": answers,
        "has_more": bool(messages["next_cursor"] or emails["next_cursor"]),
        "follows": last["id"] if last else "",
        "subject": f"Re: {subject}" if answers and subject and not subject.lower().startswith("re:") else subject,
        "attributes": json.dumps(contact["attributes"], ensure_ascii=False, indent=1) if contact["attributes"] else "",
    }
