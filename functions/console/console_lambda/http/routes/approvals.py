"""Approve drafts: the evidence beside the text, edits before the decision, and the decision."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.outcomes import counts_of, is_settled, outcomes_of
from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn, Visitor
from email_sender.kit.system_clock import now

router = page_router()
_REPORTS_COME_WITHIN = timedelta(minutes=10)


@router.get("/approvals")
async def approvals(visitor: SignedIn, status: str = "pending", cursor: str = "") -> Response:
    page = visitor.api.get("/approvals", status=status if status != "all" else None, limit=50, cursor=cursor)
    return visitor.page("approvals.html", page=page, status=status)


@router.get("/approvals/{approval_id}")
async def approval(visitor: SignedIn, approval_id: UUID) -> Response:
    shown = visitor.api.get(f"/approvals/{approval_id}")
    return visitor.page(
        "approval.html",
        seen="",
        **_state(visitor, shown),
        drafts=_with_evidence(visitor, [draft["draft_id"] for draft in shown["drafts"]]),
        left_out={draft["draft_id"] for draft in shown["drafts"] if draft["left_out"]},
    )


@router.get("/live/approvals/{approval_id}")
async def live_approval(visitor: SignedIn, approval_id: UUID) -> Response:
    return visitor.live("approval_live.html", **_state(visitor, visitor.api.get(f"/approvals/{approval_id}")))


def _state(visitor: Visitor, approval: Mapping[str, Any]) -> dict[str, Any]:
    """Return an approval, and what became of its emails. They are settled when no report can change them soon."""
    of_run = outcomes_of(visitor, approval["run_id"]) if approval["status"] == "approved" else []
    drafts = {draft["draft_id"] for draft in approval["drafts"]}
    outcomes = [outcome for outcome in of_run if outcome.draft_id in drafts]
    decided_at = approval["decided_at"]
    is_old = decided_at is not None and now() - datetime.fromisoformat(decided_at) > _REPORTS_COME_WITHIN
    settled = is_old or (len(outcomes) == len(drafts) and is_settled(outcomes))
    return {"approval": approval, "outcomes": outcomes, "counts": counts_of(outcomes), "settled": settled}


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
        body = {
            "decision": decision,
            "comment": comment or None,
            "leave_out": leave_out,
            "seen": dict(zip(form.texts("seen_draft"), form.texts("seen_hash"), strict=False)),
        }
        visitor.api.post(f"/approvals/{approval_id}", body)
    except ApiProblem as problem:
        if problem.status not in (409, 422):
            raise
        back = f"/approvals/{approval_id}"
        return visitor.page("problem.html", code=422, title="Not approved", detail=problem.detail, back=back)
    is_approved = decision == "approved"
    notice = "Approved. The table shows what becomes of each email." if is_approved else "Denied: nothing is sent."
    return visitor.go_to(f"/approvals/{approval_id}", notice)


@router.get("/approvals/{approval_id}/drafts/{draft_id}")
async def draft(visitor: SignedIn, approval_id: UUID, draft_id: UUID) -> Response:
    shown = _one_with_evidence(visitor, draft_id)
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
        shown = _one_with_evidence(visitor, draft_id)
        shown = {**shown, "draft": {**shown["draft"], **{name: body[name] for name in ("subject", "text", "html")}}}
        return visitor.page(
            "draft.html", code=problem.status, approval_id=approval_id, shown=shown, problem=problem.detail
        )
    return visitor.go_to(f"/approvals/{approval_id}", "Your text is stored. It is what will be approved.")


def _one_with_evidence(visitor: Visitor, draft_id: UUID) -> Mapping[str, Any]:
    found = _with_evidence(visitor, [str(draft_id)])
    if not found:
        raise ApiProblem(404, {"detail": "The draft does not exist any more: its contact was deleted."})
    return found[0]


def _with_evidence(visitor: Visitor, draft_ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Return each draft with its contact and the messages that it refers to."""
    drafts = visitor.api.get_by_id("/drafts", draft_ids)
    by_contact = {one["id"]: one for one in visitor.api.get_by_id("/contacts", [one["contact_id"] for one in drafts])}
    evidence = [message for draft in drafts for message in draft["evidence"]]
    by_message = {message["id"]: message for message in visitor.api.get_by_id("/messages", evidence)}
    return [
        {
            "draft": draft,
            "contact": by_contact.get(draft["contact_id"]),
            "evidence": [by_message[message] for message in draft["evidence"] if message in by_message],
        }
        for draft in drafts
    ]
