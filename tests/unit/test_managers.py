"""Managers: who needs whom, what is closed, and how they stop, start, fail and come back."""

from datetime import UTC, datetime, timedelta

import pytest

from email_sender.coordination.gate import Gate
from email_sender.coordination.managers import MOVES, Desired, Lifecycle, State, Status
from email_sender.coordination.observing import Check, Finding, Observer, StatusService
from email_sender.coordination.registry import MANAGERS, Graph, Kind, Manager, manager_of
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


class Platform:
    """Four managers that run."""

    def __init__(self) -> None:
        self.graph = Graph(DIAMOND)
        self.managers = MemoryManagers(self.graph.order)
        self.parts = MemoryParts(self.graph.order)
        self.checks: dict[str, Check] = dict.fromkeys(self.graph.order, Finding)
        self.now = AT
        self.observer = Observer(self.graph, self.managers, self.checks, dict, lambda: self.now)
        self.lifecycle = Lifecycle(self.graph, self.managers, self.parts, lambda: self.now)
        self.observer.observe()
        self.managers.events.clear()

    def statuses(self) -> dict[str, str]:
        return {name: self.managers.rows[name].status.value for name in sorted(self.managers.rows)}

    def told(self) -> list[str]:
        return [f"{each.type} {each.aggregate_id}" for each in self.managers.events]


@pytest.fixture
def platform() -> Platform:
    return Platform()


def test_the_order_is_one_in_which_everything_comes_after_what_it_needs() -> None:
    for graph in (Graph(DIAMOND), Graph()):
        place = {name: number for number, name in enumerate(graph.order)}
        for name in graph.order:
            assert all(place[need] < place[name] for need in graph[name].depends_on)
    assert len(Graph().order) == len(MANAGERS) == 21


def test_needs_and_dependents_go_all_the_way() -> None:
    graph = Graph(DIAMOND)
    assert graph.needs("d") == ["a", "b", "c"]
    assert list(graph.dependents("a")) == ["d", "c", "b"]
    assert graph.needs("a") == []
    assert Graph().dependents("load-balancer") == []


@pytest.mark.parametrize(
    ("managers", "said"),
    [
        ([Manager("a", Kind.CORE, "", ("b",)), Manager("b", Kind.CORE, "", ("a",))], "in a circle: a, b"),
        ([Manager("a", Kind.CORE, "", ("a",))], "in a circle: a"),
        ([Manager("a", Kind.CORE, "", ("ghost",))], "no manager ghost"),
        ([Manager("a", Kind.CORE, ""), Manager("a", Kind.CORE, "")], "two managers called a"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(managers: list[Manager], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Graph(managers)


def test_an_unknown_manager_is_not_found_and_the_known_are_named() -> None:
    with pytest.raises(NotFound, match="There are: a, b, c, d"):
        Graph(DIAMOND)["nobody"]


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
def test_a_path_is_the_managers_with_the_longest_prefix(path: str, owner: str | None) -> None:
    assert manager_of(path) == owner


def test_the_gate_asks_every_two_seconds_and_keeps_what_it_knew_while_nobody_answers() -> None:
    now, stopped, asked = [0.0], {"vectorization"}, []

    def ask() -> set[str]:
        asked.append(now[0])
        if now[0] >= 4:
            raise Unavailable("down")
        return set(stopped)

    gate = Gate(ask, lambda: now[0])
    with pytest.raises(ManagerStopped) as refused:
        gate.check_path("/vectors/search")
    assert refused.value.retry_after == 5
    gate.check_path("/contacts")
    stopped.clear()
    now[0] = 1.9
    with pytest.raises(ManagerStopped):
        gate.check("vectorization")
    assert asked == [0.0]
    now[0] = 2.0
    gate.check("vectorization")
    stopped.add("vectorization")
    now[0] = 4.5
    gate.check("vectorization")
    assert asked == [0.0, 2.0, 4.5]


def test_a_stopped_gateway_closes_all_but_what_starts_it_again() -> None:
    gate = Gate(lambda: ["api-gateway"])
    for path in ("/vectors/search", "/contacts", "/nothing"):
        with pytest.raises(ManagerStopped):
            gate.check_path(path)
    for path in ("/managers/api-gateway/start", "/health", "/unsubscribe/t"):
        gate.check_path(path)


def test_every_move_but_the_named_is_refused() -> None:
    for before in Status:
        for after in Status:
            state = State("a", status=before)
            if after is before or after in MOVES[before]:
                assert state.moved(after, AT).status is after
            else:
                with pytest.raises(Conflict, match="cannot become"):
                    state.moved(after, AT)


def test_a_stop_is_refused_while_another_needs_it(platform: Platform) -> None:
    with pytest.raises(Conflict, match="needed by d, c, b"):
        platform.lifecycle.stop("a", "olga")
    assert set(platform.statuses().values()) == {"running"}
    assert platform.managers.entries == []
    assert platform.parts.calls == []


def test_a_cascade_stops_in_reverse_and_starts_in_order(platform: Platform) -> None:
    platform.lifecycle.stop("a", "olga", cascade=True)
    assert platform.parts.calls == ["close d", "close c", "close b", "close a"]
    assert set(platform.statuses().values()) == {"stopped"}
    platform.parts.calls.clear()
    with pytest.raises(Conflict, match="needs a, b, c"):
        platform.lifecycle.start("d", "olga")
    platform.lifecycle.start("d", "olga", cascade=True)
    assert platform.parts.calls == ["open a", "open b", "open c", "open d"]
    assert set(platform.statuses().values()) == {"running"}
    assert platform.told() == [
        *(f"manager.stopped {name}" for name in "dcba"),
        *(f"manager.started {name}" for name in "abcd"),
    ]
    assert [(each.subject, each.action, each.object) for each in platform.managers.entries] == [
        *(("olga", "manager.stop", name) for name in "dcba"),
        *(("olga", "manager.start", name) for name in "abcd"),
    ]


def test_asking_twice_changes_nothing(platform: Platform) -> None:
    for _ in range(2):
        platform.lifecycle.stop("d", "olga")
    assert platform.told() == ["manager.stopped d"]
    assert len(platform.managers.entries) == 1
    for _ in range(2):
        platform.lifecycle.start("d", "olga")
    assert platform.told() == ["manager.stopped d", "manager.started d"]
    assert len(platform.managers.entries) == 2


def test_a_stop_whose_second_half_failed_is_finished_by_the_next_settle(platform: Platform) -> None:
    platform.parts.fails = Unavailable("AWS did not answer.")
    with pytest.raises(Unavailable):
        platform.lifecycle.stop("d", "olga")
    assert platform.statuses()["d"] == "stopping"
    assert platform.managers.rows["d"].desired is Desired.STOPPED
    assert platform.told() == []
    platform.lifecycle.settle()
    assert platform.statuses()["d"] == "stopped"
    assert platform.told() == ["manager.stopped d"]
    # And one that was asked to start while it still stopped comes back.
    platform.lifecycle.start("d", "olga")
    platform.parts.fails = Unavailable("AWS did not answer.")
    with pytest.raises(Unavailable):
        platform.lifecycle.stop("d", "olga")
    platform.lifecycle.start("d", "otto")
    assert platform.statuses()["d"] == "running"
    assert "d" in platform.parts.open_ones


def test_a_start_whose_second_half_failed_is_finished_by_the_next_settle(platform: Platform) -> None:
    platform.lifecycle.stop("d", "olga")
    platform.parts.fails = Unavailable("AWS did not answer.")
    with pytest.raises(Unavailable):
        platform.lifecycle.start("d", "olga")
    assert "d" not in platform.parts.open_ones
    platform.lifecycle.settle()
    assert platform.statuses()["d"] == "running"


def test_what_somebody_switched_otherwise_is_switched_back(platform: Platform) -> None:
    platform.lifecycle.stop("d", "olga")
    assert platform.lifecycle.reconcile() == []
    # A deployment makes it anew, switched on; and by hand another was switched off.
    platform.parts.open_ones = {"a", "c", "d"}
    assert platform.lifecycle.reconcile() == ["b", "d"]
    assert platform.parts.open_ones == {"a", "b", "c"}
    assert platform.statuses() == {"a": "running", "b": "running", "c": "running", "d": "stopped"}


def test_a_restart_brings_back_those_that_were_stopped_for_it_and_no_others(platform: Platform) -> None:
    platform.lifecycle.stop("d", "olga")
    platform.parts.calls.clear()
    with pytest.raises(Conflict, match="needed by c, b"):
        platform.lifecycle.restart("a", "olga")
    platform.lifecycle.restart("a", "olga", cascade=True)
    assert platform.parts.calls == ["close c", "close b", "close a", "open a", "open b", "open c"]
    assert platform.statuses() == {"a": "running", "b": "running", "c": "running", "d": "stopped"}


def test_what_is_not_deployed_can_be_neither_stopped_nor_started(platform: Platform) -> None:
    del platform.checks["d"]
    platform.observer.observe()
    assert platform.statuses()["d"] == "not_configured"
    for change in (platform.lifecycle.stop, platform.lifecycle.start, platform.lifecycle.restart):
        with pytest.raises(Conflict, match="Nothing of the d is deployed"):
            change("d", "olga")
    platform.lifecycle.stop("a", "olga", cascade=True)
    assert platform.statuses() == {"a": "stopped", "b": "stopped", "c": "stopped", "d": "not_configured"}


def test_a_failure_and_a_recovery_are_told_once(platform: Platform) -> None:
    def fails() -> Finding:
        raise Unavailable("It did not answer.")

    platform.checks["b"] = fails
    for _ in range(3):
        platform.observer.observe()
    assert platform.told() == ["manager.failed b"]
    assert platform.managers.rows["b"].reason == "It did not answer."
    platform.checks["b"] = lambda: Finding(Status.DEGRADED, "Slow.", {"ms": 9})
    platform.observer.observe()
    assert platform.told() == ["manager.failed b", "manager.recovered b"]
    assert platform.managers.rows["b"].figures == {"ms": 9, "functions": 0}
    platform.checks["b"] = Finding
    platform.observer.observe()
    assert platform.told() == ["manager.failed b", "manager.recovered b"]
    assert platform.managers.rows["b"].reason is None


def test_what_is_seen_of_a_stopped_one_does_not_start_it(platform: Platform) -> None:
    platform.lifecycle.stop("d", "olga")
    platform.observer.observe()
    assert platform.statuses()["d"] == "stopped"


def test_the_truth_is_told_while_the_database_is_away(platform: Platform) -> None:
    service = StatusService(platform.observer, platform.graph, lambda: platform.now)
    platform.lifecycle.stop("d", "olga")
    assert [each.status.value for each in service.states()] == ["running", "running", "running", "stopped"]
    platform.managers.down = True
    platform.checks["b"] = lambda: Finding(Status.FAILED, "Gone.")
    assert service.states()[1].status is Status.RUNNING, "asked again too soon"
    platform.now += timedelta(seconds=4)
    seen = {each.name: each for each in service.states()}
    assert {name: each.status.value for name, each in seen.items()} == {
        "a": "failed", "b": "failed", "c": "running", "d": "stopped",
    }  # fmt: skip
    assert seen["a"].reason == "The database did not answer."
    assert seen["b"].reason == "Gone."
    platform.managers.down = False
    platform.checks["b"] = Finding
    platform.now += timedelta(seconds=4)
    assert [each.status.value for each in service.states()] == ["running", "running", "running", "stopped"]
