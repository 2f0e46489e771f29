"""The person who uses the console: their session, the API in their name, and the pages that they get."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile

from console_lambda import bootstrap
from console_lambda.api import Api
from console_lambda.http.cookies import session_of
from console_lambda.http.navigation import current_of, links_for
from console_lambda.http.page import Page
from console_lambda.rendering import PREFIX, render
from console_lambda.sessions import Session
from email_sender.errors import Forbidden, Unauthenticated
from email_sender.security.permissions import Permission

_MAX_FIELDS = 1_000
_MAX_PART_BYTES = 4 * 1024 * 1024
# A part of a page that updates itself sends this header.
LIVE_HEADER = "x-live"


SECOND_FACTOR_PAGE = f"{PREFIX}/second-factor"
# What somebody without an authenticator app may still use.
_ALWAYS_OPEN = (SECOND_FACTOR_PAGE, f"{SECOND_FACTOR_PAGE}/confirm", f"{PREFIX}/sign-out")


class SignInNeeded(Exception):
    """There is no session, or it has ended."""


class SecondFactorNeeded(Exception):
    """The person must set up an authenticator app before anything else."""


@dataclass(frozen=True, slots=True)
class Visitor:
    request: Request
    session: Session
    api: Api

    def may(self, permission: str) -> bool:
        return self.session.may(Permission(permission))

    def page(self, template: str, /, *, code: int = 200, **values: Any) -> Page:
        """Return a whole page, or a part of one."""
        return Page(self.render(template, **values), code)

    def render(self, template: str, /, **values: Any) -> str:
        links = links_for(self.session)
        return render(
            template,
            session=self.session,
            has_passkeys=bootstrap.has_passkeys(),
            may=self.may,
            navigation=links,
            current_link=current_of(links, self.request.url.path),
            notice=self._notice(),
            prefix=PREFIX,
            **values,
        )

    def _notice(self) -> str:
        """Return what the last form did. A link from elsewhere cannot make the console say something."""
        sent = self.request.query_params
        notice = sent.get("notice", "")
        return notice if sent.get("proof") == self.session.proof_of(notice) else ""

    def live(self, template: str, /, **values: Any) -> Response:
        """Return a part of a page that asks for itself again: nothing if it is as the browser has it already."""
        from hashlib import sha256

        body = self.render(template, seen="", **values)
        seen = sha256(body.encode()).hexdigest()[:16]
        if self.request.query_params.get("seen") == seen:
            return Response(status_code=204)
        return Page(self.render(template, seen=seen, **values))

    def go_to(self, path: str, notice: str = "") -> Response:
        """Send the browser to another page of the console after a form."""
        from urllib.parse import quote

        target = f"{PREFIX}{path}"
        if notice:
            target += f"{'&' if '?' in path else '?'}notice={quote(notice)}&proof={self.session.proof_of(notice)}"
        if self.request.headers.get("hx-request"):
            return Response(status_code=204, headers={"hx-redirect": target})
        return RedirectResponse(target, 303)


async def _visitor(request: Request) -> Visitor:
    """Return the person of the session. A request that changes something must have the session's token (CSRF)."""
    secret = session_of(request)
    if not secret:
        raise SignInNeeded
    try:
        session = bootstrap.sessions().resume(secret, is_activity=LIVE_HEADER not in request.headers)
    except Unauthenticated:
        raise SignInNeeded from None
    if session.lacks_second_factor and request.url.path not in _ALWAYS_OPEN:
        raise SecondFactorNeeded
    if request.method not in ("GET", "HEAD"):
        form = await request.form(max_fields=_MAX_FIELDS, max_part_size=_MAX_PART_BYTES)
        sent = request.headers.get("x-csrf-token") or form.get("csrf")
        if sent != session.csrf:
            raise Forbidden("The form is not of this session. Load the page again and repeat what you did.")
    return Visitor(request, session, bootstrap.connection().as_person(session.tokens.access_token))


async def _form(request: Request) -> "Form":
    return Form(await request.form(max_fields=_MAX_FIELDS, max_part_size=_MAX_PART_BYTES))


class Form:
    """The fields of a form."""

    def __init__(self, data: FormData) -> None:
        self._data = data

    def text(self, name: str, default: str = "") -> str:
        """Return a field as browsers meant it: with the line ends of the text, not those of the protocol."""
        value = self._data.get(name, default)
        return value.replace("\r\n", "\n").strip() if isinstance(value, str) else default

    def texts(self, name: str) -> list[str]:
        return [value for value in self._data.getlist(name) if isinstance(value, str)]

    def number(self, name: str) -> int:
        """Return a field of the page's own, such as a version; 0 if it is missing or no number."""
        value = self.text(name)
        return int(value) if value.isdecimal() and len(value) < 19 else 0

    def is_on(self, name: str) -> bool:
        return self._data.get(name) in ("on", "true", "1")

    async def file(self, name: str) -> bytes:
        value = self._data.get(name)
        return await value.read() if isinstance(value, UploadFile) else b""

    def starting_with(self, prefix: str) -> Mapping[str, str]:
        """Return the fields whose name starts with a prefix, without it. Those with several values have a line each."""
        return {
            name.removeprefix(prefix): "\n".join(self.texts(name)).replace("\r\n", "\n")
            for name in self._data
            if name.startswith(prefix)
        }


SignedIn = Annotated[Visitor, Depends(_visitor)]
SentForm = Annotated[Form, Depends(_form)]
