"""The session of a signed-in person: it attaches the access token, and refreshes it."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import httpx

from email_sender_client.errors import SignInNeeded

# Seconds. A token that is about to expire is refreshed first.
_MARGIN = 30
SIGN_IN = "/auth/token"
REFRESH = "/auth/refresh"


@dataclass(frozen=True)
class Session:
    """`expires_at` is in seconds since 1970. Whoever has the tokens is signed in: store them like a password."""

    access_token: str
    refresh_token: str | None = None
    expires_at: float | None = None

    @classmethod
    def of(cls, answer: dict[str, object]) -> "Session":
        """Return the session of an answer that has tokens."""
        lifetime = float(str(answer["expires_in"]))
        return cls(str(answer["access_token"]), str(answer["refresh_token"]), time.time() + lifetime)

    @property
    def is_ending(self) -> bool:
        return self.expires_at is not None and time.time() > self.expires_at - _MARGIN


class SessionAuth(httpx.Auth):
    """Sends the access token. `changed` gets each new session, for example to store it."""

    requires_response_body = True

    def __init__(self, base_url: str, session: Session, changed: Callable[[Session], None]) -> None:
        self._refresh_url = base_url + REFRESH
        self.session = session
        self._changed = changed

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self.session.is_ending and self.session.refresh_token:
            self._accept((yield self._refresh()))
        response = yield self._with_token(request)
        if response.status_code == httpx.codes.UNAUTHORIZED and self.session.refresh_token:
            self._accept((yield self._refresh()))
            yield self._with_token(request)

    def _with_token(self, request: httpx.Request) -> httpx.Request:
        request.headers["authorization"] = f"Bearer {self.session.access_token}"
        return request

    def _refresh(self) -> httpx.Request:
        return httpx.Request("POST", self._refresh_url, json={"refresh_token": self.session.refresh_token})

    def _accept(self, response: httpx.Response) -> None:
        if response.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
            raise SignInNeeded("The session has ended. Sign in again.")
        if response.is_success:
            self.session = Session.of(response.json())
            self._changed(self.session)
