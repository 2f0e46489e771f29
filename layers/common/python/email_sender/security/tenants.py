"""Tenants, as operators see them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Protocol
from uuid import UUID

from email_sender.clock import Clock
from email_sender.errors import InvalidInput
from email_sender.paging import Page
from email_sender.security.tenant_deletion import GRACE_PERIOD

_TENANT_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}")


@dataclass(frozen=True, slots=True)
class Tenant:
    """`sender` is "Name <address>". A suspended tenant can do nothing, and loses nothing before `deletes_at`."""

    id: UUID
    name: str
    sender: str | None
    created_at: datetime
    suspended_at: datetime | None = None
    deletes_at: datetime | None = None


class TenantStore(Protocol):
    """Each change is in the operators' audit log, in the same transaction, with its event."""

    def page(self, after: UUID | None, limit: int) -> Sequence[Tenant]: ...

    def get(self, tenant_id: UUID) -> Tenant:
        """Return the tenant. Raises NotFound."""

    def add(self, tenant: Tenant) -> Tenant:
        """Add the tenant, and return it. If its id is stored already, return what is stored.

        Raises:
            Conflict: another tenant has the name.
        """

    def set_suspended(self, tenant_id: UUID, at: datetime | None, changed_at: datetime) -> Tenant:
        """Suspend a tenant, or resume it with None, which cancels its deletion. Repeating it changes nothing.

        Raises:
            NotFound: there is no such tenant.
            Conflict: the tenant is being deleted.
        """

    def schedule_deletion(self, tenant_id: UUID, deletes_at: datetime, changed_at: datetime) -> Tenant:
        """Suspend the tenant, and let it be deleted at that time. Repeating it changes nothing. Raises NotFound."""


class TenantService:
    def __init__(self, store: TenantStore, now: Clock) -> None:
        self._store, self._now = store, now

    def page(self, after: UUID | None, limit: int) -> Page[Tenant]:
        rows = self._store.page(after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def get(self, tenant_id: UUID) -> Tenant:
        return self._store.get(tenant_id)

    def create(self, tenant_id: UUID, name: str, sender: str) -> Tenant:
        """Create a tenant. Repeating it with the same id returns the stored tenant.

        Raises:
            InvalidInput: the name or the sender is invalid.
            Conflict: another tenant has the name.
        """
        check_tenant(name, sender)
        return self._store.add(Tenant(tenant_id, name, sender, self._now()))

    def suspend(self, tenant_id: UUID) -> Tenant:
        """Refuse everything that the tenant does: requests, runs, sends. Received mail waits in its queue."""
        return self._store.set_suspended(tenant_id, self._now(), self._now())

    def resume(self, tenant_id: UUID) -> Tenant:
        return self._store.set_suspended(tenant_id, None, self._now())

    def delete(self, tenant_id: UUID, name: str) -> Tenant:
        """Suspend the tenant now, and delete all that it has after the grace period. `resume` undoes it until then.

        Raises:
            NotFound: there is no such tenant.
            InvalidInput: `name` is not the name of this tenant.
        """
        if self._store.get(tenant_id).name != name:
            raise InvalidInput.at("/name", "This is not the name of the tenant that would be deleted.")
        return self._store.schedule_deletion(tenant_id, self._now() + GRACE_PERIOD, self._now())


def check_tenant(name: str, sender: str) -> None:
    """Raise InvalidInput if a tenant cannot have this name or this sender."""
    if not _TENANT_NAME.fullmatch(name):
        raise InvalidInput.at(
            "/name",
            f"The name {name!r} is invalid. Use 2 to 31 lower-case letters, digits and hyphens, the first a letter.",
        )
    user, _, domain = parseaddr(sender)[1].rpartition("@")
    if not user or not domain:
        raise InvalidInput.at(
            "/sender", f"The sender {sender!r} is not an address such as 'Studio <hello@studio.example>'."
        )
