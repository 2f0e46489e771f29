"""The tenants of the platform, for operators: create, invite, limit, suspend and delete them."""

from uuid import UUID

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn

router = page_router()
PATH = "/platform/tenants"
# What the API refuses because of what was typed.
_TYPED_WRONGLY = (400, 409, 422)


@router.get(PATH)
async def tenants(visitor: SignedIn, cursor: str = "") -> Response:
    page = visitor.api.get("/tenants", cursor=cursor, limit=50)
    return visitor.page("tenants.html", tenants=page["items"], next_cursor=page["next_cursor"], typed={}, problems=[])


@router.post(PATH)
async def create(visitor: SignedIn, form: SentForm) -> Response:
    typed = {"name": form.text("name"), "sender": form.text("sender")}
    try:
        tenant = visitor.api.post("/tenants", typed, key=form.text("key"))
    except ApiProblem as problem:
        if problem.status not in _TYPED_WRONGLY:
            raise
        page = visitor.api.get("/tenants", limit=50)
        values = {"tenants": page["items"], "next_cursor": page["next_cursor"]}
        return visitor.page("tenants.html", code=422, typed=typed, problems=problem.errors, **values)
    return visitor.go_to(f"{PATH}/{tenant['id']}", "The tenant is created. Invite its first admin.")


@router.get(PATH + "/{tenant_id}")
async def tenant(visitor: SignedIn, tenant_id: UUID) -> Response:
    shown, quotas = visitor.api.get_all((f"/tenants/{tenant_id}", {}), (f"/tenants/{tenant_id}/quotas", {}))
    return visitor.page("tenant_of_platform.html", tenant=shown, quotas=quotas["items"])


@router.post(PATH + "/{tenant_id}/admins")
async def invite(visitor: SignedIn, form: SentForm, tenant_id: UUID) -> Response:
    email = form.text("email")
    visitor.api.post(f"/tenants/{tenant_id}/admins", {"email": email}, key=form.text("key"))
    return visitor.go_to(f"{PATH}/{tenant_id}", f"An invitation was sent to {email}.")


@router.post(PATH + "/{tenant_id}/quotas")
async def set_quota(visitor: SignedIn, form: SentForm, tenant_id: UUID) -> Response:
    """Set one quota; an empty field is the default."""
    quota, allowed = form.text("quota"), form.text("allowed")
    if allowed and not allowed.isdecimal():
        return _problem(visitor, tenant_id, "The quota is not changed", "A quota is a whole number, or nothing.")
    visitor.api.put(f"/tenants/{tenant_id}/quotas/{quota}", {"allowed": int(allowed) if allowed else None})
    return visitor.go_to(f"{PATH}/{tenant_id}", "The quota is changed.")


@router.post(PATH + "/{tenant_id}/suspend")
async def suspend(visitor: SignedIn, tenant_id: UUID) -> Response:
    visitor.api.post(f"/tenants/{tenant_id}/suspend")
    return visitor.go_to(f"{PATH}/{tenant_id}", "The tenant is suspended.")


@router.post(PATH + "/{tenant_id}/resume")
async def resume(visitor: SignedIn, tenant_id: UUID) -> Response:
    visitor.api.post(f"/tenants/{tenant_id}/resume")
    return visitor.go_to(f"{PATH}/{tenant_id}", "The tenant is active again.")


@router.post(PATH + "/{tenant_id}/delete")
async def delete(visitor: SignedIn, form: SentForm, tenant_id: UUID) -> Response:
    try:
        visitor.api.post(f"/tenants/{tenant_id}/delete", {"name": form.text("name")})
    except ApiProblem as problem:
        if problem.status not in _TYPED_WRONGLY:
            raise
        return _problem(visitor, tenant_id, "The tenant is not deleted", problem.detail)
    return visitor.go_to(f"{PATH}/{tenant_id}", "The tenant is suspended, and deleted in seven days.")


def _problem(visitor: SignedIn, tenant_id: UUID, title: str, detail: str) -> Response:
    return visitor.page("problem.html", code=422, title=title, detail=detail, back=f"{PATH}/{tenant_id}")
