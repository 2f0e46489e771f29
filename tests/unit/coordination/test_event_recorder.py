"""Tests for the tenant of an event: the outbox and registered sources decide it, never the event itself."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from email_sender.coordination.event_recorder import BusEvent, EventOwnership, Recorder
from email_sender.coordination.events import PLATFORM_TENANT, StoredEvent
from email_sender.kit.system_clock import new_id

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)


class FakeLog:
    def __init__(self) -> None:
        self.outbox: dict[UUID, StoredEvent] = {}
        self.events: dict[UUID, StoredEvent] = {}
        self.sources = {("111", "crm"): TENANT}

    def outbox_events(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        return {event_id: self.outbox[event_id] for event_id in ids if event_id in self.outbox}

    def recorded_events(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        return {event_id: self.events[event_id] for event_id in ids if event_id in self.events}

    def tenants_of(self, sources: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], UUID]:
        return {source: self.sources[source] for source in sources if source in self.sources}

    def move_from_outbox(self, ids: Sequence[UUID]) -> tuple[Collection[UUID], int]:
        moved = {event_id: self.outbox.pop(event_id) for event_id in dict.fromkeys(ids) if event_id in self.outbox}
        return moved.keys(), self.store(list(moved.values()))

    def store(self, events: Sequence[StoredEvent]) -> int:
        new = {event.id: event for event in events if event.id not in self.events}
        self.events |= new
        return len(new)


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


def add_outbox_event(log: FakeLog) -> StoredEvent:
    event = StoredEvent(new_id(), "email.sent", "email_sender.messaging", TENANT, AT, {"data": "as written"})
    log.outbox[event.id] = event
    return event


def bus_event(source: str, detail: Any, account: str = "111") -> BusEvent:
    return BusEvent(new_id(), account, source, "T", AT, detail)


def detail_of(event: StoredEvent, **more: Any) -> dict[str, Any]:
    return {"id": str(event.id), "tenant_id": str(TENANT), **more}


def test_an_event_in_the_outbox_is_stored_as_written_and_leaves_the_outbox(log: FakeLog) -> None:
    event = add_outbox_event(log)
    assert Recorder(log).record([bus_event("email_sender.messaging", detail_of(event, data="forged"))]) == 1
    assert (log.events, log.outbox) == ({event.id: event}, {})


def test_a_repeated_event_is_stored_once(log: FakeLog) -> None:
    event = add_outbox_event(log)
    batch = [bus_event("email_sender.messaging", detail_of(event)) for _ in range(2)]
    assert [Recorder(log).record(batch), Recorder(log).record(batch)] == [1, 0]
    assert list(log.events) == [event.id]


def test_an_external_event_belongs_to_the_tenant_that_registered_its_account_and_source(log: FakeLog) -> None:
    registered, elsewhere, unknown = bus_event("crm", {}), bus_event("crm", {}, account="222"), bus_event("shop", {})
    Recorder(log).record([registered, elsewhere, unknown])
    assert [log.events[event.id].tenant_id for event in (registered, elsewhere, unknown)] == [
        TENANT,
        PLATFORM_TENANT,
        PLATFORM_TENANT,
    ]


def test_a_tenant_named_in_the_detail_is_ignored(log: FakeLog) -> None:
    event = bus_event("shop", {"id": str(new_id()), "tenant_id": str(OTHER_TENANT)})
    Recorder(log).record([event])
    assert log.events[event.id].tenant_id == PLATFORM_TENANT


def test_an_event_with_our_source_that_is_not_in_the_outbox_belongs_to_the_platform(log: FakeLog) -> None:
    log.sources["111", "email_sender.messaging"] = TENANT
    event = bus_event("email_sender.messaging", {"id": str(new_id()), "tenant_id": str(TENANT)})
    Recorder(log).record([event])
    assert log.events[event.id].tenant_id == PLATFORM_TENANT


@pytest.mark.parametrize("detail", ["text", 3, None, ["a"], {"id": 3, "tenant_id": "x"}, {"tenant_id": None}])
def test_a_detail_of_any_shape_is_stored(log: FakeLog, detail: Any) -> None:
    event = bus_event("crm", detail)
    assert Recorder(log).record([event]) == 1
    assert log.events[event.id].payload == (detail if isinstance(detail, dict) else {"detail": detail})


def test_record_returns_the_number_of_new_events(log: FakeLog) -> None:
    event = add_outbox_event(log)
    assert (
        Recorder(log).record(
            [bus_event("crm", {}), bus_event("email_sender.messaging", detail_of(event)), bus_event("x", 1)]
        )
        == 3
    )
    assert Recorder(log).record([]) == 0


def test_the_owner_comes_from_the_outbox_the_event_store_or_the_registered_sources(
    log: FakeLog,
) -> None:
    event = add_outbox_event(log)
    forged = bus_event("email_sender.messaging", detail_of(event, data="forged"))
    assert EventOwnership(log).resolve(forged) == (event, True)
    Recorder(log).record([forged])
    assert EventOwnership(log).resolve(forged) == (event, True), "already recorded"
    for detail in (
        {"id": str(new_id()), "tenant_id": str(OTHER_TENANT), "data": {}},
        {"tenant_id": str(OTHER_TENANT)},
        "text",
    ):
        stored_event, is_own = EventOwnership(log).resolve(bus_event("crm", detail))
        assert (stored_event.tenant_id, is_own) == (TENANT, False)
        assert EventOwnership(log).resolve(bus_event("shop", detail))[0].tenant_id == PLATFORM_TENANT
