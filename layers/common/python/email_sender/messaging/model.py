"""The data model of messaging: contacts, messages, templates, drafts, emails and suppressions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from email_sender.archive.mail_kinds import MailKind


class SuppressionReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MANUAL = "manual"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Contact:
    """A person whom the tenant may write to. `address` is clean (addresses.clean_address), and unique in any case."""

    id: UUID
    address: str
    name: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    last_seen_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a tenant should know before it writes to a contact.

    `suppressed` says why the address gets no mail. `emails` counts those that were sent, or may have been, before.
    """

    suppressed: SuppressionReason | None = None
    emails: int = 0
    last_email_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """An archived mail. `text` is its new text, without quotes.

    `kind` says who wrote it (archive.mail_kinds), and `kind_sign` what shows it. `verdict` is the check of the mail
    service that it failed. `answers_email_id` is the email that it answers.
    """

    id: UUID
    contact_id: UUID | None
    thread_id: UUID | None
    sent_at: datetime | None
    subject: str
    text: str
    message_id: str | None = None
    kind: MailKind = MailKind.PERSON
    kind_sign: str = ""
    verdict: str | None = None
    answers_email_id: UUID | None = None


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
    """One version of a template. The subject and the bodies are Jinja2 sources; dates are written in `language`."""

    id: UUID
    name: str
    version: int
    subject: str
    body_text: str
    body_html: str | None = None
    variables: Sequence[Variable] = ()
    updated_at: datetime | None = None
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Content:
    """The text that the recipient reads. Approvals refer to its hash."""

    subject: str
    text: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft, which only an edit before its approval changes. `sha256` covers the contact and the content
    (templates.content_hash).

    `follows` is the email whose conversation it continues, and `answers` the received message that it answers.
    """

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
    follows: UUID | None = None
    answers: UUID | None = None
    edited_by: str | None = None
    edited_at: datetime | None = None


class EmailStatus(StrEnum):
    """The status of an email.

    `queued`: the provider refused the email temporarily; it was not sent. `sending`: an attempt is in progress.
    `unknown`: the email may have been sent, and the platform never sends it again. `rejected`: the provider refused the
    email permanently.
    """

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    SUPPRESSED = "suppressed"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class BounceType(StrEnum):
    """`permanent`: the address is useless. `temporary`: the server gave up, and may accept another mail."""

    PERMANENT = "permanent"
    TEMPORARY = "temporary"


@dataclass(frozen=True, slots=True)
class Email:
    """An email of a run's step. After `lease_until`, an attempt that is still `sending` counts as lost."""

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
    bounce_type: BounceType | None = None
    reply_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class EmailFilter:
    """Restricts a list of emails. None does not restrict it."""

    run_id: UUID | None = None
    contact_id: UUID | None = None
    status: EmailStatus | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person consented to. `source` is how, and `proof` what shows it, such as the text of a form."""

    id: UUID
    contact_id: UUID
    purpose: str
    source: str
    proof: str
    given_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that receives no mail. It is None if its contact was deleted before."""

    address: str | None
    reason: SuppressionReason
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DraftApproval:
    """An approval that listed the draft: the draft's hash then, the approval's status and the approver's role.

    `left_out`: the approver approved the others, and not this draft.
    """

    sha256: str
    status: str
    role: str | None
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased, by whom and when. `counts` has the number of erased rows by kind.

    Search points and uploaded files with the person's mail are erased soon after: `cleaned_at`. `recorded_at`: since
    then, a restore of an older backup erases the person again.
    """

    contact_id: UUID
    erased_by: str
    erased_at: datetime
    counts: Mapping[str, int]
    cleaned_at: datetime | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordedErasure:
    """A person whom a restore of an older backup erases again. The keyed hash of the address finds them by any id."""

    tenant_id: UUID
    contact_id: UUID
    address_hash: bytes
    erased_by: str
    erased_at: datetime
