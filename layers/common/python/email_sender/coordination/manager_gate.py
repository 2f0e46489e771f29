"""Refuses work for stopped managers. Every execution environment learns of a stop within seconds."""

import time
from collections.abc import Callable, Collection

from email_sender.coordination.registry import manager_for_path
from email_sender.errors import ManagerStopped, Unavailable

# The contract allows five seconds, so an execution environment that queried just before a stop queries again in time.
_CACHE_SECONDS = 2.0
_RETRY_AFTER = 5
_GATEWAY = "api-gateway"

type FetchStopped = Callable[[], Collection[str]]
"""Returns the names of the managers that must not work now. Raises Unavailable."""


class ManagerGate:
    def __init__(self, fetch_stopped: FetchStopped, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch_stopped, self._clock = fetch_stopped, clock
        self._stopped: Collection[str] = ()
        self._fetched_at: float | None = None

    def check(self, manager: str) -> None:
        """Raise ManagerStopped if the manager is stopped."""
        if manager in self._stopped_managers():
            raise ManagerStopped(f"The {manager} is stopped. Its queues retain their messages.", _RETRY_AFTER)

    def check_path(self, path: str) -> None:
        """Raise ManagerStopped if the path's manager or the whole API is stopped. `path` excludes the base path."""
        manager = manager_for_path(path)
        if manager is None:
            return
        self.check(_GATEWAY)
        self.check(manager)

    def _stopped_managers(self) -> Collection[str]:
        now = self._clock()
        if self._fetched_at is None or now - self._fetched_at >= _CACHE_SECONDS:
            self._fetched_at = now
            try:
                self._stopped = self._fetch_stopped()
            except Unavailable:
                # Requests that need the database fail by themselves; all others continue with the last known state.
                return self._stopped
        return self._stopped
