"""How long a tenant keeps its data, by kind. A schedule deletes what is older, every day."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from email_sender.clock import Clock


class RetainedKind(StrEnum):
    MESSAGES = "messages"
    """Archived messages, by the time at which they were sent, with their search points."""
    RUNS = "runs"
    """Inputs, results and errors of runs that have ended. The runs themselves stay, as a record."""


class RetentionStore(Protocol):
    def days(self, tenant_id: UUID) -> Mapping[RetainedKind, int]:
        """Return the days by kind. What has none is kept."""

    def set_days(self, tenant_id: UUID, days: Mapping[RetainedKind, int | None], at: datetime) -> None:
        """Set the days of these kinds; None keeps what is there. It is in the tenant's audit log."""


class OldData(Protocol):
    def delete_messages(
        self, tenant_id: UUID, before: datetime, now: datetime, delete_points: Callable[[list[UUID]], None], limit: int
    ) -> int:
        """Delete messages with their points, except what open runs may need. Returns how many.

        Fewer than `limit` are the last.
        """

    def empty_runs(self, tenant_id: UUID, before: datetime, limit: int) -> int:
        """Empty runs that ended before. Returns how many; fewer than `limit` are the last."""


class RetentionService:
    """For admins."""

    def __init__(self, store: RetentionStore, now: Clock) -> None:
        self._store, self._now = store, now

    def days(self, tenant_id: UUID) -> Mapping[RetainedKind, int | None]:
        stored = self._store.days(tenant_id)
        return {kind: stored.get(kind) for kind in RetainedKind}

    def set_days(self, tenant_id: UUID, days: Mapping[RetainedKind, int | None]) -> Mapping[RetainedKind, int | None]:
        self._store.set_days(tenant_id, days, self._now())
        return self.days(tenant_id)


class RetentionEnforcer:
    """If the process dies, the next day's call deletes the rest."""

    _BATCH = 500

    def __init__(
        self, store: RetentionStore, data: OldData, delete_points: Callable[[UUID, list[UUID]], None], now: Clock
    ) -> None:
        self._store, self._data, self._delete_points, self._now = store, data, delete_points, now

    def enforce(self, tenant_id: UUID, has_time_left: Callable[[], bool]) -> Mapping[RetainedKind, int]:
        """Delete what is older than the tenant keeps it. Returns how much of each kind."""
        counts = {}
        for kind, days in self._store.days(tenant_id).items():
            before, deleted = self._now() - timedelta(days=days), 0
            while has_time_left():
                batch = self._delete(kind, tenant_id, before)
                deleted += batch
                if batch < self._BATCH:
                    break
            counts[kind] = deleted
        return counts

    def _delete(self, kind: RetainedKind, tenant_id: UUID, before: datetime) -> int:
        if kind is RetainedKind.RUNS:
            return self._data.empty_runs(tenant_id, before, self._BATCH)

        def delete_points(ids: list[UUID]) -> None:
            self._delete_points(tenant_id, ids)

        return self._data.delete_messages(tenant_id, before, self._now(), delete_points, self._BATCH)
