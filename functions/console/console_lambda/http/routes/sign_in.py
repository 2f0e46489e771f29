"""Sign in at the OpenID provider, and sign out."""

import secrets

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from console_lambda import bootstrap
from console_lambda.api import ApiProblem
from console_lambda.http import cookies
from console_lambda.http.error_pages import error_page
from console_lambda.http.navigation import home_of
from console_lambda.http.page import Page, page_router
from console_lambda.http.visitor import SignedIn
from console_lambda.openid import Attempt
from console_lambda.rendering import PREFIX, render
from console_lambda.sessions import Session
from email_sender.errors import DomainError, NotFound

router = page_router()


@router.get("/sign-in")
async def sign_in(to: str = PREFIX) -> Response:
    """Send the person to the provider. Only a page of the console may be the target afterwards."""
    attempt = Attempt.start()
    response = RedirectResponse(bootstrap.provider().sign_in_url(attempt), 303)
    cookies.set_attempt(response, attempt, to if _is_page(to) else PREFIX)
    return response


@router.get("/passkey")
async def add_passkey(_visitor: SignedIn) -> Response:
    """Send the person to the provider's page for a new passkey. They come back as from a sign-in."""
    if not bootstrap.has_passkeys():
        raise NotFound("This deployment has no passkeys.")
    attempt = Attempt.start()
    response = RedirectResponse(bootstrap.provider().passkey_url(attempt), 303)
    cookies.set_attempt(response, attempt, PREFIX)
    return response


@router.get("/callback")
async def callback(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
    """Receive the person from the provider, and open a session."""
    if not (code or state or error) and bootstrap.has_passkeys():
        # From the page for a new passkey: the session goes on.
        return RedirectResponse(PREFIX, 303)
    started = cookies.attempt_of(request)
    if started is None or not secrets.compare_digest(state, started[0].state):
        return error_page(request, 401, "This sign-in was not started here, or it took longer than ten minutes.")
    if error or not code:
        return error_page(request, 401, f"The sign-in service did not sign you in ({error[:100] or 'no code'}).")
    attempt, target = started
    session = bootstrap.sessions().open(bootstrap.provider().exchange(code, attempt))
    if not session.lacks_second_factor:
        _record(session)
    if target == PREFIX:
        target += home_of(session)
    # The redirect came from another site, so a browser would not send the new cookie with a further redirect.
    response = Page(render("go_on.html", target=target, prefix=PREFIX))
    cookies.set_session(response, session.secret)
    cookies.delete_attempt(response)
    return response


@router.post("/sign-out")
async def sign_out(visitor: SignedIn) -> Response:
    provider = bootstrap.provider()
    tokens = bootstrap.sessions().close(visitor.session.secret)
    if tokens is not None:
        provider.revoke(tokens.refresh_token)
    # A page, because the policy lets a form lead to no other site, not even by a redirect.
    response = Page(render("go_on.html", target=provider.sign_out_url(), prefix=PREFIX))
    cookies.delete_session(response)
    return response


@router.get("/signed-out")
async def signed_out() -> Response:
    return Page(render("signed_out.html", prefix=PREFIX))


def _record(session: Session) -> None:
    """Write the sign-in to the audit log. Without the entry, or if the tenant is suspended, nobody gets the session."""
    try:
        bootstrap.connection().as_person(session.tokens.access_token).post("/auth/sessions")
    except (ApiProblem, DomainError):
        bootstrap.sessions().close(session.secret)
        bootstrap.provider().revoke(session.tokens.refresh_token)
        raise


def _is_page(target: str) -> bool:
    return target == PREFIX or (target.startswith(f"{PREFIX}/") and "\\" not in target and "//" not in target)
