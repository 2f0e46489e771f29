"""Addresses that get no mail."""

from urllib.parse import quote

from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn

router = page_router()


@router.get("/suppressions")
async def suppressions(visitor: SignedIn, cursor: str = "") -> Response:
    return visitor.page("suppressions.html", page=visitor.api.get("/suppressions", cursor=cursor, limit=50))


@router.post("/suppressions")
async def add(visitor: SignedIn, form: SentForm) -> Response:
    visitor.api.post("/suppressions", {"email": form.text("email")})
    return visitor.go_to("/suppressions", "The address gets no more mail.")


@router.post("/suppressions/remove")
async def remove(visitor: SignedIn, form: SentForm) -> Response:
    visitor.api.delete(f"/suppressions/{quote(form.text('email'), safe='')}")
    return visitor.go_to("/suppressions", "The address can get mail again.")
