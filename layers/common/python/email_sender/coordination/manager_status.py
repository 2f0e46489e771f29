"""Observes managers: runs their health checks, stores the resulting states, and publishes changes of status."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from email_sender.coordination.events import EventFactory
from email_sender.coordination.lifecycle import (
    TRANSITIONS,
    Desired,
    ManagerUnit,
    ManagerUnits,
    State,
    Status,
    build_event,
)
from email_sender.coordination.registry import ManagerGraph
from email_sender.errors import DomainError, Unavailable

# Managers are observed at most once in this time, however often their status is requested.
_CACHE_LIFETIME = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a health check. `status` is RUNNING, DEGRADED or FAILED; `reason` explains the latter two."""

    status: Status = Status.RUNNING
    reason: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


type HealthCheck = Callable[[], Finding]
"""Raises DomainError for a failure; the error's text becomes the reason."""


def build_finding(
    problems: Mapping[str, bool], figures: Mapping[str, Any], status: Status = Status.DEGRADED
) -> Finding:
    """Return a finding with `status` if a problem applies. `problems` maps each sentence to whether it applies."""
    reasons = [sentence for sentence, applies in problems.items() if applies]
    return Finding(status if reasons else Status.RUNNING, " ".join(reasons) or None, figures)


class Observer:
    def __init__(
        self,
        graph: ManagerGraph,
        units: ManagerUnits,
        checks: Mapping[str, HealthCheck],
        count_functions: Callable[[], Mapping[str, int]],
        events: EventFactory,
        report_change: Callable[[State, State], None] = lambda _before, _after: None,
        report_error: Callable[[str, Exception], None] = lambda _manager, _error: None,
    ) -> None:
        """`count_functions` counts each manager's deployed functions. A manager without a check is not configured.

        `report_change` gets a manager's state before and after each change of its status that was stored, and
        `report_error` an error of a check that no check should have.
        """
        self._graph, self._units, self._checks, self._count_functions = graph, units, checks, count_functions
        self._events, self._now = events, events.now
        self._report_change, self._report_error = report_change, report_error

    def run_checks(self) -> Mapping[str, Finding]:
        """Run every check once. Return the findings by manager. Never raises."""
        return {name: self._run_check(name, check) for name, check in self._checks.items()}

    def _run_check(self, name: str, check: HealthCheck) -> Finding:
        try:
            return check()
        except DomainError as error:
            return Finding(Status.FAILED, error.detail)
        except Exception as error:  # a check that breaks must not hide the state of all other managers
            self._report_error(name, error)
            return Finding(Status.FAILED, f"Its check failed with {type(error).__name__}. The log has more.")

    def observe(self) -> Sequence[State]:
        """Run the checks, store the states and publish changes. Raises Unavailable if the states cannot be stored."""
        findings, function_counts = self.run_checks(), self._count_functions()
        with self._units() as unit:
            states = unit.states()
            observed_states = [
                self._observed_state(unit, states[name], findings.get(name), function_counts.get(name, 0))
                for name in self._graph.order
            ]
            unit.save(observed_states)
            unit.commit()
        for state in observed_states:
            if state.status is not states[state.name].status:
                self._report_change(states[state.name], state)
        return observed_states

    def _observed_state(self, unit: ManagerUnit, before: State, finding: Finding | None, functions: int) -> State:
        now = self._now()
        if finding is None:
            if before.status is Status.NOT_CONFIGURED or Status.NOT_CONFIGURED not in TRANSITIONS[before.status]:
                return replace(before, observed_at=now)
            return replace(
                before.transition_to(Status.NOT_CONFIGURED, now, "This manager is not deployed."), observed_at=now
            )
        if before.status in (Status.STOPPING, Status.STOPPED) or before.desired is Desired.STOPPED:
            return replace(before, observed_at=now)
        if before.status is Status.NOT_CONFIGURED:
            before = before.transition_to(Status.INITIALIZING, now)
        after = before.transition_to(finding.status, now, finding.reason)
        after = replace(after, figures={**finding.figures, "functions": functions}, observed_at=now)
        if event_type := _event_type_for(before.status, after.status):
            unit.emit(build_event(self._events, after, event_type))
        return after


def _event_type_for(before: Status, after: Status) -> str | None:
    if before is Status.INITIALIZING and after.is_active:
        return "manager.started"
    if before is not Status.FAILED and after is Status.FAILED:
        return "manager.failed"
    return "manager.recovered" if before is Status.FAILED and after.is_active else None


class StatusService:
    """Returns the states of managers, at most a few seconds old. Works even if the states cannot be stored."""

    def __init__(self, observer: Observer, graph: ManagerGraph, now: Callable[[], datetime]) -> None:
        self._observer, self._graph, self._now = observer, graph, now
        self._last: Mapping[str, State] = {}
        self._observed_at: datetime | None = None

    def states(self) -> Sequence[State]:
        """Return the state of every manager, each after its dependencies."""
        if self._observed_at is None or self._now() - self._observed_at > _CACHE_LIFETIME:
            try:
                states = self._observer.observe()
            except Unavailable as error:
                states = self._states_without_database(error.detail)
            except Exception as error:  # operators need the other states most when something unexpected is broken
                reason = f"The states could not be stored: {type(error).__name__}. The log of ObserveFunction has more."
                states = self._states_without_database(reason)
            self._last = {state.name: state for state in states}
            self._observed_at = self._now()
        return [self._last[name] for name in self._graph.order]

    def ensure_observed(self) -> None:
        """Observe the managers if they have not been observed yet."""
        if not self._last:
            self.states()

    def invalidate(self) -> None:
        """Discard the cached states, so that the next call observes again."""
        self._observed_at = None

    def _states_without_database(self, reason: str) -> Sequence[State]:
        """Build the states from the last known desired states and from new findings, without the database."""
        findings, now = self._observer.run_checks(), self._now()
        states = []
        for name in self._graph.order:
            before = self._last.get(name, State(name))
            finding = findings.get(name)
            if finding is None or before.status in (Status.STOPPED, Status.STOPPING):
                after = replace(before, status=before.status if finding else Status.NOT_CONFIGURED)
            else:
                after = replace(before, status=finding.status, reason=finding.reason, figures=finding.figures)
            if name == self._graph.order[0]:
                after = replace(after, status=Status.FAILED, reason=reason)
            states.append(replace(after, observed_at=now))
        return states
