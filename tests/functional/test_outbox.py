"""From a change to its recorded event, on PostgreSQL: the bus and the queues between may forget, the outbox may not."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.eventbridge import encode
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.events import EventQuery, OutboxRelay, PostgresEventLog, PostgresEvents
from email_sender.adapters.postgres.unit import Units
from email_sender.coordination.events import MAX_EVENT_BYTES, PLATFORM_TENANT, BusEntry, Event
from email_sender.coordination.publishing import own_event
from email_sender.coordination.recording import BusEvent, Recorder
from email_sender.errors import InvalidInput, PayloadTooLarge, Unavailable
from email_sender.kit.ambient import new_id
from tests.database import Cluster

ACCOUNT = "000000000000"


class FakeBus:
    def __init__(self, *, up: bool = True) -> None:
        self.up = up
        self.entries: list[BusEntry] = []
        self._lock = Lock()

    def put(self, entries: list[BusEntry]) -> list[bool]:
        if not self.up:
            raise Unavailable("The event bus did not answer.")
        with self._lock:
            self.entries += entries
        return [True] * len(entries)


def unsubscribed(tenant: UUID) -> Event:
    contact = str(new_id())
    return Event(
        new_id(), "contact.unsubscribed", "messaging", tenant, contact, datetime.now(UTC), {"contact_id": contact}
    )


def emit(app: Database, bus: FakeBus | None, *events: Event) -> None:
    with Units(app, bus)(events[0].tenant_id) as unit:
        for event in events:
            unit.emit(event)
        unit.commit()


def own(tenant: UUID, text: str) -> Event:
    return own_event(new_id(), tenant, "crm", "LeadCreated", {"text": text}, datetime.now(UTC))


def test_what_the_bus_would_not_take_is_not_written(app_role: Database, tenant: UUID, cluster: Cluster) -> None:
    bus = FakeBus()
    around = len(encode(own(tenant, "").detail()))
    for text in ("x" * (MAX_EVENT_BYTES - around + 1), "ü" * (MAX_EVENT_BYTES // 2), "\ud800" * MAX_EVENT_BYTES):
        with pytest.raises(PayloadTooLarge, match="240000 bytes"):
            emit(app_role, bus, own(tenant, text))
    assert cluster.look("select id from outbox where tenant_id = %s", tenant) == []
    emit(app_role, bus, own(tenant, "x" * (MAX_EVENT_BYTES - around)))
    assert [len(each.detail) > MAX_EVENT_BYTES - 1 for each in bus.entries] == [True]


def on_bus(entry: BusEntry) -> BusEvent:
    """As EventBridge delivers it: in an envelope with an id of its own."""
    return BusEvent(new_id(), ACCOUNT, entry.source, entry.type, datetime.now(UTC), json.loads(entry.detail))


def foreign(detail: Any, source: str = "crm", account: str = ACCOUNT) -> BusEvent:
    return BusEvent(new_id(), account, source, "LeadCreated", datetime.now(UTC), detail)


def waiting(cluster: Cluster, tenant: UUID) -> list[UUID]:
    return [row["id"] for row in cluster.look("select id from outbox where tenant_id = %s order by sequence", tenant)]


def due(cluster: Cluster, tenant: UUID) -> None:
    """Fifteen seconds later; what other tests left waits a day."""
    cluster.do("update outbox set next_attempt_at = now() + interval '1 day' where tenant_id <> %s", tenant)
    cluster.do("update outbox set next_attempt_at = now() where tenant_id = %s", tenant)


def recorded(cluster: Cluster, tenant: UUID) -> list[UUID]:
    return [row["id"] for row in cluster.look("select id from events where tenant_id = %s order by id", tenant)]


def test_without_a_commit_neither_the_change_nor_the_event_is_there(
    app_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus = FakeBus()
    with Units(app_role, bus)(tenant) as unit:
        unit.conn.execute("insert into threads (id, tenant_id) values (%s, %s)", [new_id(), tenant])
        unit.emit(unsubscribed(tenant))
    assert (cluster.look("select 1 from threads where tenant_id = %s", tenant), waiting(cluster, tenant)) == ([], [])
    assert bus.entries == []


def test_an_error_after_the_event_takes_both_back(app_role: Database, cluster: Cluster, tenant: UUID) -> None:
    def change() -> None:
        with Units(app_role, None)(tenant) as unit:
            unit.emit(unsubscribed(tenant))
            raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        change()
    assert waiting(cluster, tenant) == []


def test_a_committed_event_is_on_the_bus_with_its_sequence_and_still_in_the_outbox(
    app_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus, events = FakeBus(), [unsubscribed(tenant), unsubscribed(tenant)]
    emit(app_role, bus, *events)
    details = [json.loads(entry.detail) for entry in bus.entries]
    assert [detail["id"] for detail in details] == [str(event.id) for event in events]
    assert details[0]["sequence"] < details[1]["sequence"]
    assert waiting(cluster, tenant) == [event.id for event in events]


def test_a_commit_stands_while_the_bus_is_down_and_the_relay_puts_the_event_later(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus, event = FakeBus(up=False), unsubscribed(tenant)
    emit(app_role, bus, event)
    due(cluster, tenant)
    relay = OutboxRelay(platform_role, bus)
    with pytest.raises(Unavailable):
        relay.sweep()
    bus.up = True
    assert relay.sweep() == 0, "an attempt that failed is not repeated at once"
    due(cluster, tenant)
    assert relay.sweep() == 1
    assert json.loads(bus.entries[0].detail)["id"] == str(event.id)


def test_an_event_just_put_is_given_time_to_be_recorded_before_the_relay_repeats_it(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    cluster.do("update outbox set next_attempt_at = now() + interval '1 day'")
    bus = FakeBus()
    emit(app_role, bus, unsubscribed(tenant))
    assert OutboxRelay(platform_role, bus).sweep() == 0


def test_relays_at_once_share_the_work(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    events = [unsubscribed(tenant) for _ in range(40)]
    emit(app_role, None, *events)
    due(cluster, tenant)
    bus = FakeBus()
    with ThreadPoolExecutor(4) as threads:
        put = list(threads.map(lambda _: OutboxRelay(platform_role, bus).sweep(limit=10), range(4)))
    while more := OutboxRelay(platform_role, bus).sweep(limit=10):
        put.append(more)
    assert sum(put) == 40
    assert {json.loads(entry.detail)["id"] for entry in bus.entries} == {str(event.id) for event in events}


def test_the_recorder_stores_our_event_once_under_its_own_id_and_clears_the_outbox(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus, event = FakeBus(), unsubscribed(tenant)
    emit(app_role, bus, event)
    recorder = Recorder(PostgresEventLog(platform_role))
    assert recorder.record([on_bus(bus.entries[0]), on_bus(bus.entries[0])]) == 1
    assert recorder.record([on_bus(bus.entries[0])]) == 0
    assert (recorded(cluster, tenant), waiting(cluster, tenant)) == ([event.id], [])
    (kept,) = PostgresEvents(app_role).page(tenant, EventQuery(), None, 10).items
    assert (kept.type, kept.aggregate_id, kept.sequence) == (event.type, event.aggregate_id, kept.payload["sequence"])


def test_what_is_recorded_is_what_the_outbox_said_whatever_the_bus_brought(
    app_role: Database, platform_role: Database, tenant: UUID
) -> None:
    bus, event = FakeBus(), unsubscribed(tenant)
    emit(app_role, bus, event)
    forged = {**json.loads(bus.entries[0].detail), "data": {"contact_id": "forged"}}
    Recorder(PostgresEventLog(platform_role)).record([foreign(forged)])
    (kept,) = PostgresEvents(app_role).page(tenant, EventQuery(), None, 10).items
    assert (kept.source, kept.payload["data"]) == ("email_sender.messaging", event.data)


def test_an_event_of_a_registered_source_belongs_to_its_tenant_whatever_it_says(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID, new_tenant: Callable[[], UUID]
) -> None:
    other, source = new_tenant(), f"crm-{tenant}"
    cluster.do("insert into event_sources (account, source, tenant_id) values (%s, %s, %s)", ACCOUNT, source, tenant)
    event = foreign({"id": str(new_id()), "tenant_id": str(other), "n": 1}, source)
    unregistered = foreign({"tenant_id": str(other)}, source, account="111111111111")
    assert Recorder(PostgresEventLog(platform_role)).record([event, unregistered]) == 2
    assert (recorded(cluster, tenant), recorded(cluster, other)) == ([event.id], [])
    assert unregistered.id in recorded(cluster, PLATFORM_TENANT)


def test_the_same_foreign_event_twice_is_stored_once(platform_role: Database) -> None:
    event, recorder = foreign({"n": 1}), Recorder(PostgresEventLog(platform_role))
    assert [recorder.record([event, event]), recorder.record([event])] == [1, 0]


@pytest.mark.parametrize(
    "odd",
    [
        {"a\0b": ["x\0y", {"z": "\0"}]},
        {"a": "\ud800", "\udfff": ["ok \ud83d"]},
        {"a": [float("inf"), float("-inf"), float("nan")]},
        ["a list\0"],
        "a string",
        None,
        {"a": 10**400},
    ],
    ids=["NUL", "half a surrogate pair", "not a number", "list", "string", "null", "huge"],
)
def test_an_odd_foreign_event_is_stored_and_does_not_hold_up_its_batch(
    platform_role: Database, cluster: Cluster, odd: Any
) -> None:
    good, event = foreign({"n": 1}), foreign(odd)
    assert Recorder(PostgresEventLog(platform_role)).record([event, good]) == 2
    assert {event.id, good.id} <= set(recorded(cluster, PLATFORM_TENANT))


def test_an_event_of_any_time_is_stored(platform_role: Database, cluster: Cluster) -> None:
    old = BusEvent(new_id(), ACCOUNT, "crm", "Old", datetime(1999, 12, 31, tzinfo=UTC), {})
    late = BusEvent(new_id(), ACCOUNT, "crm", "Late", datetime(2190, 1, 1, tzinfo=UTC), {})
    assert Recorder(PostgresEventLog(platform_role)).record([old, late]) == 2


def test_a_tenants_own_event_goes_out_under_its_source_and_comes_back_to_it(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus = FakeBus()
    event = own_event(new_id(), tenant, "crm", "LeadCreated", {"n": 1}, datetime.now(UTC), "c-1")
    emit(app_role, bus, event)
    assert (bus.entries[0].source, bus.entries[0].type) == ("crm", "LeadCreated")
    Recorder(PostgresEventLog(platform_role)).record([on_bus(bus.entries[0])])
    assert recorded(cluster, tenant) == [event.id]


def test_events_are_paged_newest_first_each_once_and_by_what_is_asked(
    app_role: Database, platform_role: Database, tenant: UUID
) -> None:
    bus = FakeBus()
    made = [own_event(new_id(), tenant, "crm", f"T{n % 2}", {}, datetime.now(UTC), f"c-{n}") for n in range(5)]
    emit(app_role, bus, *made)
    Recorder(PostgresEventLog(platform_role)).record([on_bus(entry) for entry in bus.entries])
    events = PostgresEvents(app_role)
    seen: list[UUID] = []
    cursor: str | None = None
    for _ in range(3):
        page = events.page(tenant, EventQuery(), cursor, 2)
        seen += [each.id for each in page.items]
        cursor = page.next_cursor
    assert (seen, cursor) == ([each.id for each in made[::-1]], None)
    assert len(events.page(tenant, EventQuery(type="T1"), None, 10).items) == 2
    assert len(events.page(tenant, EventQuery(correlation_id="c-3"), None, 10).items) == 1
    assert events.page(tenant, EventQuery(source="other"), None, 10).items == []


@pytest.mark.parametrize("cursor", ["", "~", "2026-01-01T00:00:00+00:00", "x~y", "2026-01-01~nope", "\0~\0"])
def test_a_cursor_that_is_not_ours_is_refused(app_role: Database, tenant: UUID, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        PostgresEvents(app_role).page(tenant, EventQuery(), cursor, 10)
