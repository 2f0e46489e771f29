"""What a stopped manager keeps closed, in every sandbox within seconds."""

import time
from collections.abc import Callable, Collection

from email_sender.coordination.registry import manager_of
from email_sender.errors import ManagerStopped, Unavailable

# A sandbox that asked just before a stop asks again in time: the contract gives it five seconds.
_KEPT_SECONDS = 2.0
_RETRY_AFTER = 5
_GATEWAY = "api-gateway"

type Stopped = Callable[[], Collection[str]]
"""The names of the managers that are not to work now. Raises Unavailable."""


class Gate:
    def __init__(self, stopped: Stopped, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = stopped, clock
        self._stopped: Collection[str] = ()
        self._asked_at: float | None = None

    def check(self, manager: str) -> None:
        """Raises ManagerStopped."""
        if manager in self._now():
            raise ManagerStopped(f"The {manager} is stopped. What was sent to its queues is kept.", _RETRY_AFTER)

    def check_path(self, path: str) -> None:
        """`path` without the base path. Raises ManagerStopped where its manager is stopped, or the whole API is."""
        manager = manager_of(path)
        if manager is None:
            return
        self.check(_GATEWAY)
        self.check(manager)

    def _now(self) -> Collection[str]:
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= _KEPT_SECONDS:
            self._asked_at = now
            try:
                self._stopped = self._ask()
            except Unavailable:
                # Who needs the database says so by itself, and who does not goes on as before.
                return self._stopped
        return self._stopped
