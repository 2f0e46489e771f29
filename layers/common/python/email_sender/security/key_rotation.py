"""Rotation of a tenant's content key.

A key is added first and encrypts from a later time on: functions remember keys for some minutes, and must know the new
one before they find a value that it encrypted. Then all values are encrypted anew. The old key is removed a day later,
if nothing needs it. The index key, which finds equal addresses by their hash, never rotates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

_KEPT_AFTER_ROTATION = timedelta(days=1)
# A rotation that takes longer was interrupted.
_LONGEST_ROTATION = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A version of a tenant's content key. It encrypts from `active_at` on.

    Since `finished_at`, nothing is encrypted with an older version.
    """

    version: int
    created_at: datetime
    active_at: datetime
    finished_at: datetime | None


class RotationRequests(Protocol):
    """What the API needs: it has no keys itself."""

    def versions(self, tenant_id: UUID) -> Sequence[DataKey]:
        """Return the tenant's keys, oldest first."""

    def audit_request(self, tenant_id: UUID, version: int, at: datetime) -> None:
        """Write to the tenant's audit log that somebody asked for this version."""


class KeyStore(RotationRequests, Protocol):
    def add(self, tenant_id: UUID, version: int, active_after: timedelta) -> DataKey:
        """Add a version that is active after that time, or return the stored one."""

    def encrypt_anew(self, tenant_id: UUID, version: int, has_time_left: Callable[[], bool]) -> bool:
        """Encrypt with this or a newer key what older keys encrypted. Returns False if time ran out.

        Raises:
            Unavailable: the key is not active yet.
        """

    def encrypt_plain(self, tenant_id: UUID, has_time_left: Callable[[], bool]) -> bool:
        """Encrypt what code of an earlier release left plain. Returns False if time ran out."""
        ...

    def finish(self, tenant_id: UUID, version: int, at: datetime) -> None:
        """Record that nothing needs an older version, and emit `key.rotated`. Repeated, it does nothing."""

    def rewrap(self, tenant_id: UUID) -> int:
        """Wrap again the keys that an earlier version of this software wrapped. Returns how many."""
        ...

    def remove_unused(self, tenant_id: UUID) -> Sequence[int]:
        """Remove older versions than the newest one if nothing is encrypted with them. Returns which."""


class RotationMachine(Protocol):
    def start_rotation(self, tenant_id: UUID, version: int) -> str:
        """Start the state machine for this version, unless it runs already. Returns its execution."""


class KeyService:
    """A tenant's admins see its keys, and ask for a new one."""

    def __init__(self, store: RotationRequests, machine: RotationMachine, now: Callable[[], datetime]) -> None:
        self._store, self._machine, self._now = store, machine, now

    def versions(self, tenant_id: UUID) -> Sequence[DataKey]:
        return self._store.versions(tenant_id)

    def rotate(self, tenant_id: UUID) -> int:
        """Begin a rotation, or continue one that has not finished. Returns the version of the new key."""
        version = _next_version(self._store.versions(tenant_id))
        self._store.audit_request(tenant_id, version, self._now())
        self._machine.start_rotation(tenant_id, version)
        return version


class KeyRotation:
    """The steps of statemachines/key_rotation.asl.json. Each can be repeated."""

    def __init__(
        self, store: KeyStore, machine: RotationMachine, active_after: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._store, self._machine, self._active_after, self._now = store, machine, active_after, now

    def begin(self, tenant_id: UUID, version: int) -> timedelta:
        """Add the key. Returns how long it is until the key is active."""
        key = self._store.add(tenant_id, version, self._active_after)
        return max(key.active_at - self._now(), timedelta(0))

    def encrypt(self, tenant_id: UUID, version: int, has_time_left: Callable[[], bool]) -> bool:
        return self._store.encrypt_anew(tenant_id, version, has_time_left)

    def finish(self, tenant_id: UUID, version: int) -> None:
        self._store.finish(tenant_id, version, self._now())

    def encrypt_plain(self, tenant_id: UUID, has_time_left: Callable[[], bool]) -> bool:
        """Encrypt what code of an earlier release left plain. Returns False if time ran out: the next day goes on."""
        return self._store.encrypt_plain(tenant_id, has_time_left)

    def tend(self, tenant_id: UUID, lifetime: timedelta, has_time_left: Callable[[], bool]) -> Sequence[int]:
        """Start a rotation that is due or was interrupted, and remove keys that nothing needs. Returns those.

        Keys that are wrapped in an old way are wrapped anew.
        """
        versions = self._store.versions(tenant_id)
        if not versions:
            # Nothing is encrypted yet.
            return []
        self._store.rewrap(tenant_id)
        newest, now = versions[-1], self._now()
        if newest.finished_at is None:
            if newest.created_at < now - _LONGEST_ROTATION:
                self._machine.start_rotation(tenant_id, newest.version)
            return []
        removed: Sequence[int] = []
        # A function that remembered the old key may have used it after the rotation went by.
        if (
            len(versions) > 1
            and newest.finished_at < now - _KEPT_AFTER_ROTATION
            and self._store.encrypt_anew(tenant_id, newest.version, has_time_left)
        ):
            removed = self._store.remove_unused(tenant_id)
        if newest.created_at < now - lifetime:
            self._machine.start_rotation(tenant_id, newest.version + 1)
        return removed


def _next_version(versions: Sequence[DataKey]) -> int:
    if not versions:
        # The first key is created with the first value that is encrypted: begin creates it, and then rotates it.
        return 2
    newest = versions[-1]
    return newest.version + 1 if newest.finished_at else newest.version
