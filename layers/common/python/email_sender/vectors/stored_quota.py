"""How many vectors a tenant may store. The engine is asked once a minute, not with every write."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from email_sender.vectors.model import ClientId, Point, Upsert, Write
from email_sender.vectors.ports import PointWriter

_COUNTED_SECONDS = 60.0

# Returns how many points the tenant has in all collections.
type Count = Callable[[UUID], int]
# Records (tenant, stored, added), and returns how many the tenant may have. Raises QuotaExceeded.
type Check = Callable[[UUID, int, int], int]


@dataclass(slots=True)
class _Known:
    stored: int
    allowed: int
    until: float


class QuotaWriter:
    """A PointWriter for what clients insert. Points that replace others count as new ones until the next count.

    A tenant at its quota can therefore replace no points: it has to delete some first.
    """

    def __init__(
        self, writer: PointWriter, count: Count, check: Check, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._writer, self._count, self._check, self._clock = writer, count, check, clock
        self._known: dict[UUID, _Known] = {}

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None:
        self._admit(tenant_id, len(points))
        self._writer.upsert(tenant_id, collection, points)

    def write(self, tenant_id: UUID, collection: str, writes: Sequence[Write]) -> None:
        added = sum(len(write.points) for write in writes if isinstance(write, Upsert))
        if added:
            self._admit(tenant_id, added)
        self._writer.write(tenant_id, collection, writes)

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None:
        self._writer.delete(tenant_id, collection, ids)
        # A tenant that deletes to make room can use it at once.
        self._known.pop(tenant_id, None)

    def _admit(self, tenant_id: UUID, added: int) -> None:
        known = self._known.get(tenant_id)
        if known is None or known.until <= self._clock() or known.stored + added > known.allowed:
            stored = self._count(tenant_id)
            allowed = self._check(tenant_id, stored, added)
            known = self._known[tenant_id] = _Known(stored, allowed, self._clock() + _COUNTED_SECONDS)
        known.stored += added
