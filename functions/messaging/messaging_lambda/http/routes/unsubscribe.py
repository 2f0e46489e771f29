"""Unsubscribe with the link in a mail, without signing in (RFC 8058)."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from email_sender.adapters.postgres.database import admit_suspended
from email_sender.errors import Forbidden, NotFound
from email_sender.kit.dependencies import depends_on
from email_sender.messaging.contacts import ContactService
from messaging_lambda.bootstrap import contact_service

router = APIRouter(prefix="/unsubscribe", tags=["unsubscribe"])
Service = Annotated[ContactService, depends_on(contact_service)]

_POLICY = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>
<style>body{{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1.5rem;color:#1c2430}}
button{{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:.4rem;background:#1f4fd8;color:#fff;cursor:pointer}}
</style><h1>{title}</h1><p>{text}</p>{form}</html>"""
_UNKNOWN_LINK: dict[int | str, dict[str, Any]] = {
    404: {"description": "The link does not work", "content": {"text/html": {"schema": {"type": "string"}}}}
}
_FORM = '<form method="post"><button>Unsubscribe</button></form>'


@router.get("/{token}", response_class=HTMLResponse, responses=_UNKNOWN_LINK)
async def show_unsubscribe_page(token: str, service: Service) -> HTMLResponse:
    """Show the unsubscribe page. It changes nothing, since mail scanners open links."""
    try:
        service.verify_link(token)
    except NotFound:
        return _page("This link does not work", "It may be incomplete. Please use the whole link.", status=404)
    return _page("Unsubscribe", "Press the button to stop receiving mail from this sender.", _FORM)


@router.post("/{token}", response_class=HTMLResponse, responses=_UNKNOWN_LINK)
async def unsubscribe(token: str, request: Request, service: Service) -> HTMLResponse:
    """Unsubscribe a contact. For the page's button and a mail client's one-click request; repeating it is safe."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    # Mail clients send no Origin. A browser sends one, which must be our own page.
    if origin not in (None, "null") and origin.partition("://")[2] != host:
        raise Forbidden("The form was submitted from another site.")
    try:
        # A suspended tenant's recipients keep their right.
        with admit_suspended():
            service.unsubscribe(token)
    except NotFound:
        return _page("This link does not work", "It may be incomplete. Please use the whole link.", status=404)
    return _page("Done", "You are unsubscribed. No more mail will be sent to you.")


def _page(title: str, text: str, form: str = "", status: int = 200) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=title, text=text, form=form), status, _POLICY)
