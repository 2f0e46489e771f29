"""The session of a signed-in person: it attaches the access token, and refreshes it."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass

import httpx

from email_sender_client.errors import ApiError, SignInNeeded

# Seconds. A token that is about to expire is refreshed first.
_MARGIN = 30
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
    """Sends the access token; requests at the same time share one refresh, because a refresh token works once.

    `changed` gets each new session, for example to store it.

    Raises:
        SignInNeeded: the session has ended.
        ApiError: the refresh failed otherwise, for example because there were too many.
    """

    def __init__(self, base_url: str, session: Session, changed: Callable[[Session], None]) -> None:
        self._refresh_url = base_url + REFRESH
        self.session = session
        self._changed = changed
        self._lock, self._async_lock = threading.Lock(), asyncio.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self.session.is_ending:
            yield from self._refreshed(self.session)
        used = self._attach(request)
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and used.refresh_token:
            yield from self._refreshed(used)
            self._attach(request)
            yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if self.session.is_ending and self.session.refresh_token:
            async with self._async_lock:
                if self.session.is_ending:
                    answer = yield self._refresh()
                    await answer.aread()
                    self._accept(answer)
        used = self._attach(request)
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and used.refresh_token:
            async with self._async_lock:
                if self.session is used:
                    answer = yield self._refresh()
                    await answer.aread()
                    self._accept(answer)
            self._attach(request)
            yield request

    def _refreshed(self, used: Session) -> Generator[httpx.Request, httpx.Response, None]:
        """Refresh, unless somebody else did meanwhile."""
        if not used.refresh_token:
            return
        with self._lock:
            if self.session is used:
                answer = yield self._refresh()
                answer.read()
                self._accept(answer)

    def _attach(self, request: httpx.Request) -> Session:
        session = self.session
        request.headers["authorization"] = f"Bearer {session.access_token}"
        return session

    def _refresh(self) -> httpx.Request:
        return httpx.Request("POST", self._refresh_url, json={"refresh_token": self.session.refresh_token})

    def _accept(self, answer: httpx.Response) -> None:
        if answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
            raise SignInNeeded("The session has ended. Sign in again.")
        if not answer.is_success:
            raise ApiError(answer)
        self.session = Session.of(answer.json())
        self._changed(self.session)
