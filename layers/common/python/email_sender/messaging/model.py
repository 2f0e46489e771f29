"""The words of mail: contacts, messages, templates, drafts, emails, suppressions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Contact:
    """A person we may write to. `address` is normalised (mail_message.normalise_address)."""

    id: UUID
    address: str
    name: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    last_seen_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A mail that a contact wrote, as imported: `text` is what is new in it, without quotes."""

    id: UUID
    contact_id: UUID | None
    thread_id: UUID | None
    sent_at: datetime | None
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A typed variable of a template."""

    name: str
    type: str
    required: bool = True
    default: Any = None


VARIABLE_TYPES = ("string", "number", "boolean", "date", "list")


@dataclass(frozen=True, slots=True)
class Template:
    id: UUID
    name: str
    version: int
    subject: str
    body_text: str
    body_html: str | None = None
    variables: Sequence[Variable] = ()
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a person reads: the part of a draft that is approved and hashed."""

    subject: str
    text: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """Immutable. `sha256` is of the content and the contact (drafting.content_hash)."""

    id: UUID
    run_id: UUID
    step: str
    item: int
    contact_id: UUID
    template_id: UUID
    template_version: int
    content: Content
    sha256: str
    evidence: Sequence[UUID] = ()
    created_at: datetime | None = None


class EmailStatus(StrEnum):
    """`queued` was refused for now, and not sent; `sending` is under way; `unknown` may have been sent, and is never
    sent again by us; `rejected` was refused for good."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    SUPPRESSED = "suppressed"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


@dataclass(frozen=True, slots=True)
class Email:
    id: UUID
    run_id: UUID
    step: str
    contact_id: UUID
    draft_id: UUID
    sha256: str
    status: EmailStatus
    lease_until: datetime
    provider_message_id: str | None = None
    error: str | None = None
    created_at: datetime | None = None
    sent_at: datetime | None = None


class SuppressionReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Suppression:
    address: str
    reason: SuppressionReason
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Approved:
    """An approval of a run that listed a draft: its hash then, what came of it, and the role of who decided."""

    sha256: str
    status: str
    role: str | None
