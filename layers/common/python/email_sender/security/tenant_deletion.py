"""The end of a tenant: its key first, so that from then on nobody can read what it encrypted, and its rows last."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from email_sender.clock import Clock
from email_sender.security.ports import WrappingKeys

# For so long, an operator can change their mind.
GRACE_PERIOD = timedelta(days=7)

# Deletes one kind of what a tenant has outside the database. Repeatable.
type PartDeleter = Callable[[UUID], None]


class DeletedTenants(Protocol):
    def due(self) -> Sequence[UUID]:
        """Return the tenants whose grace period has ended, and that are not deleted yet."""

    def delete_rows(self, tenant_id: UUID, at: datetime) -> int:
        """Delete every row of the tenant, and emit `tenant.deleted`, in one transaction. Returns how many rows."""


class TenantDeletion:
    """If the process dies between two steps, the next one repeats them: a tenant stays due until its rows are gone.

    `parts` find what they delete in the database.
    """

    def __init__(self, tenants: DeletedTenants, keys: WrappingKeys, parts: Sequence[PartDeleter], now: Clock) -> None:
        self._tenants, self._keys, self._parts, self._now = tenants, keys, parts, now

    def due(self) -> Sequence[UUID]:
        return self._tenants.due()

    def delete(self, tenant_id: UUID) -> int:
        """Delete the tenant. Returns the number of rows that it had."""
        self._keys.destroy(tenant_id)
        for delete_part in self._parts:
            delete_part(tenant_id)
        return self._tenants.delete_rows(tenant_id, self._now())
