"""The lifecycle of managers: their desired state, their observed state, and the transitions between states."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID, uuid5

from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT, Event, EventFactory
from email_sender.coordination.registry import ManagerGraph
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
    def is_active(self) -> bool:
        return self in (Status.RUNNING, Status.DEGRADED)


_OBSERVABLE = frozenset({Status.RUNNING, Status.DEGRADED, Status.FAILED, Status.NOT_CONFIGURED})
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.NOT_CONFIGURED: frozenset({Status.INITIALIZING}),
    Status.INITIALIZING: _OBSERVABLE | {Status.STOPPING},
    Status.RUNNING: _OBSERVABLE | {Status.STOPPING},
    Status.DEGRADED: _OBSERVABLE | {Status.STOPPING},
    Status.FAILED: _OBSERVABLE | {Status.STOPPING, Status.INITIALIZING},
    Status.STOPPING: frozenset({Status.STOPPED}),
    Status.STOPPED: frozenset({Status.INITIALIZING}),
}


class Desired(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class State:
    """A manager's row. `revision` counts its transitions; `figures` are its own figures as last observed."""

    name: str
    status: Status = Status.INITIALIZING
    desired: Desired = Desired.RUNNING
    reason: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    observed_at: datetime | None = None
    changed_at: datetime | None = None
    changed_by: str | None = None
    revision: int = 0

    def transition_to(self, new_status: Status, at: datetime, reason: str | None = None) -> "State":
        """Return the state after a transition. Raises Conflict if the transition is not allowed."""
        if new_status is self.status:
            return replace(self, reason=reason)
        if new_status not in TRANSITIONS[self.status]:
            raise Conflict(f"The {self.name} is {self.status} and cannot become {new_status}.")
        return replace(self, status=new_status, reason=reason, changed_at=at, revision=self.revision + 1)


class ManagerUnit(Protocol):
    """A transaction that locks every manager's row, so that concurrent changes run one after the other."""

    def states(self) -> Mapping[str, State]:
        """Lock and return the state of every manager by name. Missing rows are created."""

    def save(self, states: Sequence[State]) -> None: ...

    def emit(self, event: Event) -> None: ...

    def audit(self, entry: AuditEntry) -> None: ...

    def commit(self) -> None: ...


type ManagerUnits = Callable[[], AbstractContextManager[ManagerUnit]]


class ManagerResources(Protocol):
    """The deployed resources of managers: functions, the queues they read, and the schedules that invoke them."""

    def disable(self, manager: str) -> None:
        """Disable the manager's queues and schedules: its queues retain messages. Idempotent. Raises Unavailable."""

    def enable(self, manager: str) -> None:
        """Enable the manager's queues and schedules. Idempotent. Raises Unavailable."""

    def source_counts(self) -> Mapping[str, tuple[int, int]]:
        """Return how many queues and schedules of each manager are enabled, and how many are disabled."""


class Lifecycle:
    """Stops, starts and restarts managers. A call first stores the desired state, then applies it.

    If a process dies between the two, the manager stays `stopping` or `initializing`, and the next call of
    `apply_desired_states` continues.
    """

    def __init__(
        self, graph: ManagerGraph, units: ManagerUnits, resources: ManagerResources, events: EventFactory
    ) -> None:
        self._graph, self._units, self._resources = graph, units, resources
        self._events, self._now = events, events.now

    def stop(self, name: str, subject: str, *, cascade: bool = False) -> State:
        """Stop a manager; with `cascade`, first stop the running managers that depend on it.

        Raises:
            NotFound: the manager does not exist.
            Conflict: the manager is not deployed, or without `cascade` a running manager depends on it.
            Unavailable: the database or AWS did not respond.
        """
        self._request_stop(name, subject, Desired.STOPPED, "manager.stop", cascade=cascade)
        return self.apply_desired_states()[name]

    def restart(self, name: str, subject: str, *, cascade: bool = False) -> State:
        """Stop a manager, and start it again with all managers that were stopped for it. Raises as `stop` does."""
        self._request_stop(name, subject, Desired.RESTARTED, "manager.restart", cascade=cascade)
        return self.apply_desired_states()[name]

    def start(self, name: str, subject: str, *, cascade: bool = False) -> State:
        """Start a manager; with `cascade`, first start the stopped managers that it depends on.

        Raises:
            NotFound: the manager does not exist.
            Conflict: the manager is not deployed, or without `cascade` a manager that it depends on is stopped.
            Unavailable: the database or AWS did not respond.
        """
        manager = self._graph[name]
        with self._units() as unit:
            states = unit.states()
            _require_deployed(states[name])
            stopped_dependencies = [
                dependency
                for dependency in self._graph.dependencies(name)
                if states[dependency].desired is Desired.STOPPED
            ]
            if stopped_dependencies and not cascade:
                raise Conflict(
                    f"The {manager.name} depends on stopped managers: {', '.join(stopped_dependencies)}. "
                    "Start them first, "
                    "or use cascade=true."
                )
            managers_to_start = [
                candidate for candidate in [*stopped_dependencies, name] if states[candidate].desired is Desired.STOPPED
            ]
            for manager_name in managers_to_start:
                # A manager that is still stopping first completes its stop and is then started again.
                desired = Desired.RESTARTED if states[manager_name].status is Status.STOPPING else Desired.RUNNING
                self._set_desired(unit, states[manager_name], desired, subject, "manager.start")
            unit.commit()
        return self.apply_desired_states()[name]

    def apply_desired_states(self) -> Mapping[str, State]:
        """Apply the desired states: first stop managers, dependents first, then start managers, dependencies first.

        Returns the state of every manager by name. Raises Unavailable.
        """
        with self._units() as unit:
            states = dict(unit.states())
            for name in reversed(self._graph.order):
                if states[name].status is Status.STOPPING:
                    self._resources.disable(name)
                    states[name] = self._transition(unit, states[name], Status.STOPPED)
                    if states[name].desired is Desired.RESTARTED:
                        states[name] = replace(states[name], desired=Desired.RUNNING)
            for name in self._graph.order:
                state = states[name]
                if state.status is Status.STOPPED and state.desired is Desired.RUNNING:
                    self._resources.enable(name)
                    initializing_state = state.transition_to(Status.INITIALIZING, self._now())
                    states[name] = self._transition(unit, initializing_state, Status.RUNNING)
            unit.save(list(states.values()))
            unit.commit()
        return states

    def reconcile(self) -> Sequence[str]:
        """Correct queues and schedules that a deployment or a person has switched against the desired state.

        They are read first, without a lock; the decision uses the desired state at the time of the correction. Returns
        the names of the corrected managers.
        """
        source_counts = self._resources.source_counts()
        corrected_managers = []
        with self._units() as unit:
            for name, state in unit.states().items():
                enabled_count, disabled_count = source_counts.get(name, (0, 0))
                if state.status is Status.STOPPED and enabled_count:
                    self._resources.disable(name)
                elif (state.status.is_active or state.status is Status.FAILED) and disabled_count:
                    self._resources.enable(name)
                else:
                    continue
                corrected_managers.append(name)
        return corrected_managers

    def _request_stop(self, name: str, subject: str, desired: Desired, action: str, *, cascade: bool) -> None:
        manager = self._graph[name]
        with self._units() as unit:
            states = unit.states()
            _require_deployed(states[name])
            running_dependents = [dependent for dependent in self._graph.dependents(name) if _is_up(states[dependent])]
            if running_dependents and not cascade:
                raise Conflict(
                    f"Running managers depend on the {manager.name}: {', '.join(running_dependents)}. Stop them first, "
                    "or use cascade=true."
                )
            for manager_name in [*running_dependents, name]:
                if _is_up(states[manager_name]):
                    self._set_desired(unit, states[manager_name], desired, subject, action)
            unit.commit()

    def _set_desired(self, unit: ManagerUnit, state: State, desired: Desired, subject: str, action: str) -> None:
        now = self._now()
        new_state = replace(state, desired=desired, changed_by=subject)
        if desired is not Desired.RUNNING and state.status is not Status.STOPPING:
            new_state = new_state.transition_to(Status.STOPPING, now)
        unit.save([new_state])
        unit.audit(AuditEntry(now, subject, action, state.name, {"was": state.status, "wanted": desired}))

    def _transition(self, unit: ManagerUnit, state: State, new_status: Status) -> State:
        new_state = state.transition_to(new_status, self._now())
        event_type = "manager.stopped" if new_status is Status.STOPPED else "manager.started"
        unit.emit(build_event(self._events, new_state, event_type))
        return new_state


def build_event(events: EventFactory, state: State, event_type: str) -> Event:
    """Return the event of a transition. A transition has a fixed event id, so it is published once."""
    return events.build(
        event_type,
        PLATFORM_TENANT,
        state.name,
        {"manager": state.name, "status": state.status, "reason": state.reason, "by": state.changed_by},
        event_id=uuid5(PLATFORM_TENANT, f"{state.name}/{state.revision}/{event_type}"),
        priority=1,
    )


def manager_id(name: str) -> UUID:
    return uuid5(PLATFORM_TENANT, f"manager/{name}")


def _is_up(state: State) -> bool:
    return state.desired is not Desired.STOPPED and state.status not in (Status.NOT_CONFIGURED, Status.STOPPED)


def _require_deployed(state: State) -> None:
    if state.status is Status.NOT_CONFIGURED:
        raise Conflict(f"The {state.name} is not deployed and cannot be started or stopped.")
