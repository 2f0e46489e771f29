"""Tests of the Python client without a platform: sessions, retries, pages, and what is sent."""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from email_sender_client import ApiError, AsyncClient, Client, CodeNeeded, NewPasswordNeeded, Session, SignInNeeded
from email_sender_client.retries import ATTEMPTS

URL = "http://platform.example"
SESSION = Session("first", "refresh", time.time() + 3600)
TOKENS = {"access_token": "second", "refresh_token": "next", "token_type": "Bearer", "expires_in": 3600}

type Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Gives the answers in order; the last one stays."""

    def __init__(self, *answers: httpx.Response | Exception | Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def client(self, session: Session | None = SESSION, **options: Any) -> Client:
        return Client(URL, session, transport=httpx.MockTransport(self), **options)


def problem(status: int, **headers: str) -> httpx.Response:
    body = {"code": "c", "detail": "It went wrong.", "request_id": "r", "errors": [{"pointer": "/a", "message": "m"}]}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


def ok(**body: Any) -> httpx.Response:
    return httpx.Response(200, json=body)


def page(*names: str, cursor: str | None) -> httpx.Response:
    items: list[dict[str, Any]] = [
        {"id": str(uuid4()), "email": f"{name}@people.example", "name": name, "attributes": {}, "created_at": None}
        | {"last_seen_at": None}
        for name in names
    ]
    return ok(items=items, next_cursor=cursor)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the pauses instead of waiting."""
    recorded: list[float] = []
    monkeypatch.setattr("email_sender_client.client.time.sleep", recorded.append)
    return recorded


def test_the_token_is_sent_and_the_answer_is_typed() -> None:
    server = Server(page("Ada", cursor=None))
    (contact,) = server.client().list_contacts(email="ada@people.example", limit=1).items
    assert contact.name == "Ada"
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer first"
    assert str(request.url) == f"{URL}/api/v1/contacts?limit=1&email=ada%40people.example"


def test_pages_are_read_when_they_are_needed() -> None:
    server = Server(page("Ada", "Bob", cursor="more"), page("Cem", cursor=None))
    contacts = server.client().iterate_contacts()
    assert [next(contacts).name, next(contacts).name] == ["Ada", "Bob"]
    assert len(server.requests) == 1
    assert [contact.name for contact in contacts] == ["Cem"]
    assert server.requests[1].url.params["cursor"] == "more"


def test_lists_and_ids_are_sent_as_the_api_reads_them() -> None:
    server = Server(page(cursor=None))
    ids = [uuid4(), uuid4()]
    server.client().list_contacts(id=ids)
    assert server.requests[0].url.params.get_list("id") == [str(value) for value in ids]
    server.client().list_emails(run_id=ids[0], status="sent")
    assert dict(server.requests[1].url.params) == {"run_id": str(ids[0]), "status": "sent"}
    server.answers = [httpx.Response(204)]
    server.client().delete_suppression("a/b@people.example")
    assert server.requests[2].url.raw_path == b"/api/v1/suppressions/a%2Fb%40people.example"


def test_only_what_was_set_is_sent() -> None:
    server = Server(
        ok(id=str(uuid4()), email="a@b.example", name=None, attributes={}, created_at=None, last_seen_at=None)
    )
    from email_sender_client.models import ContactIn

    server.client().create_contact(ContactIn(email="a@b.example"))
    assert json.loads(server.requests[0].content) == {"email": "a@b.example"}


def test_an_expired_token_is_refreshed_once_and_the_request_repeated() -> None:
    server = Server(problem(401), ok(**TOKENS), page("Ada", cursor=None))
    changed: list[Session] = []
    client = server.client(session_changed=changed.append)
    assert len(client.list_contacts().items) == 1
    assert [request.url.path.rpartition("/v1")[2] for request in server.requests] == [
        "/contacts", "/auth/refresh", "/contacts",
    ]  # fmt: skip
    assert server.requests[2].headers["authorization"] == "Bearer second"
    assert [(session.access_token, session.refresh_token) for session in changed] == [("second", "next")]


def test_a_token_that_is_about_to_expire_is_refreshed_before_the_request() -> None:
    server = Server(ok(**TOKENS), page(cursor=None))
    server.client(Session("first", "refresh", time.time() + 5)).list_contacts()
    assert [request.url.path.rpartition("/")[2] for request in server.requests] == ["refresh", "contacts"]


def test_a_session_that_ended_says_so() -> None:
    with pytest.raises(SignInNeeded):
        Server(problem(401), problem(401)).client().list_contacts()
    with pytest.raises(ApiError) as error:
        Server(problem(401)).client(Session("first")).list_contacts()
    assert error.value.status == 401


def test_a_refused_request_is_repeated_when_the_server_says(pauses: list[float]) -> None:
    server = Server(problem(429, retry_after="7"), problem(503), page(cursor=None))
    server.client().list_contacts()
    assert len(server.requests) == 3
    assert pauses[0] == 7
    assert 0 < pauses[1] < 1


def test_a_pause_that_is_too_long_is_left_to_the_caller(pauses: list[float]) -> None:
    with pytest.raises(ApiError) as error:
        Server(problem(429, retry_after="3600")).client().list_contacts()
    assert (error.value.retry_after, pauses) == (3600, [])


def test_a_write_keeps_its_idempotency_key_in_every_attempt() -> None:
    server = Server(problem(502), httpx.ReadTimeout("slow"), page(cursor=None))
    server.answers[2] = ok(id=str(uuid4()), type="a.b")
    server.client().publish_event({"type": "a.b", "payload": {}})
    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert (len(server.requests), len(keys)) == (3, 1)


def test_a_write_without_a_key_is_not_repeated_after_it_may_have_worked() -> None:
    server = Server(httpx.ReadTimeout("slow"))
    with pytest.raises(httpx.ReadTimeout):
        server.client().invite_member({"email": "ada@people.example", "role": "user"})
    assert len(server.requests) == 1
    server = Server(httpx.ConnectError("down"))
    with pytest.raises(httpx.ConnectError):
        server.client().invite_member({"email": "ada@people.example", "role": "user"})
    assert len(server.requests) == ATTEMPTS


def test_a_refusal_by_the_gateway_is_no_proof_that_nothing_happened() -> None:
    server = Server(problem(503))
    with pytest.raises(ApiError):
        server.client().invite_member({"email": "ada@people.example", "role": "user"})
    assert len(server.requests) == 1


def test_a_write_whose_first_attempt_is_in_progress_waits_for_its_answer(pauses: list[float]) -> None:
    server = Server(problem(504), problem(409, retry_after="8"), ok(id=str(uuid4())))
    server.client().publish_event({"type": "a.b", "source": "crm"})
    assert (len(server.requests), pauses[1]) == (3, 8)
    with pytest.raises(ApiError):
        Server(problem(409)).client().publish_event({"type": "a.b", "source": "crm"})


def test_a_body_may_hold_values_of_earlier_answers() -> None:
    server, contact = Server(page("Ada", cursor=None)), uuid4()
    (found,) = server.client().list_contacts().items
    server.answers = [problem(404)]
    with pytest.raises(ApiError):
        server.client().start_run(uuid4(), {"inputs": {"contact": contact, "found": found}})
    sent = json.loads(server.requests[1].content)["inputs"]
    assert (sent["contact"], sent["found"]["name"]) == (str(contact), "Ada")


def test_a_throttled_refresh_is_made_again(pauses: list[float]) -> None:
    server = Server(problem(401), problem(429, retry_after="2"), problem(401), ok(**TOKENS), page("Ada", cursor=None))
    client = server.client()
    assert len(client.list_contacts().items) == 1
    assert pauses == [2]
    assert client.session is not None
    assert client.session.access_token == "second"


def created(server_url: str = "http://uploads.example/file") -> httpx.Response:
    upload = {"method": "PUT", "url": server_url, "expires_in": 900}
    return ok(job_id=str(uuid4()), status_url="/x", upload=upload, payloads_upload=None)


def test_an_upload_is_repeated_from_its_beginning_and_has_no_token(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    path.write_bytes(b"From a mailbox")
    server = Server(created(), httpx.ReadError("lost"), httpx.Response(503), httpx.Response(200))
    sent: list[tuple[int, int]] = []
    server.client().upload_mailbox(path, progress=lambda done, size: sent.append((done, size)))
    uploads = server.requests[1:]
    assert [request.content for request in uploads] == [b"From a mailbox"] * 3
    assert {request.headers.get("authorization") for request in uploads} == {None}
    assert sent[-1] == (14, 14)


@pytest.mark.parametrize("status", [307, 403])
def test_an_upload_that_was_not_stored_is_an_error(tmp_path: Path, status: int) -> None:
    path = tmp_path / "a.mbox"
    path.write_bytes(b"x")
    with pytest.raises(ApiError):
        Server(created(), httpx.Response(status)).client().upload_mailbox(path)


def test_an_error_names_the_place_and_the_request() -> None:
    with pytest.raises(ApiError, match="went wrong") as error:
        Server(problem(422)).client().create_contact({"email": "x"})
    assert (error.value.code, error.value.problems, error.value.request_id) == ("c", {"/a": "m"}, "r")
    with pytest.raises(ApiError, match="Bad Gateway"):
        Server(httpx.Response(502)).client().list_contacts()


def test_a_sign_in_says_what_is_missing() -> None:
    code = {"challenge": "totp", "session": "s", "username": "ada"}
    with pytest.raises(CodeNeeded):
        Server(ok(**code)).client(None).open_session("ada", "p")
    with pytest.raises(NewPasswordNeeded):
        Server(ok(**code | {"challenge": "new_password"})).client(None).open_session("ada", "p")
    server = Server(ok(**code), ok(**TOKENS))
    assert server.client(None).open_session("ada", "p", code="123456").access_token == "second"
    assert json.loads(server.requests[1].content) == {"username": "ada", "session": "s", "code": "123456"}


def test_the_asynchronous_client_does_the_same() -> None:
    server = Server(problem(401), ok(**TOKENS), page("Ada", cursor="more"), page("Bob", cursor=None))

    async def names() -> list[str | None]:
        async with AsyncClient(URL, SESSION, transport=httpx.MockTransport(server)) as client:
            return [contact.name async for contact in client.iterate_contacts()]

    # asyncio.run would take the loop of this thread from tests that use Mangum.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: asyncio.run(names())).result() == ["Ada", "Bob"]
    assert server.requests[3].headers["authorization"] == "Bearer second"
