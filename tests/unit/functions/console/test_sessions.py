"""Sessions: tokens that only their browser's secret opens, renewal, and the end after half an hour."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from console_lambda.dynamodb_sessions import DynamoDbSessions
from console_lambda.sessions import IDLE, Sessions, SessionStore, StoredSession, Tokens
from email_sender.errors import Unauthenticated, Unavailable
from email_sender.security.permissions import Permission, Role

START = datetime(2026, 11, 29, 10, tzinfo=UTC)


class MemorySessions:
    def __init__(self) -> None:
        self.rows: dict[str, StoredSession] = {}
        self.writes = 0

    def load(self, key: str) -> StoredSession | None:
        return self.rows.get(key)

    def add(self, key: str, session: StoredSession) -> None:
        self.rows[key] = session

    def replace(self, key: str, session: StoredSession) -> None:
        if key in self.rows:
            self.rows[key] = session
            self.writes += 1

    def extend(self, key: str, expires_at: float) -> None:
        if key in self.rows:
            self.replace(key, StoredSession(self.rows[key].sealed, expires_at))

    def delete(self, key: str) -> None:
        self.rows.pop(key, None)


class FakeIssuer:
    def __init__(self) -> None:
        self.refreshed: list[str] = []
        self.refuses = False

    def refresh(self, refresh_token: str) -> Tokens:
        if self.refuses:
            raise Unauthenticated("revoked")
        self.refreshed.append(refresh_token)
        return tokens(expires=(START + timedelta(hours=9)).timestamp(), refresh=f"{refresh_token}'")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def tokens(role: str = "admin", expires: float | None = None, refresh: str = "refresh") -> Tokens:
    claims = base64.urlsafe_b64encode(json.dumps({"role": role, "username": "ann"}).encode()).decode().rstrip("=")
    return Tokens(f"h.{claims}.s", refresh, expires or (START + timedelta(hours=1)).timestamp())


@pytest.fixture
def store() -> MemorySessions:
    return MemorySessions()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def sessions(store: MemorySessions, issuer: FakeIssuer, clock: Clock) -> Sessions:
    return Sessions(store, issuer, clock)


def test_whoever_reads_the_store_gets_no_token_and_no_session(sessions: Sessions, store: MemorySessions) -> None:
    session = sessions.open(tokens())
    ((key, stored),) = store.rows.items()
    assert session.secret not in key
    assert session.tokens.access_token.encode() not in stored.sealed
    with pytest.raises(Unauthenticated):
        sessions.resume(key, is_activity=True)


def test_a_session_of_another_secret_cannot_be_opened(sessions: Sessions, store: MemorySessions) -> None:
    first, second = sessions.open(tokens()), sessions.open(tokens(role="user"))
    keys = list(store.rows)
    store.rows[keys[0]], store.rows[keys[1]] = store.rows[keys[1]], store.rows[keys[0]]
    for session in (first, second):
        with pytest.raises(Unauthenticated):
            sessions.resume(session.secret, is_activity=True)


def test_a_session_ends_half_an_hour_after_the_last_activity(sessions: Sessions, clock: Clock) -> None:
    session = sessions.open(tokens(expires=(START + timedelta(hours=9)).timestamp()))
    for _ in range(4):
        clock.now += IDLE - timedelta(minutes=2)
        assert sessions.resume(session.secret, is_activity=True) == session
    clock.now += IDLE
    with pytest.raises(Unauthenticated, match="ended"):
        sessions.resume(session.secret, is_activity=True)


def test_a_page_that_updates_itself_does_not_keep_the_session(sessions: Sessions, clock: Clock) -> None:
    session = sessions.open(tokens())
    for _ in range(29):
        clock.now += timedelta(minutes=1)
        sessions.resume(session.secret, is_activity=False)
    clock.now += timedelta(minutes=1)
    with pytest.raises(Unauthenticated):
        sessions.resume(session.secret, is_activity=False)


def test_not_every_request_writes(sessions: Sessions, store: MemorySessions, clock: Clock) -> None:
    session = sessions.open(tokens())
    for _ in range(120):
        clock.now += timedelta(seconds=1)
        sessions.resume(session.secret, is_activity=True)
    assert store.writes == 1


@pytest.mark.parametrize("is_activity", [True, False])
def test_a_token_is_renewed_before_it_ends(
    sessions: Sessions, issuer: FakeIssuer, clock: Clock, is_activity: bool
) -> None:
    session = sessions.open(tokens(expires=(START + timedelta(minutes=10)).timestamp()))
    clock.now += timedelta(minutes=9, seconds=1)
    renewed = sessions.resume(session.secret, is_activity=is_activity)
    assert (renewed.tokens.refresh_token, issuer.refreshed) == ("refresh'", ["refresh"])
    assert sessions.resume(session.secret, is_activity=is_activity) == renewed
    assert issuer.refreshed == ["refresh"]


def test_a_revoked_person_is_signed_out(sessions: Sessions, issuer: FakeIssuer, clock: Clock) -> None:
    session = sessions.open(tokens(expires=(START + timedelta(minutes=10)).timestamp()))
    issuer.refuses = True
    clock.now += timedelta(minutes=10)
    with pytest.raises(Unauthenticated):
        sessions.resume(session.secret, is_activity=True)


def test_a_closed_session_stays_closed_whatever_was_under_way(
    sessions: Sessions, store: MemorySessions, issuer: FakeIssuer, clock: Clock
) -> None:
    session = sessions.open(tokens(expires=(START + timedelta(minutes=10)).timestamp()))
    clock.now += timedelta(minutes=9, seconds=30)
    refresh = issuer.refresh

    def close_meanwhile(refresh_token: str) -> Tokens:
        assert sessions.close(session.secret) == session.tokens
        return refresh(refresh_token)

    issuer.refresh = close_meanwhile  # type: ignore[method-assign]
    sessions.resume(session.secret, is_activity=True)
    assert store.rows == {}
    assert sessions.close(session.secret) is None


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("admin", Permission.WORKFLOWS_APPROVE, Permission.PLATFORM_READ),
        ("readonly", Permission.MESSAGING_READ, Permission.MESSAGING_WRITE),
        ("operator", Permission.PLATFORM_OPERATE, Permission.MESSAGING_READ),
    ],
)
def test_the_role_of_the_token_decides_what_is_shown(
    sessions: Sessions, role: str, may: Permission, may_not: Permission
) -> None:
    session = sessions.open(tokens(role))
    assert (session.role, session.username) == (Role(role), "ann")
    assert (session.may(may), session.may(may_not)) == (True, False)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.bnVsbA.c", "a.e30.c", "a.W10.c"])
def test_a_token_that_cannot_be_read_shows_nothing(sessions: Sessions, token: str) -> None:
    session = sessions.open(Tokens(token, "refresh", START.timestamp() + 3_600))
    assert (session.role, session.may(Permission.VECTORS_READ)) == (None, False)


@pytest.fixture(params=["memory", "dynamodb"])
def any_store(request: pytest.FixtureRequest) -> Iterator[SessionStore]:
    if request.param == "memory":
        yield MemorySessions()
        return
    with mock_aws():
        client: Any = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="sessions", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "session", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "session", "KeyType": "HASH"}],
        )  # fmt: skip
        yield DynamoDbSessions(lambda: client, "sessions")


def test_stores_keep_replace_and_delete(any_store: SessionStore) -> None:
    first, second = StoredSession(b"\x00\xff", 1_795_000_000.0), StoredSession(b"two", 1_795_000_001.0)
    assert any_store.load("a") is None
    any_store.replace("a", second)
    assert any_store.load("a") is None
    any_store.add("a", first)
    assert any_store.load("a") == first
    any_store.replace("a", second)
    assert any_store.load("a") == second
    any_store.extend("a", 1_795_000_009.0)
    assert any_store.load("a") == StoredSession(b"two", 1_795_000_009.0)
    any_store.delete("a")
    any_store.delete("a")
    any_store.extend("a", 1_795_000_009.0)
    assert any_store.load("a") is None


def test_a_missing_table_is_unavailable() -> None:
    with mock_aws():
        client: Any = boto3.client("dynamodb", region_name="us-east-1")
        with pytest.raises(Unavailable):
            DynamoDbSessions(lambda: client, "nothing").load("a")
