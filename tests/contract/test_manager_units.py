"""The fake and PostgreSQL keep managers alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from email_sender.adapters.postgres.managers import StoppedManagers, manager_units
from email_sender.coordination.auditing import AuditEntry
from email_sender.coordination.managers import Desired, Lifecycle, ManagerUnits, State, Status, told
from email_sender.coordination.registry import Graph, Kind, Manager
from tests.database import Cluster
from tests.fakes.managers import MemoryManagers, MemoryParts

AT = datetime(2026, 5, 4, tzinfo=UTC)
NAMES = ("contract-a", "contract-b")


@dataclass
class Store:
    units: ManagerUnits
    cluster: Cluster | None
    memory: MemoryManagers | None

    def events(self) -> list[str]:
        if self.memory is not None:
            return [each.type for each in self.memory.events]
        assert self.cluster is not None
        rows = self.cluster.look(
            "select type from outbox where detail->>'aggregate_id' like 'contract-%%' order by sequence"
        )
        return [row["type"] for row in rows]


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Store]:
    if request.param == "memory":
        memory = MemoryManagers(NAMES)
        yield Store(memory, None, memory)
        return
    yield Store(manager_units(cluster.database("platform"), NAMES, None), cluster, None)
    cluster.do("delete from managers where name like 'contract-%%'")
    cluster.do("delete from outbox where detail->>'aggregate_id' like 'contract-%%'")


def changed(**changes: Any) -> State:
    return State("contract-a", **changes)


def test_each_manager_is_there_from_the_beginning(store: Store) -> None:
    with store.units() as unit:
        assert unit.states() == {name: State(name) for name in NAMES}


def test_what_is_committed_is_kept_and_nothing_else(store: Store) -> None:
    wanted = changed(
        status=Status.DEGRADED, desired=Desired.RUNNING, reason="Slow, 'very'.", figures={"a": [1, None], "é": 2.5},
        observed_at=AT, changed_at=AT, changed_by="olga", revision=7,
    )  # fmt: skip
    with store.units() as unit:
        unit.states()
        unit.save([wanted])
        unit.emit(told(wanted, "manager.started", AT))
        unit.audit(AuditEntry(AT, "olga", "manager.start", "contract-a", {"was": "stopped"}))
        unit.commit()
    with store.units() as unit:
        assert unit.states()["contract-a"] == wanted
        unit.save([changed()])
        unit.emit(told(wanted, "manager.failed", AT))
    with store.units() as unit:
        assert unit.states()["contract-a"] == wanted
    assert store.events() == ["manager.started"]


def test_a_move_is_told_once(store: Store) -> None:
    for _ in range(2):
        with store.units() as unit:
            unit.states()
            unit.emit(told(changed(revision=3), "manager.stopped", AT))
            unit.commit()
    assert store.events() == ["manager.stopped"]


def test_the_stopped_are_what_sandboxes_see(cluster: Cluster) -> None:
    seen = StoppedManagers(cluster.database("app"))
    units = manager_units(cluster.database("platform"), NAMES, None)
    graph = Graph([Manager("contract-a", Kind.CORE, ""), Manager("contract-b", Kind.CORE, "", ("contract-a",))])
    lives = Lifecycle(graph, units, MemoryParts(NAMES), lambda: AT)
    with units() as unit:
        unit.save([each.moved(Status.RUNNING, AT) for each in unit.states().values()])
        unit.commit()
    try:
        assert not set(seen()) & set(NAMES)
        assert lives.stop("contract-b", "olga").status is Status.STOPPED
        assert set(seen()) & set(NAMES) == {"contract-b"}
        lives.start("contract-b", "olga")
        assert not set(seen()) & set(NAMES)
    finally:
        cluster.do("delete from managers where name like 'contract-%%'")
