"""The fake and PostgreSQL store managers in the same way."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from email_sender.adapters.postgres.managers import StoppedManagers, manager_units
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import EventFactory
from email_sender.coordination.lifecycle import Desired, Lifecycle, ManagerUnits, State, Status, build_event
from email_sender.coordination.registry import Kind, Manager, ManagerGraph
from tests.database import Cluster
from tests.fakes.managers import MemoryManagers, MemoryParts

AT = datetime(2026, 5, 4, tzinfo=UTC)
EVENTS = EventFactory("coordinator", lambda: AT, uuid4)
NAMES = ("contract-a", "contract-b")


@dataclass
class ManagerStore:
    units: ManagerUnits
    cluster: Cluster | None
    memory: MemoryManagers | None

    def events(self) -> list[str]:
        if self.memory is not None:
            return [event.type for event in self.memory.events]
        assert self.cluster is not None
        rows = self.cluster.query(
            "select type from outbox where detail->>'aggregate_id' like 'contract-%%' order by sequence"
        )
        return [row["type"] for row in rows]


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[ManagerStore]:
    if request.param == "memory":
        memory = MemoryManagers(NAMES)
        yield ManagerStore(memory, None, memory)
        return
    yield ManagerStore(manager_units(cluster.database("platform"), NAMES, None), cluster, None)
    cluster.execute("delete from managers where name like 'contract-%%'")
    cluster.execute("delete from outbox where detail->>'aggregate_id' like 'contract-%%'")


def state_with(**changes: Any) -> State:
    return State("contract-a", **changes)


def test_every_manager_has_a_state_from_the_beginning(store: ManagerStore) -> None:
    with store.units() as unit:
        assert unit.states() == {name: State(name) for name in NAMES}


def test_only_committed_changes_are_stored(store: ManagerStore) -> None:
    saved_state = state_with(
        status=Status.DEGRADED, desired=Desired.RUNNING, reason="Slow, 'very'.", figures={"a": [1, None], "é": 2.5},
        observed_at=AT, changed_at=AT, changed_by="olga", revision=7,
    )  # fmt: skip
    with store.units() as unit:
        unit.states()
        unit.save([saved_state])
        unit.emit(build_event(EVENTS, saved_state, "manager.started"))
        unit.audit(AuditEntry(AT, "olga", "manager.start", "contract-a", {"was": "stopped"}))
        unit.commit()
    with store.units() as unit:
        assert unit.states()["contract-a"] == saved_state
        unit.save([state_with()])
        unit.emit(build_event(EVENTS, saved_state, "manager.failed"))
    with store.units() as unit:
        assert unit.states()["contract-a"] == saved_state
    assert store.events() == ["manager.started"]


def test_a_status_change_publishes_one_event(store: ManagerStore) -> None:
    for _ in range(2):
        with store.units() as unit:
            unit.states()
            unit.emit(build_event(EVENTS, state_with(revision=3), "manager.stopped"))
            unit.commit()
    assert store.events() == ["manager.stopped"]


def test_execution_environments_see_the_stopped_managers(cluster: Cluster) -> None:
    stopped_managers = StoppedManagers(cluster.database("app"))
    units = manager_units(cluster.database("platform"), NAMES, None)
    graph = ManagerGraph([Manager("contract-a", Kind.CORE, ""), Manager("contract-b", Kind.CORE, "", ("contract-a",))])
    lifecycle = Lifecycle(graph, units, MemoryParts(NAMES), EVENTS)
    with units() as unit:
        unit.save([state.transition_to(Status.RUNNING, AT) for state in unit.states().values()])
        unit.commit()
    try:
        assert not set(stopped_managers()) & set(NAMES)
        assert lifecycle.stop("contract-b", "olga").status is Status.STOPPED
        assert set(stopped_managers()) & set(NAMES) == {"contract-b"}
        lifecycle.start("contract-b", "olga")
        assert not set(stopped_managers()) & set(NAMES)
    finally:
        cluster.execute("delete from managers where name like 'contract-%%'")
