"""From a change to its recorded event, on PostgreSQL: the bus and the queues may lose events, the outbox may not."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Lock
from typing import Any, LiteralString
from uuid import UUID

import pytest

from email_sender.adapters.aws.eventbridge import encode_detail
from email_sender.adapters.postgres import event_log
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.event_log import EventQuery, OutboxRelay, PostgresEventLog, PostgresEvents
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.coordination.event_recorder import BusEvent, Recorder
from email_sender.coordination.events import MAX_EVENT_BYTES, PLATFORM_TENANT, BusEntry, Event
from email_sender.coordination.tenant_events import build_tenant_event
from email_sender.errors import InvalidInput, PayloadTooLarge, Unavailable
from email_sender.kit.system_clock import new_id
from tests.database import Cluster

ACCOUNT = "000000000000"


class FakeBus:
    def __init__(self, *, is_up: bool = True) -> None:
        self.is_up = is_up
        self.entries: list[BusEntry] = []
        self._lock = Lock()

    def put(self, entries: list[BusEntry]) -> list[bool]:
        if not self.is_up:
            raise Unavailable("The event bus did not answer.")
        with self._lock:
            self.entries += entries
        return [True] * len(entries)


def unsubscribed_event(tenant: UUID) -> Event:
    contact = str(new_id())
    return Event(
        new_id(), "contact.unsubscribed", "messaging", tenant, contact, datetime.now(UTC), {"contact_id": contact}
    )


def commit_events(app: Database, bus: FakeBus | None, *events: Event) -> None:
    with Units(app, bus)(events[0].tenant_id) as unit:
        for event in events:
            unit.emit(event)
        unit.commit()


def tenant_event(tenant: UUID, text: str) -> Event:
    return build_tenant_event(new_id(), tenant, "crm", "LeadCreated", {"text": text}, datetime.now(UTC))


def test_an_event_too_large_for_the_bus_is_not_written(app_role: Database, tenant: UUID, cluster: Cluster) -> None:
    bus = FakeBus()
    envelope_bytes = len(encode_detail(tenant_event(tenant, "").detail()))
    for text in (
        "x" * (MAX_EVENT_BYTES - envelope_bytes + 1),
        "ü" * (MAX_EVENT_BYTES // 2),
        "\ud800" * MAX_EVENT_BYTES,
    ):
        with pytest.raises(PayloadTooLarge, match="240000 bytes"):
            commit_events(app_role, bus, tenant_event(tenant, text))
    assert cluster.query("select id from outbox where tenant_id = %s", tenant) == []
    commit_events(app_role, bus, tenant_event(tenant, "x" * (MAX_EVENT_BYTES - envelope_bytes)))
    assert [len(entry.detail) > MAX_EVENT_BYTES - 1 for entry in bus.entries] == [True]


@pytest.mark.parametrize("statement", [event_log._MOVE, event_log._DUE])
def test_moving_events_takes_linear_time_with_the_statistics_of_an_empty_outbox(
    statement: LiteralString, cluster: Cluster
) -> None:
    cluster.execute("delete from outbox")
    cluster.execute("analyze outbox")
    parameter = "array[gen_random_uuid()]" if "any(%s)" in statement else "500"
    plan = cluster.query("explain " + statement.replace("%s", parameter))
    assert "Nested Loop" not in "\n".join(row["QUERY PLAN"] for row in plan)


def delivered_event(entry: BusEntry) -> BusEvent:
    """Return the entry as EventBridge delivers it: in an envelope with its own id."""
    return BusEvent(new_id(), ACCOUNT, entry.source, entry.type, datetime.now(UTC), json.loads(entry.detail))


def foreign_event(detail: Any, source: str = "crm", account: str = ACCOUNT) -> BusEvent:
    return BusEvent(new_id(), account, source, "LeadCreated", datetime.now(UTC), detail)


def outbox_ids(cluster: Cluster, tenant: UUID) -> list[UUID]:
    return [row["id"] for row in cluster.query("select id from outbox where tenant_id = %s order by sequence", tenant)]


def make_due(cluster: Cluster, tenant: UUID) -> None:
    """Make the tenant's outbox events due now and those of other tests due in a day."""
    cluster.execute("update outbox set next_attempt_at = now() + interval '1 day' where tenant_id <> %s", tenant)
    cluster.execute("update outbox set next_attempt_at = now() where tenant_id = %s", tenant)


def recorded_ids(cluster: Cluster, tenant: UUID) -> list[UUID]:
    return [row["id"] for row in cluster.query("select id from events where tenant_id = %s order by id", tenant)]


def test_without_a_commit_neither_change_nor_event_is_stored(
    app_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus = FakeBus()
    with Units(app_role, bus)(tenant) as unit:
        unit.conn.execute("insert into threads (id, tenant_id) values (%s, %s)", [new_id(), tenant])
        unit.emit(unsubscribed_event(tenant))
    assert (cluster.query("select 1 from threads where tenant_id = %s", tenant), outbox_ids(cluster, tenant)) == (
        [],
        [],
    )
    assert bus.entries == []


def test_an_error_after_the_event_rolls_back_both(app_role: Database, cluster: Cluster, tenant: UUID) -> None:
    def change() -> None:
        with Units(app_role, None)(tenant) as unit:
            unit.emit(unsubscribed_event(tenant))
            raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        change()
    assert outbox_ids(cluster, tenant) == []


def test_a_committed_event_is_published_with_its_sequence_and_stays_in_the_outbox(
    app_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus, events = FakeBus(), [unsubscribed_event(tenant), unsubscribed_event(tenant)]
    commit_events(app_role, bus, *events)
    details = [json.loads(entry.detail) for entry in bus.entries]
    assert [detail["id"] for detail in details] == [str(event.id) for event in events]
    assert details[0]["sequence"] < details[1]["sequence"]
    assert outbox_ids(cluster, tenant) == [event.id for event in events]


def test_a_commit_succeeds_while_the_bus_is_down_and_the_relay_publishes_later(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus, event = FakeBus(is_up=False), unsubscribed_event(tenant)
    commit_events(app_role, bus, event)
    make_due(cluster, tenant)
    relay = OutboxRelay(platform_role, bus)
    with pytest.raises(Unavailable):
        relay.sweep()
    bus.is_up = True
    assert relay.sweep() == 0, "an attempt that failed is not repeated at once"
    make_due(cluster, tenant)
    assert relay.sweep() == 1
    assert json.loads(bus.entries[0].detail)["id"] == str(event.id)


def test_the_relay_waits_for_the_recorder_before_it_publishes_again(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    cluster.execute("update outbox set next_attempt_at = now() + interval '1 day'")
    bus = FakeBus()
    commit_events(app_role, bus, unsubscribed_event(tenant))
    assert OutboxRelay(platform_role, bus).sweep() == 0


def test_concurrent_relays_share_the_work(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    events = [unsubscribed_event(tenant) for _ in range(40)]
    commit_events(app_role, None, *events)
    make_due(cluster, tenant)
    bus = FakeBus()
    with ThreadPoolExecutor(4) as threads:
        published_counts = list(threads.map(lambda _: OutboxRelay(platform_role, bus).sweep(limit=10), range(4)))
    while count := OutboxRelay(platform_role, bus).sweep(limit=10):
        published_counts.append(count)
    assert sum(published_counts) == 40
    assert {json.loads(entry.detail)["id"] for entry in bus.entries} == {str(event.id) for event in events}


def test_the_recorder_stores_our_event_once_under_its_own_id_and_clears_the_outbox(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus, event = FakeBus(), unsubscribed_event(tenant)
    commit_events(app_role, bus, event)
    recorder = Recorder(PostgresEventLog(platform_role))
    assert recorder.record([delivered_event(bus.entries[0]), delivered_event(bus.entries[0])]) == 1
    assert recorder.record([delivered_event(bus.entries[0])]) == 0
    assert (recorded_ids(cluster, tenant), outbox_ids(cluster, tenant)) == ([event.id], [])
    (recorded_event,) = PostgresEvents(app_role).page(tenant, EventQuery(), None, 10).items
    assert (recorded_event.type, recorded_event.aggregate_id, recorded_event.sequence) == (
        event.type,
        event.aggregate_id,
        recorded_event.payload["sequence"],
    )


def test_the_recorder_stores_the_outbox_content_whatever_the_bus_delivers(
    app_role: Database, platform_role: Database, tenant: UUID
) -> None:
    bus, event = FakeBus(), unsubscribed_event(tenant)
    commit_events(app_role, bus, event)
    forged_detail = {**json.loads(bus.entries[0].detail), "data": {"contact_id": "forged"}}
    Recorder(PostgresEventLog(platform_role)).record([foreign_event(forged_detail)])
    (recorded_event,) = PostgresEvents(app_role).page(tenant, EventQuery(), None, 10).items
    assert (recorded_event.source, recorded_event.payload["data"]) == ("email_sender.messaging", event.data)


def test_an_event_of_a_registered_source_belongs_to_its_tenant_whatever_tenant_it_names(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID, new_tenant: Callable[[], UUID]
) -> None:
    other_tenant, source = new_tenant(), f"crm-{tenant}"
    cluster.execute(
        "insert into event_sources (account, source, tenant_id) values (%s, %s, %s)", ACCOUNT, source, tenant
    )
    event = foreign_event({"id": str(new_id()), "tenant_id": str(other_tenant), "n": 1}, source)
    unregistered_event = foreign_event({"tenant_id": str(other_tenant)}, source, account="111111111111")
    assert Recorder(PostgresEventLog(platform_role)).record([event, unregistered_event]) == 2
    assert (recorded_ids(cluster, tenant), recorded_ids(cluster, other_tenant)) == ([event.id], [])
    assert unregistered_event.id in recorded_ids(cluster, PLATFORM_TENANT)


def test_a_repeated_foreign_event_is_stored_once(platform_role: Database) -> None:
    event, recorder = foreign_event({"n": 1}), Recorder(PostgresEventLog(platform_role))
    assert [recorder.record([event, event]), recorder.record([event])] == [1, 0]


@pytest.mark.parametrize(
    "detail",
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
def test_an_unusual_foreign_event_is_stored_and_does_not_block_its_batch(
    platform_role: Database, cluster: Cluster, detail: Any
) -> None:
    good_event, event = foreign_event({"n": 1}), foreign_event(detail)
    assert Recorder(PostgresEventLog(platform_role)).record([event, good_event]) == 2
    assert {event.id, good_event.id} <= set(recorded_ids(cluster, PLATFORM_TENANT))


def test_an_event_with_any_timestamp_is_stored(platform_role: Database, cluster: Cluster) -> None:
    old_event = BusEvent(new_id(), ACCOUNT, "crm", "Old", datetime(1999, 12, 31, tzinfo=UTC), {})
    late_event = BusEvent(new_id(), ACCOUNT, "crm", "Late", datetime(2190, 1, 1, tzinfo=UTC), {})
    assert Recorder(PostgresEventLog(platform_role)).record([old_event, late_event]) == 2


def test_a_tenants_own_event_is_published_under_its_source_and_recorded_for_the_tenant(
    app_role: Database, platform_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    bus = FakeBus()
    event = build_tenant_event(new_id(), tenant, "crm", "LeadCreated", {"n": 1}, datetime.now(UTC), "c-1")
    commit_events(app_role, bus, event)
    assert (bus.entries[0].source, bus.entries[0].type) == ("crm", "LeadCreated")
    Recorder(PostgresEventLog(platform_role)).record([delivered_event(bus.entries[0])])
    assert recorded_ids(cluster, tenant) == [event.id]


def test_events_are_paged_newest_first_without_duplicates_and_filtered(
    app_role: Database, platform_role: Database, tenant: UUID
) -> None:
    bus = FakeBus()
    published_events = [
        build_tenant_event(new_id(), tenant, "crm", f"T{n % 2}", {}, datetime.now(UTC), f"c-{n}") for n in range(5)
    ]
    commit_events(app_role, bus, *published_events)
    Recorder(PostgresEventLog(platform_role)).record([delivered_event(entry) for entry in bus.entries])
    events = PostgresEvents(app_role)
    paged_ids: list[UUID] = []
    cursor: str | None = None
    for _ in range(3):
        page = events.page(tenant, EventQuery(), cursor, 2)
        paged_ids += [event.id for event in page.items]
        cursor = page.next_cursor
    assert (paged_ids, cursor) == ([event.id for event in published_events[::-1]], None)
    assert len(events.page(tenant, EventQuery(type="T1"), None, 10).items) == 2
    assert len(events.page(tenant, EventQuery(correlation_id="c-3"), None, 10).items) == 1
    assert events.page(tenant, EventQuery(source="other"), None, 10).items == []


@pytest.mark.parametrize("cursor", ["", "~", "2026-01-01T00:00:00+00:00", "x~y", "2026-01-01~nope", "\0~\0"])
def test_an_invalid_cursor_is_refused(app_role: Database, tenant: UUID, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        PostgresEvents(app_role).page(tenant, EventQuery(), cursor, 10)
