"""Managers' lives: what is wanted of each, what is seen of it, and the way from one to the other."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID, uuid5

from email_sender.coordination.auditing import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT, Event
from email_sender.coordination.registry import Graph
from email_sender.errors import Conflict


class Status(StrEnum):
    NOT_CONFIGURED = "not_configured"
    INITIALIZING = "initializing"
    RUNNING = "running"
    DEGRADED = "degraded"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def active(self) -> bool:
        return self in (Status.RUNNING, Status.DEGRADED)


_SEEN = frozenset({Status.RUNNING, Status.DEGRADED, Status.FAILED, Status.NOT_CONFIGURED})
MOVES: Mapping[Status, frozenset[Status]] = {
    Status.NOT_CONFIGURED: frozenset({Status.INITIALIZING}),
    Status.INITIALIZING: _SEEN | {Status.STOPPING},
    Status.RUNNING: _SEEN | {Status.STOPPING},
    Status.DEGRADED: _SEEN | {Status.STOPPING},
    Status.FAILED: _SEEN | {Status.STOPPING, Status.INITIALIZING},
    Status.STOPPING: frozenset({Status.STOPPED}),
    Status.STOPPED: frozenset({Status.INITIALIZING}),
}


class Desired(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class State:
    """A manager's row. `revision` counts the moves; `figures` are its own, as last seen."""

    name: str
    status: Status = Status.INITIALIZING
    desired: Desired = Desired.RUNNING
    reason: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    observed_at: datetime | None = None
    changed_at: datetime | None = None
    changed_by: str | None = None
    revision: int = 0

    def moved(self, to: Status, at: datetime, reason: str | None = None) -> "State":
        """Raises Conflict for a move that there is not."""
        if to is self.status:
            return replace(self, reason=reason)
        if to not in MOVES[self.status]:
            raise Conflict(f"The {self.name} is {self.status} and cannot become {to}.")
        return replace(self, status=to, reason=reason, changed_at=at, revision=self.revision + 1)


class ManagerUnit(Protocol):
    """A transaction that holds every manager's row: two operators, or two sandboxes, take turns."""

    def states(self) -> Mapping[str, State]: ...

    def save(self, states: Sequence[State]) -> None: ...

    def emit(self, event: Event) -> None: ...

    def audit(self, entry: AuditEntry) -> None: ...

    def commit(self) -> None: ...


type ManagerUnits = Callable[[], AbstractContextManager[ManagerUnit]]


class Parts(Protocol):
    """What of a manager is deployed: its functions, the queues they read, their clocks."""

    def close(self, manager: str) -> None:
        """Its queues keep what comes, its clocks do not ring. Doing it again changes nothing. Raises Unavailable."""

    def open(self, manager: str) -> None:
        """The reverse."""

    def switched(self) -> Mapping[str, tuple[int, int]]:
        """How many queues and clocks of each manager are on, and how many off."""


class Lifecycle:
    """Stop, start, restart: first what is wanted is written, then it is done, by whoever comes by.

    A process that dies between the two leaves a manager `stopping` or `initializing`, and the next settle goes on.
    """

    def __init__(self, graph: Graph, units: ManagerUnits, parts: Parts, now: Callable[[], datetime]) -> None:
        self._graph, self._units, self._parts, self._now = graph, units, parts, now

    def stop(self, name: str, subject: str, *, cascade: bool = False) -> State:
        """Raises NotFound, Conflict where another that runs needs it, Unavailable."""
        self._ask_to_stop(name, subject, Desired.STOPPED, "manager.stop", cascade=cascade)
        return self.settle()[name]

    def restart(self, name: str, subject: str, *, cascade: bool = False) -> State:
        """The same, and those that were stopped for it come back with it."""
        self._ask_to_stop(name, subject, Desired.RESTARTED, "manager.restart", cascade=cascade)
        return self.settle()[name]

    def start(self, name: str, subject: str, *, cascade: bool = False) -> State:
        """Raises NotFound, Conflict where what it needs is stopped or none of it is deployed, Unavailable."""
        manager = self._graph[name]
        with self._units() as unit:
            states = unit.states()
            _refuse_absent(states[name])
            stopped = [each for each in self._graph.needs(name) if states[each].desired is Desired.STOPPED]
            if stopped and not cascade:
                raise Conflict(
                    f"The {manager.name} needs {', '.join(stopped)}, which is stopped: start that first, or ask with "
                    "cascade=true."
                )
            wanted = [each for each in [*stopped, name] if states[each].desired is Desired.STOPPED]
            for each in wanted:
                # One that is still stopping goes on to its stop and comes back from there.
                soon = Desired.RESTARTED if states[each].status is Status.STOPPING else Desired.RUNNING
                self._want(unit, states[each], soon, subject, "manager.start")
            unit.commit()
        return self.settle()[name]

    def settle(self) -> Mapping[str, State]:
        """Do what is wanted and not done: stops in reverse order of need, then starts in order."""
        with self._units() as unit:
            states = dict(unit.states())
            for name in reversed(self._graph.order):
                if states[name].status is Status.STOPPING:
                    self._parts.close(name)
                    states[name] = self._move(unit, states[name], Status.STOPPED)
                    if states[name].desired is Desired.RESTARTED:
                        states[name] = replace(states[name], desired=Desired.RUNNING)
            for name in self._graph.order:
                state = states[name]
                if state.status is Status.STOPPED and state.desired is Desired.RUNNING:
                    self._parts.open(name)
                    begun = state.moved(Status.INITIALIZING, self._now())
                    states[name] = self._move(unit, begun, Status.RUNNING)
            unit.save(list(states.values()))
            unit.commit()
        return states

    def reconcile(self) -> Sequence[str]:
        """Switch what a deployment, or somebody by hand, has switched otherwise than it is wanted. Returns whose.

        Looked at first and without holding anything; decided on what is wanted now.
        """
        switched = self._parts.switched()
        corrected = []
        with self._units() as unit:
            for name, state in unit.states().items():
                on, off = switched.get(name, (0, 0))
                if state.status is Status.STOPPED and on:
                    self._parts.close(name)
                elif (state.status.active or state.status is Status.FAILED) and off:
                    self._parts.open(name)
                else:
                    continue
                corrected.append(name)
        return corrected

    def _ask_to_stop(self, name: str, subject: str, desired: Desired, action: str, *, cascade: bool) -> None:
        manager = self._graph[name]
        with self._units() as unit:
            states = unit.states()
            _refuse_absent(states[name])
            others = [each for each in self._graph.dependents(name) if _is_up(states[each])]
            if others and not cascade:
                raise Conflict(
                    f"The {manager.name} is needed by {', '.join(others)}: stop these first, or ask with cascade=true."
                )
            for each in [*others, name]:
                if _is_up(states[each]):
                    self._want(unit, states[each], desired, subject, action)
            unit.commit()

    def _want(self, unit: ManagerUnit, state: State, desired: Desired, subject: str, action: str) -> None:
        now = self._now()
        wanted = replace(state, desired=desired, changed_by=subject)
        if desired is not Desired.RUNNING and state.status is not Status.STOPPING:
            wanted = wanted.moved(Status.STOPPING, now)
        unit.save([wanted])
        unit.audit(AuditEntry(now, subject, action, state.name, {"was": state.status, "wanted": desired}))

    def _move(self, unit: ManagerUnit, state: State, to: Status) -> State:
        moved = state.moved(to, self._now())
        unit.emit(told(moved, "manager.stopped" if to is Status.STOPPED else "manager.started", self._now()))
        return moved


def told(state: State, kind: str, at: datetime) -> Event:
    """The event of a move. One move has one id, so that it is told once."""
    return Event(
        id=uuid5(PLATFORM_TENANT, f"{state.name}/{state.revision}/{kind}"),
        type=kind,
        area="coordinator",
        tenant_id=PLATFORM_TENANT,
        aggregate_id=state.name,
        occurred_at=at,
        data={"manager": state.name, "status": state.status, "reason": state.reason, "by": state.changed_by},
        priority=1,
    )


def state_id(name: str) -> UUID:
    return uuid5(PLATFORM_TENANT, f"manager/{name}")


def _is_up(state: State) -> bool:
    return state.desired is not Desired.STOPPED and state.status not in (Status.NOT_CONFIGURED, Status.STOPPED)


def _refuse_absent(state: State) -> None:
    if state.status is Status.NOT_CONFIGURED:
        raise Conflict(f"Nothing of the {state.name} is deployed here: there is nothing to start or stop.")
