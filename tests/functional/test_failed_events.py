"""Events that failed permanently: stored once with their reason, shown without content, redriven once."""

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.postgres.audit import PostgresAudit
from email_sender.adapters.postgres.breakers import CircuitBreakerStates
from email_sender.adapters.postgres.failed_events import PostgresFailedEvents
from email_sender.adapters.postgres.platform_figures import read_figures
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.coordination.failed_events import (
    MAX_REDRIVEN,
    FailedEventSelector,
    FailedStatus,
    Failure,
    Redrive,
    redact_message,
)
from email_sender.errors import InvalidInput, Unavailable
from tests.database import Cluster

AT = datetime(2026, 5, 4, tzinfo=UTC)


class MemoryQueues:
    """Two queues in memory, which refuse the bodies in `rejected_bodies`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.rejected_bodies: set[str] = set()
        self.is_down = False

    def names(self) -> Sequence[str]:
        return ["mail", "recorder"]

    def send(self, consumer: str, bodies: Sequence[str]) -> Sequence[bool]:
        if self.is_down:
            raise Unavailable("The queue did not take it.")
        accepted = [body not in self.rejected_bodies for body in bodies]
        self.sent += [(consumer, body) for body, ok in zip(bodies, accepted, strict=True) if ok]
        return accepted


@pytest.fixture
def failed_events(cluster: Cluster) -> Iterator[PostgresFailedEvents]:
    yield PostgresFailedEvents(cluster.database("platform", size=8))
    cluster.execute("delete from failed_events")


def record_failure(
    failed_events: PostgresFailedEvents, body: str, consumer: str = "mail", reason: str = "why", hours: int = 0
) -> UUID:
    failed_events.store([Failure(consumer, body, reason, AT + timedelta(hours=hours))])
    return next(entry.id for entry in failed_events.page(consumer, None, None, 200).items if entry.body == body)


def test_the_same_failure_is_one_row_with_its_last_reason(failed_events: PostgresFailedEvents) -> None:
    first = record_failure(failed_events, "a", reason="first")
    second = record_failure(failed_events, "a", reason="second", hours=2)
    other_consumer_id = record_failure(failed_events, "a", consumer="recorder")
    assert first == second != other_consumer_id
    (row,) = failed_events.page("mail", None, None, 10).items
    assert (row.reason, row.times, row.first_seen, row.last_seen) == ("second", 1, AT, AT + timedelta(hours=2))


@pytest.mark.parametrize("body", ["", "\0 a NUL", "x" * 300_000, "{}", "[1]", '{"detail": "text"}', "π\n'\"\\"])
def test_any_message_body_is_stored_unchanged(failed_events: PostgresFailedEvents, body: str) -> None:
    failed_events.store([Failure("mail", body, "w", AT)])
    (row,) = failed_events.page("mail", None, None, 10).items
    # PostgreSQL's text holds no NUL.
    assert row.body == body.replace("\0", "\ufffd")
    assert redact_message(row.body) == (
        {} if body in ("{}", '{"detail": "text"}') else {"unreadable": True, "characters": len(body)}
    )


def test_pages_contain_every_failed_event_once(failed_events: PostgresFailedEvents) -> None:
    ids = {record_failure(failed_events, f"{number}", hours=number % 3) for number in range(7)}
    paged_ids: list[UUID] = []
    cursor: str | None = None
    while True:
        page = failed_events.page(None, None, cursor, 3)
        paged_ids += [entry.id for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(paged_ids) == 7
    assert set(paged_ids) == ids
    with pytest.raises(InvalidInput):
        failed_events.page(None, None, "nonsense", 3)


def test_a_dry_run_sends_nothing(failed_events: PostgresFailedEvents) -> None:
    record_failure(failed_events, "a")
    queues = MemoryQueues()
    result = Redrive(failed_events, queues)(FailedEventSelector(), "olga", AT, dry_run=True)
    assert (result.matched, result.sent, queues.sent) == (1, [], [])
    assert failed_events.page(None, FailedStatus.REDRIVEN, None, 10).items == []


def test_events_are_redriven_by_id_by_consumer_and_all_together(failed_events: PostgresFailedEvents) -> None:
    first_id = record_failure(failed_events, "a")
    for body, consumer in (("b", "mail"), ("c", "recorder"), ("d", "undelivered")):
        record_failure(failed_events, body, consumer)
    queues, redrive = MemoryQueues(), None
    redrive = Redrive(failed_events, queues)
    assert redrive(FailedEventSelector(ids=[first_id, uuid4()]), "olga", AT, dry_run=False).matched == 1
    assert queues.sent == [("mail", "a")]
    assert redrive(FailedEventSelector(ids=[first_id]), "olga", AT, dry_run=False).matched == 0, (
        "it has already been redriven"
    )
    redrive(FailedEventSelector(consumer="recorder"), "olga", AT, dry_run=False)
    redrive(FailedEventSelector(), "olga", AT, dry_run=False)
    assert queues.sent == [("mail", "a"), ("recorder", "c"), ("mail", "b")]
    # An event that did not come from a consumer's queue cannot be redriven.
    assert [entry.consumer for entry in failed_events.page(None, None, None, 10).items] == ["undelivered"]
    with pytest.raises(InvalidInput, match="Known consumers: mail, recorder"):
        redrive(FailedEventSelector(consumer="nobody"), "olga", AT, dry_run=False)


def test_events_without_a_consumer_queue_do_not_block_the_others(failed_events: PostgresFailedEvents) -> None:
    failed_events.store([Failure("undelivered", f"{number}", "why", AT) for number in range(MAX_REDRIVEN + 1)])
    record_failure(failed_events, "a", hours=1)
    queues = MemoryQueues()
    assert Redrive(failed_events, queues)(FailedEventSelector(), "olga", AT, dry_run=False).matched == 1
    assert queues.sent == [("mail", "a")]


def test_a_redrive_is_in_the_audit_log_with_its_operator(failed_events: PostgresFailedEvents, cluster: Cluster) -> None:
    ids = [record_failure(failed_events, f"{uuid4()}", consumer) for consumer in ("mail", "mail", "recorder")]
    Redrive(failed_events, MemoryQueues())(FailedEventSelector(), "olga", AT, dry_run=True)
    Redrive(failed_events, MemoryQueues())(FailedEventSelector(), "olga", AT, dry_run=False)
    Redrive(failed_events, MemoryQueues())(FailedEventSelector(), "olga", AT, dry_run=False)
    audit_entries = [
        entry
        for entry in PostgresAudit(cluster.database("app")).page(PLATFORM_TENANT, None, 10).items
        if str(ids[0]) in entry["details"].get("ids", [])
    ]
    assert [(entry["subject"], entry["action"]) for entry in audit_entries] == [("olga", "events.redrive")]
    assert audit_entries[0]["details"] | {"ids": set(audit_entries[0]["details"]["ids"])} == {
        "which": "all", "matched": 3, "sent": {"mail": 2, "recorder": 1}, "ids": {str(event_id) for event_id in ids},
    }  # fmt: skip


def test_an_event_rejected_by_its_queue_stays_failed(failed_events: PostgresFailedEvents) -> None:
    record_failure(failed_events, "a")
    record_failure(failed_events, "b")
    queues = MemoryQueues()
    queues.rejected_bodies = {"a"}
    assert len(Redrive(failed_events, queues)(FailedEventSelector(), "olga", AT, dry_run=False).sent) == 1
    assert [entry.body for entry in failed_events.page(None, None, None, 10).items] == ["a"]
    queues.is_down = True
    with pytest.raises(Unavailable):
        Redrive(failed_events, queues)(FailedEventSelector(), "olga", AT, dry_run=False)
    assert [entry.status for entry in failed_events.page(None, None, None, 10).items] == [FailedStatus.FAILED]


def test_an_event_is_parked_after_its_third_failure_and_redriven_only_by_id(
    failed_events: PostgresFailedEvents,
) -> None:
    queues = MemoryQueues()
    redrive = Redrive(failed_events, queues)
    poison = record_failure(failed_events, "poison")
    for _ in range(2):
        redrive(FailedEventSelector(), "olga", AT, dry_run=False)
        record_failure(failed_events, "poison")
    (row,) = failed_events.page(None, None, None, 10).items
    assert (row.status, row.times) == (FailedStatus.PARKED, 3)
    assert redrive(FailedEventSelector(), "olga", AT, dry_run=False).matched == 0
    assert redrive(FailedEventSelector(ids=[poison]), "olga", AT, dry_run=False).matched == 1
    record_failure(failed_events, "poison")
    assert failed_events.page(None, None, None, 10).items[0].status is FailedStatus.PARKED


def test_an_event_is_parked_after_the_configured_number_of_failures(failed_events: PostgresFailedEvents) -> None:
    redrive = Redrive(failed_events, MemoryQueues())
    record_failure(failed_events, "poison")
    redrive(FailedEventSelector(), "olga", AT, dry_run=False)
    failed_events.store([Failure("mail", "poison", "why", AT)], 5)
    assert [entry.status for entry in failed_events.page(None, None, None, 10).items] == [FailedStatus.FAILED]
    redrive(FailedEventSelector(), "olga", AT, dry_run=False)
    failed_events.store([Failure("mail", "poison", "why", AT)], 3)
    assert [entry.status for entry in failed_events.page(None, None, None, 10).items] == [FailedStatus.PARKED]


def test_old_events_are_deleted_after_the_configured_days(failed_events: PostgresFailedEvents) -> None:
    now = datetime.now(UTC)
    failed_events.store([Failure("mail", "old", "why", now - timedelta(days=10))])
    redriven_id = record_failure_at(failed_events, "sent back", now)
    Redrive(failed_events, MemoryQueues())(
        FailedEventSelector(ids=[redriven_id]), "olga", now - timedelta(days=3), dry_run=False
    )
    assert failed_events.forget(redriven_kept_days=4, kept_days=11) == 0
    assert failed_events.forget(redriven_kept_days=2, kept_days=11) == 1
    assert failed_events.forget(redriven_kept_days=2, kept_days=9) == 1
    assert failed_events.page(None, None, None, 10).items == []


def record_failure_at(failed_events: PostgresFailedEvents, body: str, at: datetime) -> UUID:
    failed_events.store([Failure("mail", body, "why", at)])
    return next(entry.id for entry in failed_events.page("mail", None, None, 200).items if entry.body == body)


def test_concurrent_operators_redrive_each_event_once(failed_events: PostgresFailedEvents) -> None:
    for number in range(60):
        record_failure(failed_events, f"{number}")
    queues = MemoryQueues()
    threads = [
        threading.Thread(
            target=Redrive(failed_events, queues), args=(FailedEventSelector(), "olga", AT), kwargs={"dry_run": False}
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(body for _, body in queues.sent) == sorted(f"{number}" for number in range(60))


def test_an_operator_sees_what_identifies_an_event_and_no_tenant_content() -> None:
    def envelope(source: str, detail: Any) -> str:
        return json.dumps({"id": "1", "source": source, "detail-type": "t", "detail": detail, "resources": ["secret"]})

    tenant = {"tenant_id": str(uuid4()), "id": "2", "data": {"subject": "private"}}
    assert redact_message(envelope("email_sender.messaging", tenant)) == {
        "id": "1", "source": "email_sender.messaging", "detail-type": "t",
        "detail": {"tenant_id": tenant["tenant_id"], "id": "2"}, "hidden": ["data"],
    }  # fmt: skip
    platform_detail = {"tenant_id": str(PLATFORM_TENANT), "data": {"manager": "x"}}
    assert redact_message(envelope("email_sender.coordinator", platform_detail))["detail"] == platform_detail
    # Another system's event may claim to belong to the platform.
    assert redact_message(envelope("crm", platform_detail))["detail"] == {}
    assert "private" not in json.dumps(redact_message(envelope("aws.ses", {"mail": {"destination": ["private"]}})))


def test_an_open_circuit_breaker_is_counted_and_a_closed_one_is_not(cluster: Cluster) -> None:
    platform = cluster.database("platform")
    states = CircuitBreakerStates(cluster.database("app"), "qdrant", str(uuid4()))
    before = read_figures(platform)["circuits_open"]
    states("open")
    assert read_figures(platform)["circuits_open"] == before + 1
    states("half-open")
    states("closed")
    assert read_figures(platform)["circuits_open"] == before
