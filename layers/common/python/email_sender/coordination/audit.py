"""Audit log entries: who did what. An entry is written in the transaction of the change that it describes.

If the change is not made in a transaction, the entry is written before it. Changes that an event describes are audited
with their event (`AUDITED_EVENTS`); services add the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# These events hold ids and facts, and no content.
AUDITED_EVENTS = frozenset({
    "access.denied",
    "approval.decided",
    "approval.draft.edited",
    "contact.deleted",
    "contact.erased",
    "contact.unsubscribed",
    "email.sent",
    "key.rotated",
    "vectors.deleted",
    "workflow.created",
    "workflow.deleted",
    "workflow.updated",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`subject` did `action` to `object`. `details` never contain content or secrets."""

    at: datetime
    subject: str
    action: str
    object: str
    details: Mapping[str, Any] = field(default_factory=dict)
