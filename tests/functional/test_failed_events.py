"""What failed for good: kept once with its reason, shown without content, sent back once."""

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.postgres.audit import PostgresAudit
from email_sender.adapters.postgres.breakers import BreakerStates
from email_sender.adapters.postgres.failed_events import PostgresFailedEvents
from email_sender.adapters.postgres.figures import read_figures
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.coordination.failing import MAX_REDRIVEN, FailedStatus, Failure, Redrive, Wanted, shown
from email_sender.errors import InvalidInput, Unavailable
from tests.database import Cluster

AT = datetime(2026, 5, 4, tzinfo=UTC)


class Queues:
    """Two queues in memory. `refuses` names bodies that one does not take."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.down = False

    def names(self) -> Sequence[str]:
        return ["mail", "recorder"]

    def send(self, consumer: str, bodies: Sequence[str]) -> Sequence[bool]:
        if self.down:
            raise Unavailable("The queue did not take it.")
        taken = [body not in self.refuses for body in bodies]
        self.sent += [(consumer, body) for body, ok in zip(bodies, taken, strict=True) if ok]
        return taken


@pytest.fixture
def failed(cluster: Cluster) -> Iterator[PostgresFailedEvents]:
    yield PostgresFailedEvents(cluster.database("platform", size=8))
    cluster.do("delete from failed_events")


def fail(failed: PostgresFailedEvents, body: str, consumer: str = "mail", reason: str = "why", hours: int = 0) -> UUID:
    failed.keep([Failure(consumer, body, reason, AT + timedelta(hours=hours))])
    return next(each.id for each in failed.page(consumer, None, None, 200).items if each.body == body)


def test_the_same_failure_is_one_row_with_its_last_reason(failed: PostgresFailedEvents) -> None:
    first = fail(failed, "a", reason="first")
    again = fail(failed, "a", reason="second", hours=2)
    other = fail(failed, "a", consumer="recorder")
    assert first == again != other
    (row,) = failed.page("mail", None, None, 10).items
    assert (row.reason, row.times, row.first_seen, row.last_seen) == ("second", 1, AT, AT + timedelta(hours=2))


@pytest.mark.parametrize("body", ["", "\0 a NUL", "x" * 300_000, "{}", "[1]", '{"detail": "text"}', "π\n'\"\\"])
def test_whatever_a_queue_held_is_kept_as_it_was(failed: PostgresFailedEvents, body: str) -> None:
    failed.keep([Failure("mail", body, "w", AT)])
    (row,) = failed.page("mail", None, None, 10).items
    # PostgreSQL's text holds no NUL.
    assert row.body == body.replace("\0", "\ufffd")
    assert shown(row.body) == (
        {} if body in ("{}", '{"detail": "text"}') else {"unreadable": True, "characters": len(body)}
    )


def test_pages_hold_each_once(failed: PostgresFailedEvents) -> None:
    ids = {fail(failed, f"{number}", hours=number % 3) for number in range(7)}
    seen: list[UUID] = []
    cursor: str | None = None
    while True:
        page = failed.page(None, None, cursor, 3)
        seen += [each.id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == 7
    assert set(seen) == ids
    with pytest.raises(InvalidInput):
        failed.page(None, None, "nonsense", 3)


def test_a_dry_run_sends_nothing(failed: PostgresFailedEvents) -> None:
    fail(failed, "a")
    queues = Queues()
    done = Redrive(failed, queues)(Wanted(), "olga", AT, dry_run=True)
    assert (done.matched, done.sent, queues.sent) == (1, [], [])
    assert failed.page(None, FailedStatus.REDRIVEN, None, 10).items == []


def test_one_some_and_all(failed: PostgresFailedEvents) -> None:
    one = fail(failed, "a")
    for body, consumer in (("b", "mail"), ("c", "recorder"), ("d", "undelivered")):
        fail(failed, body, consumer)
    queues, redrive = Queues(), None
    redrive = Redrive(failed, queues)
    assert redrive(Wanted(ids=[one, uuid4()]), "olga", AT, dry_run=False).matched == 1
    assert queues.sent == [("mail", "a")]
    assert redrive(Wanted(ids=[one]), "olga", AT, dry_run=False).matched == 0, "it is on its way already"
    redrive(Wanted(consumer="recorder"), "olga", AT, dry_run=False)
    redrive(Wanted(), "olga", AT, dry_run=False)
    assert queues.sent == [("mail", "a"), ("recorder", "c"), ("mail", "b")]
    # What came from no queue of a consumer goes back to none.
    assert [each.consumer for each in failed.page(None, None, None, 10).items] == ["undelivered"]
    with pytest.raises(InvalidInput, match="There are: mail, recorder"):
        redrive(Wanted(consumer="nobody"), "olga", AT, dry_run=False)


def test_what_no_queue_takes_does_not_keep_the_others_waiting(failed: PostgresFailedEvents) -> None:
    failed.keep([Failure("undelivered", f"{number}", "why", AT) for number in range(MAX_REDRIVEN + 1)])
    fail(failed, "a", hours=1)
    queues = Queues()
    assert Redrive(failed, queues)(Wanted(), "olga", AT, dry_run=False).matched == 1
    assert queues.sent == [("mail", "a")]


def test_who_sent_what_back_is_in_the_audit_log(failed: PostgresFailedEvents, cluster: Cluster) -> None:
    ids = [fail(failed, f"{uuid4()}", consumer) for consumer in ("mail", "mail", "recorder")]
    Redrive(failed, Queues())(Wanted(), "olga", AT, dry_run=True)
    Redrive(failed, Queues())(Wanted(), "olga", AT, dry_run=False)
    Redrive(failed, Queues())(Wanted(), "olga", AT, dry_run=False)
    told = [
        each
        for each in PostgresAudit(cluster.database("app")).page(PLATFORM_TENANT, None, 10).items
        if str(ids[0]) in each["details"].get("ids", [])
    ]
    assert [(each["subject"], each["action"]) for each in told] == [("olga", "events.redrive")]
    assert told[0]["details"] | {"ids": set(told[0]["details"]["ids"])} == {
        "which": "all", "matched": 3, "sent": {"mail": 2, "recorder": 1}, "ids": {str(each) for each in ids},
    }  # fmt: skip


def test_what_a_queue_did_not_take_stays_failed(failed: PostgresFailedEvents) -> None:
    fail(failed, "a")
    fail(failed, "b")
    queues = Queues()
    queues.refuses = {"a"}
    assert len(Redrive(failed, queues)(Wanted(), "olga", AT, dry_run=False).sent) == 1
    assert [each.body for each in failed.page(None, None, None, 10).items] == ["a"]
    queues.down = True
    with pytest.raises(Unavailable):
        Redrive(failed, queues)(Wanted(), "olga", AT, dry_run=False)
    assert [each.status for each in failed.page(None, None, None, 10).items] == [FailedStatus.FAILED]


def test_poison_is_parked_after_its_third_failure_and_comes_back_by_name_alone(failed: PostgresFailedEvents) -> None:
    queues = Queues()
    redrive = Redrive(failed, queues)
    poison = fail(failed, "poison")
    for _ in range(2):
        redrive(Wanted(), "olga", AT, dry_run=False)
        fail(failed, "poison")
    (row,) = failed.page(None, None, None, 10).items
    assert (row.status, row.times) == (FailedStatus.PARKED, 3)
    assert redrive(Wanted(), "olga", AT, dry_run=False).matched == 0
    assert redrive(Wanted(ids=[poison]), "olga", AT, dry_run=False).matched == 1
    fail(failed, "poison")
    assert failed.page(None, None, None, 10).items[0].status is FailedStatus.PARKED


def test_it_is_parked_when_the_settings_say(failed: PostgresFailedEvents) -> None:
    redrive = Redrive(failed, Queues())
    fail(failed, "poison")
    redrive(Wanted(), "olga", AT, dry_run=False)
    failed.keep([Failure("mail", "poison", "why", AT)], 5)
    assert [each.status for each in failed.page(None, None, None, 10).items] == [FailedStatus.FAILED]
    redrive(Wanted(), "olga", AT, dry_run=False)
    failed.keep([Failure("mail", "poison", "why", AT)], 3)
    assert [each.status for each in failed.page(None, None, None, 10).items] == [FailedStatus.PARKED]


def test_what_is_old_is_forgotten_when_the_settings_say(failed: PostgresFailedEvents) -> None:
    now = datetime.now(UTC)
    failed.keep([Failure("mail", "old", "why", now - timedelta(days=10))])
    sent = fail_now(failed, "sent back", now)
    Redrive(failed, Queues())(Wanted(ids=[sent]), "olga", now - timedelta(days=3), dry_run=False)
    assert failed.forget(redriven_kept_days=4, kept_days=11) == 0
    assert failed.forget(redriven_kept_days=2, kept_days=11) == 1
    assert failed.forget(redriven_kept_days=2, kept_days=9) == 1
    assert failed.page(None, None, None, 10).items == []


def fail_now(failed: PostgresFailedEvents, body: str, at: datetime) -> UUID:
    failed.keep([Failure("mail", body, "why", at)])
    return next(each.id for each in failed.page("mail", None, None, 200).items if each.body == body)


def test_two_operators_at_once_send_each_back_once(failed: PostgresFailedEvents) -> None:
    for number in range(60):
        fail(failed, f"{number}")
    queues = Queues()
    threads = [
        threading.Thread(target=Redrive(failed, queues), args=(Wanted(), "olga", AT), kwargs={"dry_run": False})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(body for _, body in queues.sent) == sorted(f"{number}" for number in range(60))


def test_an_operator_sees_what_names_an_event_and_no_tenants_content() -> None:
    def envelope(source: str, detail: Any) -> str:
        return json.dumps({"id": "1", "source": source, "detail-type": "t", "detail": detail, "resources": ["secret"]})

    tenant = {"tenant_id": str(uuid4()), "id": "2", "data": {"subject": "private"}}
    assert shown(envelope("email_sender.messaging", tenant)) == {
        "id": "1", "source": "email_sender.messaging", "detail-type": "t",
        "detail": {"tenant_id": tenant["tenant_id"], "id": "2"}, "hidden": ["data"],
    }  # fmt: skip
    ours = {"tenant_id": str(PLATFORM_TENANT), "data": {"manager": "x"}}
    assert shown(envelope("email_sender.coordinator", ours))["detail"] == ours
    # Another system's may say that it is the platform's.
    assert shown(envelope("crm", ours))["detail"] == {}
    assert "private" not in json.dumps(shown(envelope("aws.ses", {"mail": {"destination": ["private"]}})))


def test_an_open_breaker_is_counted_and_a_closed_one_is_not(cluster: Cluster) -> None:
    platform = cluster.database("platform")
    states = BreakerStates(cluster.database("app"), "qdrant", str(uuid4()))
    before = read_figures(platform)["circuits_open"]
    states("open")
    assert read_figures(platform)["circuits_open"] == before + 1
    states("half-open")
    states("closed")
    assert read_figures(platform)["circuits_open"] == before
