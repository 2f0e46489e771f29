"""Webhooks: where events go, what became of each, tests, replays and new secrets."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import Form, SentForm, SignedIn, Visitor

router = page_router()


@router.get("/webhooks")
async def webhooks(visitor: SignedIn) -> Response:
    return _page(visitor, {}, "")


@router.post("/webhooks")
async def add(visitor: SignedIn, form: SentForm) -> Response:
    body = _body(form)
    try:
        created = visitor.api.post("/webhooks", body, key=form.text("key"))
    except ApiProblem as problem:
        if problem.status not in (409, 422):
            raise
        return _page(visitor, body, problem.detail)
    # The only time that the secret can be read.
    return visitor.page("webhook_secret.html", webhook_id=created["id"], secret=created["secret"], previous_ends=None)


@router.get("/webhooks/{webhook_id}")
async def webhook(visitor: SignedIn, webhook_id: UUID, state: str = "", cursor: str = "") -> Response:
    return visitor.page("webhook.html", seen="", problem="", **_webhook(visitor, webhook_id, state, cursor))


@router.get("/live/webhooks/{webhook_id}")
async def live_webhook(visitor: SignedIn, webhook_id: UUID, state: str = "", cursor: str = "") -> Response:
    return visitor.live("webhook_live.html", **_webhook(visitor, webhook_id, state, cursor))


@router.post("/webhooks/{webhook_id}")
async def change(visitor: SignedIn, form: SentForm, webhook_id: UUID) -> Response:
    body = _body(form)
    try:
        visitor.api.put(f"/webhooks/{webhook_id}", body)
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        shown = _webhook(visitor, webhook_id, "", "")
        shown["webhook"] = {**shown["webhook"], **body}
        return visitor.page("webhook.html", code=422, seen="", problem=problem.detail, **shown)
    return visitor.go_to(f"/webhooks/{webhook_id}", "The webhook is changed.")


@router.post("/webhooks/{webhook_id}/test")
async def send_test(visitor: SignedIn, webhook_id: UUID) -> Response:
    visitor.api.post(f"/webhooks/{webhook_id}/test")
    return visitor.go_to(f"/webhooks/{webhook_id}", "A test event is sent within a minute.")


@router.post("/webhooks/{webhook_id}/replay")
async def replay(visitor: SignedIn, form: SentForm, webhook_id: UUID) -> Response:
    ids: Sequence[str] = form.texts("id")
    answer = visitor.api.post(f"/webhooks/{webhook_id}/replay", {"ids": ids} if ids else {})
    return visitor.go_to(f"/webhooks/{webhook_id}", f"Sent again within a minute: {answer['deliveries']}.")


@router.post("/webhooks/{webhook_id}/secret")
async def rotate(visitor: SignedIn, webhook_id: UUID) -> Response:
    answer = visitor.api.post(f"/webhooks/{webhook_id}/secret")
    return visitor.page("webhook_secret.html", webhook_id=webhook_id, **answer)


@router.post("/webhooks/{webhook_id}/delete")
async def delete(visitor: SignedIn, webhook_id: UUID) -> Response:
    visitor.api.delete(f"/webhooks/{webhook_id}")
    return visitor.go_to("/webhooks", "The webhook is deleted.")


def _page(visitor: Visitor, typed: dict[str, Any], problem: str) -> Response:
    listed = visitor.api.get("/webhooks")["items"]
    return visitor.page("webhooks.html", code=422 if problem else 200, webhooks=listed, typed=typed, problem=problem)


def _webhook(visitor: Visitor, webhook_id: UUID, state: str, cursor: str) -> dict[str, Any]:
    shown, deliveries = visitor.api.get_all(
        (f"/webhooks/{webhook_id}", {}),
        (f"/webhooks/{webhook_id}/deliveries", {"state": state, "cursor": cursor, "limit": 50}),
    )
    return {"webhook": shown, "deliveries": deliveries, "state": state, "cursor": cursor}


def _body(form: Form) -> dict[str, Any]:
    return {"url": form.text("url"), "types": form.text("types").replace(",", " ").split()}
