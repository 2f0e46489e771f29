"""Health of the dependencies. Each is probed at most once in five seconds, however often its health is requested."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from email_sender.errors import DomainError

type Probe = Callable[[], None]
"""Returns if the dependency responds; raises DomainError if it does not."""

_CACHE_SECONDS = 5.0


class State(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Health:
    dependencies: Mapping[str, State]

    @property
    def ok(self) -> bool:
        return all(state is State.UP for state in self.dependencies.values())


class HealthService:
    def __init__(self, probes: Mapping[str, Probe], clock: Callable[[], float] = time.monotonic) -> None:
        self._probes, self._clock = probes, clock
        self._last: tuple[float, Health] | None = None

    def check(self) -> Health:
        """Return the health of all dependencies, at most five seconds old."""
        if self._last is not None and self._clock() - self._last[0] < _CACHE_SECONDS:
            return self._last[1]
        health = Health({name: _probe_state(probe) for name, probe in self._probes.items()})
        self._last = (self._clock(), health)
        return health


def _probe_state(probe: Probe) -> State:
    try:
        probe()
    except DomainError:
        return State.DOWN
    return State.UP
