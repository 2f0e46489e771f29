"""The tenant's own matters: members and their roles, quotas, keys and retention."""

from urllib.parse import quote

from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn

router = page_router()
ROLES = ("readonly", "user", "admin")


@router.get("/tenant")
async def tenant(visitor: SignedIn) -> Response:
    own, members, keys, kept = visitor.api.get_all(
        ("/tenants/me", {}), ("/members", {"limit": 60}), ("/keys", {}), ("/retention", {})
    )
    return visitor.page(
        "tenant.html",
        tenant=own,
        members=members["items"],
        keys=keys["items"],
        kept=kept,
        roles=ROLES,
        me=visitor.session.claims,
    )


@router.post("/tenant/members")
async def invite(visitor: SignedIn, form: SentForm) -> Response:
    body = {"email": form.text("email"), "role": form.text("role")}
    visitor.api.post("/members", body, key=form.text("key"))
    return visitor.go_to("/tenant", f"An invitation was sent to {body['email']}.")


@router.post("/tenant/members/{member_id}")
async def change_role(visitor: SignedIn, form: SentForm, member_id: str) -> Response:
    visitor.api.put(f"/members/{quote(member_id, safe='')}", {"role": form.text("role")})
    return visitor.go_to("/tenant", "The role is changed. It takes effect within an hour.")


@router.post("/tenant/members/{member_id}/remove")
async def remove(visitor: SignedIn, member_id: str) -> Response:
    visitor.api.delete(f"/members/{quote(member_id, safe='')}")
    return visitor.go_to("/tenant", "The member is removed.")


@router.post("/tenant/members/{member_id}/second-factor")
async def reset_second_factor(visitor: SignedIn, member_id: str) -> Response:
    visitor.api.delete(f"/members/{quote(member_id, safe='')}/second-factor")
    return visitor.go_to("/tenant", "The authenticator app is removed.")


@router.post("/tenant/retention")
async def change_retention(visitor: SignedIn, form: SentForm) -> Response:
    """Store for how many days data is kept; an empty field keeps it."""
    typed = {kind: form.text(kind) for kind in ("messages", "runs")}
    if not all(text.isdecimal() for text in typed.values() if text):
        detail = "Give whole numbers of days. An empty field keeps the data for good."
        return visitor.page("problem.html", code=422, title="Nothing is changed", detail=detail, back="/tenant")
    visitor.api.put("/retention", {kind: int(text) if text else None for kind, text in typed.items()})
    return visitor.go_to("/tenant", "Stored. What is older is deleted within a day.")


@router.post("/tenant/keys/rotate")
async def rotate(visitor: SignedIn) -> Response:
    visitor.api.post("/keys/rotate")
    return visitor.go_to("/tenant", "A new key is made. Stored data is encrypted with it in the background.")
