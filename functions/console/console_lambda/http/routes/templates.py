"""Templates: write them, see them filled in for a real contact, and send one to yourself."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import Form, SentForm, SignedIn, Visitor
from console_lambda.own_workflows import ANSWER, ANSWER_TEMPLATE, template_named, workflow_named

router = page_router()
_NEW: Mapping[str, Any] = {
    "id": None,
    "name": "",
    "subject": "",
    "body_text": "",
    "body_html": None,
    "language": "en",
    "variables": [],
    "version": 0,
}
_TYPES = ("string", "number", "boolean", "date", "list")


@router.get("/templates")
async def templates(visitor: SignedIn, cursor: str = "") -> Response:
    return visitor.page("templates.html", page=visitor.api.get("/templates", cursor=cursor, limit=50))


@router.get("/templates/new")
async def new(visitor: SignedIn) -> Response:
    return _editor(visitor, _NEW)


@router.get("/templates/{template_id}")
async def template(visitor: SignedIn, template_id: UUID) -> Response:
    shown, contacts = visitor.api.get_all((f"/templates/{template_id}", {}), ("/contacts", {"limit": 50}))
    return _editor(visitor, shown, contacts=contacts["items"])


@router.post("/templates/new")
async def create(visitor: SignedIn, form: SentForm) -> Response:
    body = _body(form)
    try:
        stored = visitor.api.post("/templates", body, key=form.text("key"))
    except ApiProblem as problem:
        if problem.status not in (409, 422):
            raise
        return _editor(visitor, {**_NEW, **body}, problem)
    return visitor.go_to(f"/templates/{stored['id']}", "The template is stored.")


@router.post("/templates/{template_id}")
async def change(visitor: SignedIn, form: SentForm, template_id: UUID) -> Response:
    body, version = _body(form), form.number("version")
    try:
        visitor.api.put(f"/templates/{template_id}", body, version=version)
    except ApiProblem as problem:
        if problem.status not in (409, 422):
            raise
        contacts = visitor.api.get("/contacts", limit=50)["items"]
        return _editor(visitor, {**body, "id": str(template_id), "version": version}, problem, contacts)
    return visitor.go_to(f"/templates/{template_id}", "The new version is stored. Drafts that exist stay as they are.")


@router.post("/templates/{template_id}/preview")
async def preview(visitor: SignedIn, form: SentForm, template_id: UUID) -> Response:
    """Fill in the stored template for the chosen contact."""
    contact = form.text("contact") or None
    variables = {name: value for name, value in form.starting_with("variable.").items() if value}
    evidence: list[str] = []
    if contact:
        messages = visitor.api.get(f"/contacts/{contact}/messages", limit=3)["items"]
        evidence = [message["id"] for message in messages]
    body = {"contact_id": contact, "variables": variables, "evidence": evidence}
    try:
        shown = visitor.api.post(f"/templates/{template_id}/preview", body)
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return visitor.page("preview.html", shown=None, problem=problem.detail, template_id=template_id)
    return visitor.page("preview.html", shown=shown, problem=None, template_id=template_id)


@router.post("/templates/{template_id}/send")
async def send_to_myself(visitor: SignedIn, form: SentForm, template_id: UUID) -> Response:
    """Send the preview to the person's own address, through a run as any email."""
    address = form.text("address")
    found = visitor.api.get("/contacts", email=address)["items"]
    contact = found[0] if found else visitor.api.post("/contacts", {"email": address})
    template_named(visitor.api, ANSWER_TEMPLATE)
    workflow = workflow_named(visitor.api, ANSWER)
    inputs = {
        "contact": contact["id"],
        "subject": form.text("subject"),
        "text": form.text("text"),
        "approval": not visitor.may("messaging:send"),
    }
    visitor.api.post(f"/workflows/{workflow['id']}/execute", {"inputs": inputs}, key=form.text("key"))
    return visitor.go_to(f"/templates/{template_id}", f"The preview is being sent to {address}.")


@router.post("/templates/{template_id}/delete")
async def delete(visitor: SignedIn, template_id: UUID) -> Response:
    visitor.api.delete(f"/templates/{template_id}")
    return visitor.go_to("/templates", "The template is deleted. Its drafts stay.")


def _editor(
    visitor: Visitor, template: Mapping[str, Any], problem: ApiProblem | None = None, contacts: Sequence[Any] = ()
) -> Response:
    return visitor.page(
        "template.html",
        code=problem.status if problem else 200,
        template=template,
        problems=problem.errors if problem else [],
        types=_TYPES,
        default_of=_default_of,
        contacts=contacts,
    )


def _body(form: Form) -> dict[str, Any]:
    columns = (form.texts(f"variable_{column}") for column in ("name", "type", "default"))
    required = set(form.texts("variable_required"))
    variables = [
        {"name": name.strip(), "type": kind, "required": name.strip() in required, **_default(kind, default)}
        for name, kind, default in zip(*columns, strict=False)
        if name.strip()
    ]
    return {
        "name": form.text("name"),
        "subject": form.text("subject"),
        "body_text": form.text("body_text"),
        "body_html": form.text("body_html") or None,
        "language": form.text("language") or "en",
        "variables": variables,
    }


def _default(kind: str, text: str) -> dict[str, Any]:
    """Return a variable's default as the API takes it. What is no JSON goes to the API, which says what is wrong."""
    if not text.strip():
        return {}
    if kind == "string":
        return {"default": text}
    try:
        return {"default": json.loads(text)}
    except ValueError:
        return {"default": text}


def _default_of(variable: Mapping[str, Any]) -> str:
    """Return a default as the form shows it."""
    default = variable.get("default")
    return "" if default is None else default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
