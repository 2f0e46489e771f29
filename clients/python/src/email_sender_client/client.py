"""The clients: all operations of the API, and what takes several of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import UUID

import httpx

from email_sender_client import models
from email_sender_client.calls import Call
from email_sender_client.errors import ApiError, CodeNeeded, NewPasswordNeeded
from email_sender_client.operations import AsyncOperations, Operations
from email_sender_client.retries import pause_or_raise
from email_sender_client.session import Session, SessionAuth

T = TypeVar("T")

RUN_ENDED = frozenset({"succeeded", "failed", "cancelled", "timed_out"})
IMPORT_ENDED = frozenset({"completed", "failed"})
_CHUNK_BYTES = 256 * 1024
# Seconds.
_POLL = 1.0
_TIMEOUT = 60.0


def _ignore(*_: object) -> None:
    pass


class Client(Operations):
    """A synchronous client; use it as a context manager, or close it.

    `url` is where the platform runs, such as https://mail.example.com. Requests that were refused (429), and
    failed ones that have no second effect, are repeated up to four times. Writes have an idempotency key if the API
    takes one.

    Raises (each method): ApiError, SignInNeeded, httpx.TransportError.
    """

    def __init__(
        self,
        url: str,
        session: Session | None = None,
        *,
        session_changed: Callable[[Session], None] = _ignore,
        timeout: float = _TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base, self._session_changed = _base_url(url), session_changed
        self._auth = SessionAuth(self._base, session, session_changed) if session else None
        self._http = httpx.Client(base_url=self._base, timeout=timeout, transport=transport)
        self._uploads = httpx.Client(timeout=timeout, transport=transport)

    @classmethod
    def signed_in(cls, url: str, username: str, password: str, *, code: str | None = None, **options: Any) -> "Client":
        """Return a client that is signed in. `code` is that of the authenticator app, if the account has one.

        Raises:
            ApiError: the name or the password is wrong.
            CodeNeeded: the account has a second factor.
            NewPasswordNeeded: the password is that of an invitation.
        """
        client = cls(url, **options)
        try:
            client.open_session(username, password, code=code)
        except BaseException:
            client.close()
            raise
        return client

    @property
    def session(self) -> Session | None:
        """The current session, as after the last refresh."""
        return self._auth.session if self._auth else None

    def open_session(self, username: str, password: str, *, code: str | None = None) -> Session:
        """Sign in, and return the session, which this client uses from now on. The errors are those of `signed_in`."""
        answer = self.sign_in({"username": username, "password": password})
        if isinstance(answer, models.Code) and code is not None:
            answer = self.enter_totp_code({"username": answer.username, "session": answer.session, "code": code})
        session = _session_of(answer)
        self._auth = SessionAuth(self._base, session, self._session_changed)
        self._session_changed(session)
        return session

    def send(self, call: Call[T]) -> T:
        """Make a request, again if that can help, and return its parsed answer."""
        auth = _auth_for(call, self._auth)
        answer = self._repeated(call, lambda: self._http.request(call.method, **call.arguments(), auth=auth))
        return call.parse(answer.content)

    def upload_mailbox(self, path: str | Path, *, progress: Callable[[int, int], None] = _ignore) -> UUID:
        """Upload a mailbox (mbox), and return the id of its import. `progress` gets the bytes sent, and all bytes."""
        path = Path(path)
        with path.open("rb") as file:
            size = path.stat().st_size
            created = self.create_import(models.MailboxImportIn(file_name=path.name, size_bytes=size))
            url, headers = created.upload.url, {"content-length": str(size)}
            self._repeated(
                Call("PUT", url, None),
                lambda: self._uploads.put(url, content=_chunks(file, size, progress), headers=headers),
            )
        return created.job_id

    def _repeated(self, call: Call[Any], request: Callable[[], httpx.Response]) -> httpx.Response:
        """Return the successful answer of a request that is made again if that can help."""
        for attempt in count(1):
            outcome: httpx.Response | httpx.TransportError | ApiError
            try:
                outcome = request()
            except (httpx.TransportError, ApiError) as error:
                outcome = error
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return outcome
            time.sleep(pause_or_raise(call, attempt, outcome))
        raise AssertionError("unreachable")

    def wait_for_import(
        self,
        import_id: UUID | str,
        *,
        seconds: float = 3600,
        progress: Callable[[models.VectorsImport], None] = _ignore,
    ) -> models.VectorsImport:
        """Wait until an import ends. `progress` gets every state.

        Raises:
            TimeoutError: it did not end in time.
        """
        for _ in _polls(seconds):
            state = self.get_import(import_id)
            progress(state)
            if state.status in IMPORT_ENDED:
                return state
            time.sleep(_POLL)
        raise TimeoutError(f"The import {import_id} did not end within {seconds:.0f} s.")

    def wait_for_run(
        self, run_id: UUID | str, *, seconds: float = 3600, until_waiting: bool = False
    ) -> models.RunDetail:
        """Wait until a run ends or, with `until_waiting`, waits for a person or a time.

        Raises:
            TimeoutError: it did not end in time.
        """
        for _ in _polls(seconds):
            run = self.get_run(run_id)
            if run.status in RUN_ENDED or (until_waiting and run.status == "waiting"):
                return run
            time.sleep(_POLL)
        raise TimeoutError(f"The run {run_id} did not end within {seconds:.0f} s.")

    def find_people(self, question: str, *, limit: int = 10) -> list[tuple[models.Contact, models.Group]]:
        """Return the people that a question finds, the best first, each with the messages that matched."""
        found = self.search_points(_question(question, limit))
        ids = [str(group.key) for group in found.groups or []]
        return _people(found, self.list_contacts(id=ids, limit=len(ids)).items if ids else [])

    def close(self) -> None:
        self._http.close()
        self._uploads.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(AsyncOperations):
    """An asynchronous client, otherwise like `Client`."""

    def __init__(
        self,
        url: str,
        session: Session | None = None,
        *,
        session_changed: Callable[[Session], None] = _ignore,
        timeout: float = _TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base, self._session_changed = _base_url(url), session_changed
        self._auth = SessionAuth(self._base, session, session_changed) if session else None
        self._http = httpx.AsyncClient(base_url=self._base, timeout=timeout, transport=transport)
        self._uploads = httpx.AsyncClient(timeout=timeout, transport=transport)

    @classmethod
    async def signed_in(
        cls, url: str, username: str, password: str, *, code: str | None = None, **options: Any
    ) -> "AsyncClient":
        """Return a client that is signed in. The errors are those of `Client.signed_in`."""
        client = cls(url, **options)
        try:
            await client.open_session(username, password, code=code)
        except BaseException:
            await client.aclose()
            raise
        return client

    @property
    def session(self) -> Session | None:
        """The current session, as after the last refresh."""
        return self._auth.session if self._auth else None

    async def open_session(self, username: str, password: str, *, code: str | None = None) -> Session:
        """Sign in, and return the session, which this client uses from now on. The errors are those of `signed_in`."""
        answer = await self.sign_in({"username": username, "password": password})
        if isinstance(answer, models.Code) and code is not None:
            answer = await self.enter_totp_code({"username": answer.username, "session": answer.session, "code": code})
        session = _session_of(answer)
        self._auth = SessionAuth(self._base, session, self._session_changed)
        self._session_changed(session)
        return session

    async def send(self, call: Call[T]) -> T:
        """Make a request, again if that can help, and return its parsed answer."""
        auth = _auth_for(call, self._auth)
        answer = await self._repeated(call, lambda: self._http.request(call.method, **call.arguments(), auth=auth))
        return call.parse(answer.content)

    async def upload_mailbox(self, path: str | Path, *, progress: Callable[[int, int], None] = _ignore) -> UUID:
        """Upload a mailbox (mbox), and return the id of its import. `progress` gets the bytes sent, and all bytes."""
        path = Path(path)
        with path.open("rb") as file:
            size = path.stat().st_size
            created = await self.create_import(models.MailboxImportIn(file_name=path.name, size_bytes=size))
            url, headers = created.upload.url, {"content-length": str(size)}
            await self._repeated(
                Call("PUT", url, None),
                lambda: self._uploads.put(url, content=_chunks_async(file, size, progress), headers=headers),
            )
        return created.job_id

    async def _repeated(self, call: Call[Any], request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Return the successful answer of a request that is made again if that can help."""
        for attempt in count(1):
            outcome: httpx.Response | httpx.TransportError | ApiError
            try:
                outcome = await request()
            except (httpx.TransportError, ApiError) as error:
                outcome = error
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return outcome
            await asyncio.sleep(pause_or_raise(call, attempt, outcome))
        raise AssertionError("unreachable")

    async def wait_for_import(
        self,
        import_id: UUID | str,
        *,
        seconds: float = 3600,
        progress: Callable[[models.VectorsImport], None] = _ignore,
    ) -> models.VectorsImport:
        """Wait until an import ends. `progress` gets every state.

        Raises:
            TimeoutError: it did not end in time.
        """
        for _ in _polls(seconds):
            state = await self.get_import(import_id)
            progress(state)
            if state.status in IMPORT_ENDED:
                return state
            await asyncio.sleep(_POLL)
        raise TimeoutError(f"The import {import_id} did not end within {seconds:.0f} s.")

    async def wait_for_run(
        self, run_id: UUID | str, *, seconds: float = 3600, until_waiting: bool = False
    ) -> models.RunDetail:
        """Wait until a run ends or, with `until_waiting`, waits for a person or a time.

        Raises:
            TimeoutError: it did not end in time.
        """
        for _ in _polls(seconds):
            run = await self.get_run(run_id)
            if run.status in RUN_ENDED or (until_waiting and run.status == "waiting"):
                return run
            await asyncio.sleep(_POLL)
        raise TimeoutError(f"The run {run_id} did not end within {seconds:.0f} s.")

    async def find_people(self, question: str, *, limit: int = 10) -> list[tuple[models.Contact, models.Group]]:
        """Return the people that a question finds, the best first, each with the messages that matched."""
        found = await self.search_points(_question(question, limit))
        ids = [str(group.key) for group in found.groups or []]
        return _people(found, (await self.list_contacts(id=ids, limit=len(ids))).items if ids else [])

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._uploads.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _base_url(url: str) -> str:
    return url.rstrip("/").removesuffix("/api/v1") + "/api/v1"


def _auth_for(call: Call[Any], auth: SessionAuth | None) -> httpx.Auth | None:
    return None if call.anonymous else auth


def _session_of(answer: models.Tokens | models.NewPassword | models.Code) -> Session:
    if isinstance(answer, models.Code):
        raise CodeNeeded("The account has a second factor: a code of the authenticator app is needed.")
    if isinstance(answer, models.NewPassword):
        raise NewPasswordNeeded("The password is that of an invitation. Choose one of your own in the console.")
    return Session.of(answer.model_dump())


def _question(question: str, limit: int) -> models.SearchIn:
    # As the console asks: one group of messages for each person.
    return models.SearchIn(collection="message_vectors", text=question, group_by="contact", limit=limit)


def _people(found: models.Search, contacts: list[models.Contact]) -> list[tuple[models.Contact, models.Group]]:
    known = {str(contact.id): contact for contact in contacts}
    return [(known[str(group.key)], group) for group in found.groups or [] if str(group.key) in known]


def _chunks(file: BinaryIO, size: int, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    file.seek(0)
    sent = 0
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
        sent += len(chunk)
        progress(sent, size)


async def _chunks_async(file: BinaryIO, size: int, progress: Callable[[int, int], None]) -> AsyncIterator[bytes]:
    for chunk in _chunks(file, size, progress):
        yield chunk


def _polls(seconds: float) -> Iterator[None]:
    """Yield until the time is over, but at least once."""
    end = time.monotonic() + seconds
    yield
    while time.monotonic() < end:
        yield
