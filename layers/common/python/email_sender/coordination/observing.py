"""What is seen of the managers: each one's health, and a figure of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from email_sender.coordination.managers import MOVES, Desired, ManagerUnit, ManagerUnits, State, Status, told
from email_sender.coordination.registry import Graph
from email_sender.errors import DomainError, Unavailable

# However often it is asked.
_KEPT = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Finding:
    """`status` RUNNING, DEGRADED or FAILED, in words where it is not the first."""

    status: Status = Status.RUNNING
    reason: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


type Check = Callable[[], Finding]
"""Raises DomainError for a failure that it has no better words for."""


class Observer:
    def __init__(
        self,
        graph: Graph,
        units: ManagerUnits,
        checks: Mapping[str, Check],
        deployed: Callable[[], Mapping[str, int]],
        now: Callable[[], datetime],
    ) -> None:
        """A manager without a check is not configured. `deployed` counts each one's functions."""
        self._graph, self._units, self._checks, self._deployed, self._now = graph, units, checks, deployed, now

    def look(self) -> Mapping[str, Finding]:
        """Every check, once. None of them raises."""
        return {name: _run(check) for name, check in self._checks.items()}

    def observe(self) -> Sequence[State]:
        """Look, write what is seen, and tell of what changed. Raises Unavailable where it cannot be written."""
        seen, deployed = self.look(), self._deployed()
        with self._units() as unit:
            states = unit.states()
            after = [
                self._seen(unit, states[name], seen.get(name), deployed.get(name, 0)) for name in self._graph.order
            ]
            unit.save(after)
            unit.commit()
        return after

    def _seen(self, unit: ManagerUnit, before: State, finding: Finding | None, functions: int) -> State:
        now = self._now()
        if finding is None:
            if before.status is Status.NOT_CONFIGURED or Status.NOT_CONFIGURED not in MOVES[before.status]:
                return replace(before, observed_at=now)
            return replace(before.moved(Status.NOT_CONFIGURED, now, "Nothing of it is deployed."), observed_at=now)
        if before.status in (Status.STOPPING, Status.STOPPED) or before.desired is Desired.STOPPED:
            return replace(before, observed_at=now)
        if before.status is Status.NOT_CONFIGURED:
            before = before.moved(Status.INITIALIZING, now)
        after = before.moved(finding.status, now, finding.reason)
        after = replace(after, figures={**finding.figures, "functions": functions}, observed_at=now)
        if kind := _told(before.status, after.status):
            unit.emit(told(after, kind, now))
        return after


def _told(before: Status, after: Status) -> str | None:
    if before is Status.INITIALIZING and after.active:
        return "manager.started"
    if before is not Status.FAILED and after is Status.FAILED:
        return "manager.failed"
    return "manager.recovered" if before is Status.FAILED and after.active else None


def _run(check: Check) -> Finding:
    try:
        return check()
    except DomainError as error:
        return Finding(Status.FAILED, error.detail)


class StatusService:
    """What is known of the managers now, looked at anew every few seconds at most, also while none can be written."""

    def __init__(self, observer: Observer, graph: Graph, now: Callable[[], datetime]) -> None:
        self._observer, self._graph, self._now = observer, graph, now
        self._last: Mapping[str, State] = {}
        self._looked_at: datetime | None = None

    def states(self) -> Sequence[State]:
        if self._looked_at is None or self._now() - self._looked_at > _KEPT:
            try:
                found = self._observer.observe()
            except Unavailable as error:
                found = self._unwritten(error)
            self._last = {each.name: each for each in found}
            self._looked_at = self._now()
        return [self._last[name] for name in self._graph.order]

    def look_once(self) -> None:
        if not self._last:
            self.states()

    def forget(self) -> None:
        self._looked_at = None

    def _unwritten(self, error: Unavailable) -> Sequence[State]:
        """The rows cannot be read: what was wanted is what was wanted last, and what is seen is seen all the same."""
        seen, now = self._observer.look(), self._now()
        states = []
        for name in self._graph.order:
            before = self._last.get(name, State(name))
            finding = seen.get(name)
            if finding is None or before.status in (Status.STOPPED, Status.STOPPING):
                after = replace(before, status=before.status if finding else Status.NOT_CONFIGURED)
            else:
                after = replace(before, status=finding.status, reason=finding.reason, figures=finding.figures)
            if name == self._graph.order[0]:
                after = replace(after, status=Status.FAILED, reason=error.detail)
            states.append(replace(after, observed_at=now))
        return states
