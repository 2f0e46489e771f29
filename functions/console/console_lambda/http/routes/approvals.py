"""Approve drafts: the evidence beside the text, edits before the decision, and the decision."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn, Visitor

router = page_router()
_SHOWN_AT_ONCE = 100


@router.get("/approvals")
async def approvals(visitor: SignedIn, status: str = "pending", cursor: str = "") -> Response:
    page = visitor.api.get("/approvals", status=status if status != "all" else None, limit=50, cursor=cursor)
    return visitor.page("approvals.html", page=page, status=status)


@router.get("/approvals/{approval_id}")
async def approval(visitor: SignedIn, approval_id: UUID, start: int = 0) -> Response:
    shown = visitor.api.get(f"/approvals/{approval_id}")
    drafts = shown["drafts"][max(start, 0) : max(start, 0) + _SHOWN_AT_ONCE]
    return visitor.page(
        "approval.html",
        approval=shown,
        drafts=_with_evidence(visitor, [draft["draft_id"] for draft in drafts]),
        left_out={draft["draft_id"] for draft in shown["drafts"] if draft["left_out"]},
        start=max(start, 0),
        per_page=_SHOWN_AT_ONCE,
    )


@router.post("/approvals/{approval_id}")
async def decide(visitor: SignedIn, form: SentForm, approval_id: UUID) -> Response:
    decision, comment = form.text("decision"), form.text("comment")
    if decision == "denied" and not comment:
        detail = "Say why, so that whoever wrote the drafts can do better."
        return visitor.page(
            "problem.html", code=422, title="A reason is missing", detail=detail, back=f"/approvals/{approval_id}"
        )
    leave_out = form.texts("leave_out") if decision == "approved" else []
    try:
        visitor.api.post(
            f"/approvals/{approval_id}", {"decision": decision, "comment": comment or None, "leave_out": leave_out}
        )
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        back = f"/approvals/{approval_id}"
        return visitor.page("problem.html", code=422, title="Not approved", detail=problem.detail, back=back)
    notice = "Approved: the emails are being sent." if decision == "approved" else "Denied: nothing is sent."
    return visitor.go_to(f"/approvals/{approval_id}", notice)


@router.get("/approvals/{approval_id}/drafts/{draft_id}")
async def draft(visitor: SignedIn, approval_id: UUID, draft_id: UUID) -> Response:
    (shown,) = _with_evidence(visitor, [str(draft_id)])
    return visitor.page("draft.html", approval_id=approval_id, shown=shown, problem=None)


@router.post("/approvals/{approval_id}/drafts/{draft_id}")
async def edit(visitor: SignedIn, form: SentForm, approval_id: UUID, draft_id: UUID) -> Response:
    body = {
        "subject": form.text("subject"),
        "text": form.text("text"),
        "html": form.text("html") or None,
        "sha256": form.text("sha256"),
    }
    try:
        visitor.api.put(f"/drafts/{draft_id}", body)
    except ApiProblem as problem:
        if problem.status not in (409, 422):
            raise
        (shown,) = _with_evidence(visitor, [str(draft_id)])
        shown = {**shown, "draft": {**shown["draft"], **{name: body[name] for name in ("subject", "text", "html")}}}
        return visitor.page(
            "draft.html", code=problem.status, approval_id=approval_id, shown=shown, problem=problem.detail
        )
    return visitor.go_to(f"/approvals/{approval_id}", "Your text is stored. It is what will be approved.")


def _with_evidence(visitor: Visitor, draft_ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Return each draft with its contact and the messages that it refers to."""
    drafts = visitor.api.get_all(*[(f"/drafts/{draft_id}", {}) for draft_id in draft_ids])
    contact_ids = list(dict.fromkeys(draft["contact_id"] for draft in drafts))
    message_ids = list(dict.fromkeys(message for draft in drafts for message in draft["evidence"]))
    requests: list[tuple[str, dict[str, Any]]] = [("/contacts", {"id": contact_ids, "limit": 100})]
    requests += [("/messages", {"id": message_ids[at : at + 100]}) for at in range(0, len(message_ids), 100)]
    contacts, *messages = visitor.api.get_all(*requests) if contact_ids else [{"items": []}]
    by_contact = {contact["id"]: contact for contact in contacts["items"]}
    by_message = {message["id"]: message for page in messages for message in page["items"]}
    return [
        {
            "draft": draft,
            "contact": by_contact.get(draft["contact_id"]),
            "evidence": [by_message[message] for message in draft["evidence"] if message in by_message],
        }
        for draft in drafts
    ]
