"""The ports of messaging: storage, template rendering, the mail provider and unsubscribe links."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from email_sender.archive.mail_kinds import MailKind
from email_sender.coordination.events import Event
from email_sender.errors import InvalidInput
from email_sender.messaging.model import (
    BounceType,
    Consent,
    Contact,
    Content,
    Draft,
    DraftApproval,
    Email,
    EmailFilter,
    EmailStatus,
    Erasure,
    Message,
    Standing,
    Suppression,
    SuppressionReason,
    Template,
)
from email_sender.security.quotas import QuotaKind


class ContactStore(Protocol):
    def add(self, contact: Contact) -> Contact:
        """Store the contact. Raises Conflict if the tenant already has the address."""

    def get(self, contact_id: UUID) -> Contact | None: ...

    def page(self, after: UUID | None, limit: int, terms: Sequence[str] = ()) -> Sequence[Contact]:
        """Return contacts in the order of creation: with terms, those that have all of them (contact_search)."""
        ...

    def select(
        self, ids: Sequence[UUID] | None, tags: Sequence[str], limit: int, *, suppressed: bool
    ) -> Sequence[UUID]:
        """Return the ids of at most `limit` contacts that have all the tags, in the order of creation.

        `ids` restricts the selection (None: all contacts). `suppressed` includes suppressed contacts.
        """

    def find(self, address: str) -> Contact | None: ...

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Contact]:
        """Return the contacts in the order of `ids`, without those that do not exist."""
        ...

    def standings(self, ids: Sequence[UUID]) -> Mapping[UUID, Standing]: ...

    def update(self, contact: Contact) -> None: ...

    def delete(self, contact_id: UUID) -> bool: ...


class MessageStore(Protocol):
    def get_many(self, ids: Sequence[UUID]) -> Sequence[Message]: ...

    def of_contact(self, contact_id: UUID, before: UUID | None, limit: int) -> Sequence[Message]: ...

    def uncertain(self, before: UUID | None, limit: int) -> Sequence[Message]:
        """Return the answers that a program may have written, and that nobody has looked at."""
        ...

    def set_kind(self, message_id: UUID, kind: MailKind) -> None: ...


class TemplateStore(Protocol):
    def add(self, template: Template, created_by: str) -> None:
        """Store version 1. Raises Conflict if the name is already used."""

    def add_version(self, template: Template, created_by: str) -> None: ...

    def get(self, template_id: UUID) -> Template | None: ...

    def by_name(self, name: str) -> Template | None: ...

    def page(self, after: UUID | None, limit: int) -> Sequence[Template]: ...

    def delete(self, template_id: UUID) -> bool: ...


class DraftStore(Protocol):
    def add(self, draft: Draft) -> Draft:
        """Store the draft. If (run, step, item) already has a draft, return that draft."""

    def get(self, draft_id: UUID) -> Draft | None: ...

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Draft]:
        """Return the drafts in the order of `ids`, without those that do not exist."""
        ...

    def of_contact(self, contact_id: UUID, limit: int) -> Sequence[Draft]:
        """Return the newest drafts to a contact."""
        ...

    def edit(self, draft: Draft, replaced_hash: str) -> bool:
        """Store the content and the hash of an edited draft, also in the pending approvals that show it.

        Returns False, and stores nothing, if no approval of it is pending, or one is decided.
        """
        ...

    def approvals_of(self, run_id: UUID, draft_id: UUID) -> Sequence[DraftApproval]: ...


class EmailStore(Protocol):
    def claim(self, email: Email) -> tuple[Email, bool]:
        """Insert the email as `sending`, or take over one that is `queued`, or whose other draft was left out.

        Returns the stored email, locked until the transaction ends, and whether the caller may send it.
        """

    def get(self, email_id: UUID) -> Email | None:
        """Return the email, locked until the transaction ends."""

    def page(self, email_filter: EmailFilter, before: UUID | None, limit: int) -> Sequence[Email]: ...

    def find_last_of_runs(self, run_ids: Sequence[UUID], contact_id: UUID) -> Email | None:
        """Return the newest email of these runs to the contact that the provider accepted."""

    def count_since(self, contact_id: UUID, since: datetime) -> int:
        """Return how many emails to the contact were sent, or are being sent, since then."""
        ...

    def find_by_provider_ids(self, provider_ids: Sequence[str]) -> Email | None:
        """Return the newest email with one of these ids of the provider."""

    def settle(
        self,
        email_id: UUID,
        status: EmailStatus,
        at: datetime,
        provider_message_id: str | None,
        error: str | None,
        bounce_type: BounceType | None = None,
    ) -> None: ...

    def mark_answered(self, email_id: UUID, message_id: UUID, at: datetime) -> bool:
        """Record the answer to an email. Returns whether it was not answered before."""
        ...

    def add_report(self, email_id: UUID, kind: str, detail: str, at: datetime) -> bool:
        """Record what a server reported. Returns whether this is the first report of this kind with this time."""
        ...


class SuppressionStore(Protocol):
    def add(self, address: str, reason: SuppressionReason) -> None:
        """Suppress the address. If it is already suppressed, its first reason stays."""

    def add_for_deleted_contact(self, contact_id: UUID, reason: SuppressionReason) -> bool:
        """Suppress the address that a deleted contact had. Returns whether it was not suppressed before."""
        ...

    def find(self, address: str) -> Suppression | None: ...

    def fingerprint(self, address: str) -> str:
        """Return the keyed hash of the address, in hexadecimal digits. It names an address in the audit log."""
        ...

    def add_temporary_bounce(self, address: str, email_id: UUID, at: datetime, since: datetime) -> int:
        """Record a temporary bounce. Returns in how many emails to this address there was one since then."""
        ...

    def forget_temporary_bounces(self, email_id: UUID) -> None: ...

    def page(self, after: str | None, limit: int) -> tuple[Sequence[Suppression], str | None]: ...

    def delete(self, address: str) -> bool: ...


class ErasureStore(Protocol):
    def get(self, contact_id: UUID) -> Erasure | None: ...

    def erase(self, contact_id: UUID, erased_by: str, at: datetime) -> Erasure | None:
        """Erase a contact that exists or was deleted before. Returns None if the tenant never had it."""


class ConsentStore(Protocol):
    def add(self, consent: Consent) -> None:
        """Store the consent. A stored one stays unchanged."""

    def of_contact(self, contact_id: UUID) -> Sequence[Consent]:
        """Return the consents of a contact, newest first."""
        ...

    def set_withdrawn(self, consent_id: UUID, at: datetime) -> None: ...


class MessagingUnit(Protocol):
    """One transaction."""

    @property
    def tenant_id(self) -> UUID: ...
    @property
    def contacts(self) -> ContactStore: ...
    @property
    def messages(self) -> MessageStore: ...
    @property
    def templates(self) -> TemplateStore: ...
    @property
    def drafts(self) -> DraftStore: ...
    @property
    def emails(self) -> EmailStore: ...
    @property
    def suppressions(self) -> SuppressionStore: ...
    @property
    def erasures(self) -> ErasureStore: ...
    @property
    def consents(self) -> ConsentStore: ...

    def mail_from(self) -> str:
        """Return the tenant's sender as "Name <address>". Raises Conflict if none is configured."""

    def spend(self, kind: QuotaKind, amount: int = ...) -> None:
        """Count towards a quota of the tenant. Raises QuotaExceeded, and then nothing is stored."""

    def emit(self, event: Event) -> None: ...

    def audit(self, at: datetime, action: str, object_name: str, details: Mapping[str, Any] = ...) -> None: ...

    def commit(self) -> None: ...


class MessagingUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[MessagingUnit]: ...


class MissingValue(InvalidInput):
    """A template reads a value that does not exist. `name` is the top-level name of the path, such as `evidence`."""

    def __init__(self, detail: str, name: str | None) -> None:
        super().__init__(detail)
        self.name = name


class Renderer(Protocol):
    """A sandboxed template engine."""

    def used_names(self, source: str) -> frozenset[str]:
        """Return the top-level names that a template reads. Raises InvalidInput if the template cannot be parsed."""

    def format_date(self, date: date, language: str) -> str:
        """Return the date as people write it: `2 September 2002`, `2. September 2002`."""
        ...

    def render(self, template: Template, values: Mapping[str, Any]) -> Content:
        """Render the template with these values.

        Raises:
            MissingValue: the template reads a value that does not exist.
            InvalidInput: the result is too large, rendering takes too long, or the subject has a
                line break.
        """


class SendRejected(Exception):  # an outcome, not a fault
    """The provider refused the mail permanently and did not send it."""


class SendThrottled(Exception):
    """The provider refused the mail temporarily and did not send it."""


class MailProvider(Protocol):
    def send(self, raw: bytes, sender: str, recipient: str) -> str:
        """Send one raw mail and return the provider's id. The implementation never retries.

        Raises:
            SendRejected, SendThrottled: the provider did not accept the mail.
            Unavailable: it is unknown whether the provider accepted the mail.
        """


class UnsubscribeLinks(Protocol):
    def url(self, tenant_id: UUID, contact_id: UUID) -> str: ...

    def read(self, token: str) -> tuple[UUID, UUID]:
        """Return the tenant id and the contact id. Raises NotFound for an invalid token."""
