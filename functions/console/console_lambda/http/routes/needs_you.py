"""The first page: what waits for a person."""

from datetime import timedelta
from typing import Any

from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.http.visitor import SignedIn, Visitor
from email_sender.kit.system_clock import now
from email_sender.security.permissions import Role

router = page_router()


@router.get("")
async def first_page(visitor: SignedIn) -> Response:
    if visitor.session.role is Role.OPERATOR:
        return visitor.go_to("/platform")
    return visitor.page("needs_you.html", seen="", **_waiting(visitor))


@router.get("/live/needs-you")
async def waiting(visitor: SignedIn) -> Response:
    return visitor.live("needs_you_live.html", **_waiting(visitor))


def _waiting(visitor: Visitor) -> dict[str, Any]:
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "answers": ("/messages/uncertain", {"limit": 20}),
        "unknown_emails": ("/emails", {"status": "unknown", "limit": 20}),
        "failed_runs": ("/runs", {"status": "failed", "limit": 10}),
    }
    if visitor.may("workflows:approve"):
        requests["approvals"] = ("/approvals", {"status": "pending", "limit": 50})
    week_ago = (now() - timedelta(days=7)).isoformat()
    found = dict(zip(requests, visitor.api.get_all(*requests.values()), strict=True))
    waiting = {name: found[name]["items"] if name in found else [] for name in (*requests, "approvals")}
    # Older failures are in the lists of the workflows; here they would stay for ever.
    waiting["failed_runs"] = [run for run in waiting["failed_runs"] if run["created_at"] > week_ago]
    return waiting
