"""Delete what is left of deleted contacts outside the database: search points, and uploaded files with their mail."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from email_sender.archive.message_index import COLLECTION
from email_sender.clock import Clock
from email_sender.errors import NotFound

# An import that was writing points when the contact was deleted is done by then: its points are deleted again.
_SETTLING_TIME = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class DeletedContact:
    """`message_ids` are also the ids of the points. `object_keys` are the files of finished imports with its mail."""

    contact_id: UUID
    message_ids: Sequence[UUID]
    object_keys: Sequence[str]
    has_running_import: bool
    deleted_at: datetime


class DeletedContacts(Protocol):
    def to_clean(self, tenant_id: UUID, limit: int) -> Sequence[DeletedContact]:
        """Return deleted contacts of which something may be left, oldest first."""
        ...

    def mark_cleaned(self, tenant_id: UUID, contact_id: UUID, at: datetime) -> None: ...


class PointDeleter(Protocol):
    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[UUID]) -> None: ...


class FileDeleter(Protocol):
    def delete(self, key: str) -> None:
        """Delete the object. Raises NotFound if it does not exist."""


class ContactCleaner:
    """Each step is repeatable. If the process dies in between, the next sweep does it again."""

    def __init__(self, contacts: DeletedContacts, points: PointDeleter, files: FileDeleter, now: Clock) -> None:
        self._contacts, self._points, self._files, self._now = contacts, points, files, now

    def sweep(self, tenant_id: UUID) -> int:
        """Clean up after the deleted contacts of a tenant. Returns how many are clean for good."""
        cleaned_count = 0
        for contact in self._contacts.to_clean(tenant_id, 100):
            if contact.message_ids:
                self._points.delete(tenant_id, COLLECTION, contact.message_ids)
            for key in contact.object_keys:
                with suppress(NotFound):
                    self._files.delete(key)
            is_settled = contact.deleted_at + _SETTLING_TIME <= self._now()
            if is_settled and not contact.has_running_import:
                self._contacts.mark_cleaned(tenant_id, contact.contact_id, self._now())
                cleaned_count += 1
        return cleaned_count
