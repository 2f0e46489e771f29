"""Whose an event is: by the outbox and the registered sources, never by its own word."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from email_sender.coordination.events import PLATFORM_TENANT, StoredEvent
from email_sender.coordination.recording import BusEvent, Owners, Recorder
from email_sender.kit.ambient import new_id

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
TENANT, OTHER = UUID(int=1), UUID(int=2)


class FakeLog:
    def __init__(self) -> None:
        self.outbox: dict[UUID, StoredEvent] = {}
        self.events: dict[UUID, StoredEvent] = {}
        self.sources = {("111", "crm"): TENANT}

    def announced(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        return {each: self.outbox[each] for each in ids if each in self.outbox}

    def recorded(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        return {each: self.events[each] for each in ids if each in self.events}

    def tenants_of(self, sources: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], UUID]:
        return {each: self.sources[each] for each in sources if each in self.sources}

    def move(self, ids: Sequence[UUID]) -> tuple[Collection[UUID], int]:
        moved = {each: self.outbox.pop(each) for each in dict.fromkeys(ids) if each in self.outbox}
        return moved.keys(), self.store(list(moved.values()))

    def store(self, events: Sequence[StoredEvent]) -> int:
        new = {each.id: each for each in events if each.id not in self.events}
        self.events |= new
        return len(new)


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


def ours(log: FakeLog) -> StoredEvent:
    event = StoredEvent(new_id(), "email.sent", "email_sender.messaging", TENANT, AT, {"data": "as written"})
    log.outbox[event.id] = event
    return event


def on_bus(source: str, detail: Any, account: str = "111") -> BusEvent:
    return BusEvent(new_id(), account, source, "T", AT, detail)


def says(event: StoredEvent, **more: Any) -> dict[str, Any]:
    return {"id": str(event.id), "tenant_id": str(TENANT), **more}


def test_an_event_the_outbox_holds_is_stored_as_it_was_written_and_leaves_the_outbox(log: FakeLog) -> None:
    event = ours(log)
    assert Recorder(log).record([on_bus("email_sender.messaging", says(event, data="forged"))]) == 1
    assert (log.events, log.outbox) == ({event.id: event}, {})


def test_the_same_event_again_in_one_batch_or_later_is_stored_once(log: FakeLog) -> None:
    event = ours(log)
    batch = [on_bus("email_sender.messaging", says(event)) for _ in range(2)]
    assert [Recorder(log).record(batch), Recorder(log).record(batch)] == [1, 0]
    assert list(log.events) == [event.id]


def test_another_systems_event_belongs_to_whom_its_account_and_source_are_registered_for(log: FakeLog) -> None:
    registered, elsewhere, unknown = on_bus("crm", {}), on_bus("crm", {}, account="222"), on_bus("shop", {})
    Recorder(log).record([registered, elsewhere, unknown])
    assert [log.events[each.id].tenant_id for each in (registered, elsewhere, unknown)] == [
        TENANT,
        PLATFORM_TENANT,
        PLATFORM_TENANT,
    ]


def test_a_tenant_in_the_detail_gives_nothing(log: FakeLog) -> None:
    event = on_bus("shop", {"id": str(new_id()), "tenant_id": str(OTHER)})
    Recorder(log).record([event])
    assert log.events[event.id].tenant_id == PLATFORM_TENANT


def test_what_claims_our_source_and_is_not_in_the_outbox_is_the_platforms(log: FakeLog) -> None:
    log.sources["111", "email_sender.messaging"] = TENANT
    event = on_bus("email_sender.messaging", {"id": str(new_id()), "tenant_id": str(TENANT)})
    Recorder(log).record([event])
    assert log.events[event.id].tenant_id == PLATFORM_TENANT


@pytest.mark.parametrize("detail", ["text", 3, None, ["a"], {"id": 3, "tenant_id": "x"}, {"tenant_id": None}])
def test_a_detail_of_any_shape_is_stored_as_it_came(log: FakeLog, detail: Any) -> None:
    event = on_bus("crm", detail)
    assert Recorder(log).record([event]) == 1
    assert log.events[event.id].payload == (detail if isinstance(detail, dict) else {"detail": detail})


def test_a_batch_of_both_kinds_counts_what_is_new(log: FakeLog) -> None:
    event = ours(log)
    assert Recorder(log).record([on_bus("crm", {}), on_bus("email_sender.messaging", says(event)), on_bus("x", 1)]) == 3
    assert Recorder(log).record([]) == 0


def test_whose_an_event_is_goes_by_the_outbox_the_store_and_the_register_and_never_by_its_own_word(
    log: FakeLog,
) -> None:
    event = ours(log)
    forged = on_bus("email_sender.messaging", says(event, data="forged"))
    assert Owners(log).of(forged) == (event, True)
    Recorder(log).record([forged])
    assert Owners(log).of(forged) == (event, True), "recorded meanwhile"
    for detail in ({"id": str(new_id()), "tenant_id": str(OTHER), "data": {}}, {"tenant_id": str(OTHER)}, "text"):
        found, known = Owners(log).of(on_bus("crm", detail))
        assert (found.tenant_id, known) == (TENANT, False)
        assert Owners(log).of(on_bus("shop", detail))[0].tenant_id == PLATFORM_TENANT
