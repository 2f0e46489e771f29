"""Tests for managers: their dependencies, the gate, and how they stop, start, fail and recover."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from email_sender.coordination.events import EventFactory
from email_sender.coordination.lifecycle import TRANSITIONS, Desired, Lifecycle, State, Status
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.coordination.manager_status import Finding, HealthCheck, Observer, StatusService
from email_sender.coordination.registry import MANAGERS, Kind, Manager, ManagerGraph, manager_for_path
from email_sender.errors import Conflict, InvalidInput, ManagerStopped, NotFound, Unavailable
from tests.fakes.managers import MemoryManagers, MemoryParts

AT = datetime(2026, 5, 4, tzinfo=UTC)
# d needs b and c, which need a.
DIAMOND = [
    Manager("d", Kind.CORE, "", ("b", "c")),
    Manager("b", Kind.CORE, "", ("a",)),
    Manager("c", Kind.CORE, "", ("a",)),
    Manager("a", Kind.CORE, ""),
]


class ManagersScenario:
    """Four running managers."""

    def __init__(self) -> None:
        self.graph = ManagerGraph(DIAMOND)
        self.managers = MemoryManagers(self.graph.order)
        self.parts = MemoryParts(self.graph.order)
        self.checks: dict[str, HealthCheck] = dict.fromkeys(self.graph.order, Finding)
        self.now = AT
        events = EventFactory("coordinator", lambda: self.now, uuid4)
        self.changes: list[str] = []
        self.errors: list[str] = []
        self.observer = Observer(
            self.graph,
            self.managers,
            self.checks,
            dict,
            events,
            report_change=lambda before, after: self.changes.append(f"{after.name}: {before.status} to {after.status}"),
            report_error=lambda manager, error: self.errors.append(f"{manager}: {error}"),
        )
        self.lifecycle = Lifecycle(self.graph, self.managers, self.parts, events)
        self.observer.observe()
        self.managers.events.clear()
        self.changes.clear()

    def statuses(self) -> dict[str, str]:
        return {name: self.managers.rows[name].status.value for name in sorted(self.managers.rows)}

    def published_events(self) -> list[str]:
        return [f"{event.type} {event.aggregate_id}" for event in self.managers.events]


@pytest.fixture
def scenario() -> ManagersScenario:
    return ManagersScenario()


def test_a_check_that_breaks_hides_no_other_manager(scenario: ManagersScenario) -> None:
    def broken() -> Finding:
        raise RuntimeError("permission denied")

    scenario.checks["b"] = broken
    states = {state.name: state for state in scenario.observer.observe()}
    assert states["b"].status is Status.FAILED
    assert states["b"].reason == "Its check failed with RuntimeError. The log has more."
    assert states["c"].status is Status.RUNNING
    assert scenario.errors == ["b: permission denied"]


def test_changes_of_a_status_are_reported_once(scenario: ManagersScenario) -> None:
    scenario.checks["b"] = lambda: Finding(Status.FAILED, "x")
    for _ in range(2):
        scenario.observer.observe()
    scenario.checks["b"] = Finding
    scenario.observer.observe()
    assert scenario.changes == ["b: running to failed", "b: failed to running"]


def test_every_manager_comes_after_its_dependencies() -> None:
    for graph in (ManagerGraph(DIAMOND), ManagerGraph()):
        position = {name: number for number, name in enumerate(graph.order)}
        for name in graph.order:
            assert all(position[need] < position[name] for need in graph[name].depends_on)
    assert len(ManagerGraph().order) == len(MANAGERS) == 21


def test_needs_and_dependents_are_transitive() -> None:
    graph = ManagerGraph(DIAMOND)
    assert graph.dependencies("d") == ["a", "b", "c"]
    assert list(graph.dependents("a")) == ["d", "c", "b"]
    assert graph.dependencies("a") == []
    assert ManagerGraph().dependents("load-balancer") == []


@pytest.mark.parametrize(
    ("managers", "message"),
    [
        ([Manager("a", Kind.CORE, "", ("b",)), Manager("b", Kind.CORE, "", ("a",))], "in a cycle: a, b"),
        ([Manager("a", Kind.CORE, "", ("a",))], "in a cycle: a"),
        ([Manager("a", Kind.CORE, "", ("ghost",))], "do not exist: ghost"),
        ([Manager("a", Kind.CORE, ""), Manager("a", Kind.CORE, "")], "Two managers are named a"),
    ],
)
def test_an_invalid_graph_is_rejected(managers: list[Manager], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ManagerGraph(managers)


def test_an_unknown_manager_is_not_found_and_the_known_ones_are_listed() -> None:
    with pytest.raises(NotFound, match="Known managers: a, b, c, d"):
        ManagerGraph(DIAMOND)["nobody"]


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/vectors/search", "vectorization"),
        ("/events", "central-coordinator"),
        ("/events/failed", "error-manager"),
        ("/events/failed/redrive", "error-manager"),
        ("/eventsfailed", "api-gateway"),
        ("/templates/x/preview", "ai-template-manager"),
        ("/nothing", "api-gateway"),
        ("/managers/vectorization/start", None),
        ("/health", None),
        ("/unsubscribe/v1.x", None),
    ],
)
def test_a_path_belongs_to_the_manager_with_the_longest_prefix(path: str, owner: str | None) -> None:
    assert manager_for_path(path) == owner


def test_the_gate_refreshes_every_two_seconds_and_keeps_its_state_during_an_outage() -> None:
    now, stopped, read_times = [0.0], {"vectorization"}, []

    def read_stopped_managers() -> set[str]:
        read_times.append(now[0])
        if now[0] >= 4:
            raise Unavailable("down")
        return set(stopped)

    gate = ManagerGate(read_stopped_managers, lambda: now[0])
    with pytest.raises(ManagerStopped) as caught:
        gate.check_path("/vectors/search")
    assert caught.value.retry_after == 5
    gate.check_path("/contacts")
    stopped.clear()
    now[0] = 1.9
    with pytest.raises(ManagerStopped):
        gate.check("vectorization")
    assert read_times == [0.0]
    now[0] = 2.0
    gate.check("vectorization")
    stopped.add("vectorization")
    now[0] = 4.5
    gate.check("vectorization")
    assert read_times == [0.0, 2.0, 4.5]


def test_a_stopped_gateway_closes_every_path_except_those_that_are_always_open() -> None:
    gate = ManagerGate(lambda: ["api-gateway"])
    for path in ("/vectors/search", "/contacts", "/nothing"):
        with pytest.raises(ManagerStopped):
            gate.check_path(path)
    for path in ("/managers/api-gateway/start", "/health", "/unsubscribe/t"):
        gate.check_path(path)


def test_only_transitions_in_the_table_are_allowed() -> None:
    for before in Status:
        for after in Status:
            state = State("a", status=before)
            if after is before or after in TRANSITIONS[before]:
                assert state.transition_to(after, AT).status is after
            else:
                with pytest.raises(Conflict, match="cannot become"):
                    state.transition_to(after, AT)


def test_a_stop_is_rejected_while_another_manager_depends_on_it(scenario: ManagersScenario) -> None:
    with pytest.raises(Conflict, match="depend on the a: d, c, b"):
        scenario.lifecycle.stop("a", "olga")
    assert set(scenario.statuses().values()) == {"running"}
    assert scenario.managers.entries == []
    assert scenario.parts.calls == []


def test_a_cascade_stops_dependents_first_and_starts_dependencies_first(scenario: ManagersScenario) -> None:
    scenario.lifecycle.stop("a", "olga", cascade=True)
    assert scenario.parts.calls == ["close d", "close c", "close b", "close a"]
    assert set(scenario.statuses().values()) == {"stopped"}
    scenario.parts.calls.clear()
    with pytest.raises(Conflict, match="depends on stopped managers: a, b, c"):
        scenario.lifecycle.start("d", "olga")
    scenario.lifecycle.start("d", "olga", cascade=True)
    assert scenario.parts.calls == ["open a", "open b", "open c", "open d"]
    assert set(scenario.statuses().values()) == {"running"}
    assert scenario.published_events() == [
        *(f"manager.stopped {name}" for name in "dcba"),
        *(f"manager.started {name}" for name in "abcd"),
    ]
    assert [(entry.subject, entry.action, entry.object) for entry in scenario.managers.entries] == [
        *(("olga", "manager.stop", name) for name in "dcba"),
        *(("olga", "manager.start", name) for name in "abcd"),
    ]


def test_a_repeated_stop_or_start_changes_nothing(scenario: ManagersScenario) -> None:
    for _ in range(2):
        scenario.lifecycle.stop("d", "olga")
    assert scenario.published_events() == ["manager.stopped d"]
    assert len(scenario.managers.entries) == 1
    for _ in range(2):
        scenario.lifecycle.start("d", "olga")
    assert scenario.published_events() == ["manager.stopped d", "manager.started d"]
    assert len(scenario.managers.entries) == 2


def test_an_interrupted_stop_is_finished_by_the_next_settle(scenario: ManagersScenario) -> None:
    scenario.parts.fails = Unavailable("AWS did not answer.")
    with pytest.raises(Unavailable):
        scenario.lifecycle.stop("d", "olga")
    assert scenario.statuses()["d"] == "stopping"
    assert scenario.managers.rows["d"].desired is Desired.STOPPED
    assert scenario.published_events() == []
    scenario.lifecycle.apply_desired_states()
    assert scenario.statuses()["d"] == "stopped"
    assert scenario.published_events() == ["manager.stopped d"]
    # A manager that is started while it is still stopping comes back.
    scenario.lifecycle.start("d", "olga")
    scenario.parts.fails = Unavailable("AWS did not answer.")
    with pytest.raises(Unavailable):
        scenario.lifecycle.stop("d", "olga")
    scenario.lifecycle.start("d", "otto")
    assert scenario.statuses()["d"] == "running"
    assert "d" in scenario.parts.open_managers


def test_an_interrupted_start_is_finished_by_the_next_settle(scenario: ManagersScenario) -> None:
    scenario.lifecycle.stop("d", "olga")
    scenario.parts.fails = Unavailable("AWS did not answer.")
    with pytest.raises(Unavailable):
        scenario.lifecycle.start("d", "olga")
    assert "d" not in scenario.parts.open_managers
    scenario.lifecycle.apply_desired_states()
    assert scenario.statuses()["d"] == "running"


def test_event_sources_switched_by_others_are_switched_back(scenario: ManagersScenario) -> None:
    scenario.lifecycle.stop("d", "olga")
    assert scenario.lifecycle.reconcile() == []
    # A deployment has recreated d with its sources on, and somebody has manually switched off those of b.
    scenario.parts.open_managers = {"a", "c", "d"}
    assert scenario.lifecycle.reconcile() == ["b", "d"]
    assert scenario.parts.open_managers == {"a", "b", "c"}
    assert scenario.statuses() == {"a": "running", "b": "running", "c": "running", "d": "stopped"}


def test_a_restart_starts_only_the_managers_that_it_stopped(scenario: ManagersScenario) -> None:
    scenario.lifecycle.stop("d", "olga")
    scenario.parts.calls.clear()
    with pytest.raises(Conflict, match="depend on the a: c, b"):
        scenario.lifecycle.restart("a", "olga")
    scenario.lifecycle.restart("a", "olga", cascade=True)
    assert scenario.parts.calls == ["close c", "close b", "close a", "open a", "open b", "open c"]
    assert scenario.statuses() == {"a": "running", "b": "running", "c": "running", "d": "stopped"}


def test_a_manager_that_is_not_deployed_can_be_neither_stopped_nor_started(scenario: ManagersScenario) -> None:
    del scenario.checks["d"]
    scenario.observer.observe()
    assert scenario.statuses()["d"] == "not_configured"
    for change in (scenario.lifecycle.stop, scenario.lifecycle.start, scenario.lifecycle.restart):
        with pytest.raises(Conflict, match="The d is not deployed"):
            change("d", "olga")
    scenario.lifecycle.stop("a", "olga", cascade=True)
    assert scenario.statuses() == {"a": "stopped", "b": "stopped", "c": "stopped", "d": "not_configured"}


def test_a_failure_and_a_recovery_are_published_once(scenario: ManagersScenario) -> None:
    def fails() -> Finding:
        raise Unavailable("It did not answer.")

    scenario.checks["b"] = fails
    for _ in range(3):
        scenario.observer.observe()
    assert scenario.published_events() == ["manager.failed b"]
    assert scenario.managers.rows["b"].reason == "It did not answer."
    scenario.checks["b"] = lambda: Finding(Status.DEGRADED, "Slow.", {"ms": 9})
    scenario.observer.observe()
    assert scenario.published_events() == ["manager.failed b", "manager.recovered b"]
    assert scenario.managers.rows["b"].figures == {"ms": 9, "functions": 0}
    scenario.checks["b"] = Finding
    scenario.observer.observe()
    assert scenario.published_events() == ["manager.failed b", "manager.recovered b"]
    assert scenario.managers.rows["b"].reason is None


def test_an_observation_does_not_start_a_stopped_manager(scenario: ManagersScenario) -> None:
    scenario.lifecycle.stop("d", "olga")
    scenario.observer.observe()
    assert scenario.statuses()["d"] == "stopped"


def test_the_status_is_observed_directly_while_the_database_is_down(scenario: ManagersScenario) -> None:
    service = StatusService(scenario.observer, scenario.graph, lambda: scenario.now)
    scenario.lifecycle.stop("d", "olga")
    assert [state.status.value for state in service.states()] == ["running", "running", "running", "stopped"]
    scenario.managers.down = True
    scenario.checks["b"] = lambda: Finding(Status.FAILED, "Gone.")
    assert service.states()[1].status is Status.RUNNING, "the cached states are still fresh"
    scenario.now += timedelta(seconds=4)
    states = {state.name: state for state in service.states()}
    assert {name: state.status.value for name, state in states.items()} == {
        "a": "failed", "b": "failed", "c": "running", "d": "stopped",
    }  # fmt: skip
    assert states["a"].reason == "The database did not answer."
    assert states["b"].reason == "Gone."
    scenario.managers.down = False
    scenario.checks["b"] = Finding
    scenario.now += timedelta(seconds=4)
    assert [state.status.value for state in service.states()] == ["running", "running", "running", "stopped"]


def test_operators_see_states_whatever_breaks_when_they_are_stored(
    scenario: ManagersScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right that is missing is no answer of the domain, so no DomainError says it."""

    def refuse(*_: object) -> None:
        raise PermissionError("permission denied for table outbox")

    service = StatusService(scenario.observer, scenario.graph, lambda: scenario.now)
    monkeypatch.setattr(scenario.observer, "_units", refuse)
    states = {state.name: state for state in service.states()}
    assert states["a"].status is Status.FAILED
    assert states["a"].reason == "The states could not be stored: PermissionError. The log of ObserveFunction has more."
    assert states["b"].status is Status.RUNNING
