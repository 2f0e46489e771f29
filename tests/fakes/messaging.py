"""In-memory stores for messaging.ports with transactions, and a mail provider that records accepted mails."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from hashlib import sha256
from typing import Any
from uuid import UUID

from email_sender.adapters.documents import event_schemas
from email_sender.archive.addresses import normalise_address
from email_sender.archive.mail_kinds import MailKind
from email_sender.coordination.events import Event
from email_sender.errors import Conflict
from email_sender.messaging.contact_search import terms_of
from email_sender.messaging.model import (
    BounceType,
    Consent,
    Contact,
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
from email_sender.messaging.reasons import LEFT_OUT
from email_sender.security.quotas import QuotaExceeded, QuotaKind

_SENT = (EmailStatus.SENT, EmailStatus.DELIVERED, EmailStatus.BOUNCED, EmailStatus.COMPLAINED)


class Killed(BaseException):
    """The process ended here: none of our code may catch this."""


@dataclass
class State:
    """The stored data of one tenant."""

    mail_from: str | None = "Acme Support <support@acme.example>"
    contacts: dict[UUID, Contact] = field(default_factory=dict)
    messages: dict[UUID, Message] = field(default_factory=dict)
    templates: dict[UUID, Template] = field(default_factory=dict)
    drafts: dict[UUID, Draft] = field(default_factory=dict)
    approvals: list[tuple[UUID, UUID, DraftApproval]] = field(default_factory=list)
    emails: dict[UUID, Email] = field(default_factory=dict)
    suppressions: dict[str, Suppression] = field(default_factory=dict)
    deleted_addresses: dict[UUID, str] = field(default_factory=dict)
    erasures: dict[UUID, Erasure] = field(default_factory=dict)
    consents: dict[UUID, Consent] = field(default_factory=dict)
    audited: list[tuple[str, str]] = field(default_factory=list)
    reports: set[tuple[UUID, str, datetime]] = field(default_factory=set)
    temporary_bounces: dict[tuple[str, UUID], datetime] = field(default_factory=dict)


class FakeContacts:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, contact: Contact) -> Contact:
        if self._find(contact.address):
            raise Conflict("A contact with this address already exists.")
        self._state.contacts[contact.id] = contact
        return contact

    def get(self, contact_id: UUID) -> Contact | None:
        return self._state.contacts.get(contact_id)

    def _find(self, address: str) -> Contact | None:
        return next((contact for contact in self._state.contacts.values() if contact.address == address), None)

    def find(self, address: str) -> Contact | None:
        return self._find(normalise_address(address))

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Contact]:
        return [self._state.contacts[contact_id] for contact_id in ids if contact_id in self._state.contacts]

    def standings(self, ids: Sequence[UUID]) -> Mapping[UUID, Standing]:
        def standing(contact: Contact) -> Standing:
            unsent = (EmailStatus.QUEUED, EmailStatus.REJECTED, EmailStatus.SUPPRESSED)
            emails = [
                email
                for email in self._state.emails.values()
                if email.contact_id == contact.id and email.status not in unsent
            ]
            suppression = self._state.suppressions.get(contact.address)
            times = [email.sent_at or email.created_at for email in emails]
            return Standing(
                suppression.reason if suppression else None,
                len(emails),
                max((at for at in times if at is not None), default=None),
            )

        return {contact.id: standing(contact) for contact in self.get_many(ids)}

    def page(self, after: UUID | None, limit: int, terms: Sequence[str] = ()) -> Sequence[Contact]:
        contacts = [self._state.contacts[contact_id] for contact_id in _after(self._state.contacts, after)]
        return [one for one in contacts if set(terms) <= terms_of(one.name, one.address)][:limit]

    def select(
        self, ids: Sequence[UUID] | None, tags: Sequence[str], limit: int, *, suppressed: bool
    ) -> Sequence[UUID]:
        def fits(contact: Contact) -> bool:
            contact_tags = contact.attributes.get("tags")
            has_tags = not tags or (
                isinstance(contact_tags, list) and set(tags) <= {tag for tag in contact_tags if isinstance(tag, str)}
            )
            is_selected = ids is None or contact.id in ids
            return has_tags and is_selected and (suppressed or contact.address not in self._state.suppressions)

        return [key for key in sorted(self._state.contacts) if fits(self._state.contacts[key])][:limit]

    def update(self, contact: Contact) -> None:
        stored_contact = self._state.contacts[contact.id]
        self._state.contacts[contact.id] = replace(stored_contact, name=contact.name, attributes=contact.attributes)

    def delete(self, contact_id: UUID) -> bool:
        state = self._state
        if contact_id in state.contacts:
            state.deleted_addresses[contact_id] = state.contacts[contact_id].address
        for rows in (state.messages, state.drafts, state.emails):
            for row_id in [row.id for row in rows.values() if row.contact_id == contact_id]:
                del rows[row_id]
        return state.contacts.pop(contact_id, None) is not None


class FakeMessages:
    def __init__(self, state: State) -> None:
        self._state = state

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Message]:
        return [self._state.messages[message_id] for message_id in ids if message_id in self._state.messages]

    def of_contact(self, contact_id: UUID, before: UUID | None, limit: int) -> Sequence[Message]:
        messages = [self._state.messages[message_id] for message_id in _before(self._state.messages, before)]
        return [message for message in messages if message.contact_id == contact_id][:limit]

    def uncertain(self, before: UUID | None, limit: int) -> Sequence[Message]:
        messages = [self._state.messages[message_id] for message_id in _before(self._state.messages, before)]
        return [
            message
            for message in messages
            if message.kind is MailKind.UNCERTAIN and message.answers_email_id is not None
        ][:limit]

    def set_kind(self, message_id: UUID, kind: MailKind) -> None:
        self._state.messages[message_id] = replace(self._state.messages[message_id], kind=kind, kind_sign="")


class FakeTemplates:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, template: Template, created_by: str) -> None:
        if self.by_name(template.name):
            raise Conflict(f"A template named {template.name!r} already exists.")
        self._state.templates[template.id] = template

    def add_version(self, template: Template, created_by: str) -> None:
        same_name, current = self.by_name(template.name), self.get(template.id)
        if same_name is not None and same_name.id != template.id:
            raise Conflict(f"A template named {template.name!r} already exists.")
        if current is None or current.version != template.version - 1:
            raise Conflict("The template has been changed in the meantime. Read it again.")
        self._state.templates[template.id] = template

    def get(self, template_id: UUID) -> Template | None:
        return self._state.templates.get(template_id)

    def by_name(self, name: str) -> Template | None:
        return next((template for template in self._state.templates.values() if template.name == name), None)

    def page(self, after: UUID | None, limit: int) -> Sequence[Template]:
        return [self._state.templates[template_id] for template_id in _after(self._state.templates, after)][:limit]

    def delete(self, template_id: UUID) -> bool:
        return self._state.templates.pop(template_id, None) is not None


class FakeDrafts:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, draft: Draft) -> Draft:
        key = (draft.run_id, draft.step, draft.item)
        matching_drafts = [
            stored_draft
            for stored_draft in self._state.drafts.values()
            if (stored_draft.run_id, stored_draft.step, stored_draft.item) == key
        ]
        if matching_drafts:
            return matching_drafts[0]
        self._state.drafts[draft.id] = draft
        return draft

    def get(self, draft_id: UUID) -> Draft | None:
        return self._state.drafts.get(draft_id)

    def of_contact(self, contact_id: UUID, limit: int) -> Sequence[Draft]:
        drafts = [draft for draft in self._state.drafts.values() if draft.contact_id == contact_id]
        return sorted(drafts, key=lambda draft: draft.id, reverse=True)[:limit]

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Draft]:
        return [self._state.drafts[draft_id] for draft_id in ids if draft_id in self._state.drafts]

    def edit(self, draft: Draft, replaced_hash: str) -> bool:
        shown = [entry for entry in self._state.approvals if entry[1] == draft.id]
        if not shown or any(approval.status != "pending" for _run, _draft, approval in shown):
            return False
        if self._state.drafts[draft.id].sha256 != replaced_hash:
            return False
        self._state.drafts[draft.id] = draft
        self._state.approvals = [
            (run, shown_draft, replace(approval, sha256=draft.sha256) if shown_draft == draft.id else approval)
            for run, shown_draft, approval in self._state.approvals
        ]
        return True

    def approvals_of(self, run_id: UUID, draft_id: UUID) -> Sequence[DraftApproval]:
        return [approval for run, draft, approval in self._state.approvals if (run, draft) == (run_id, draft_id)]


class FakeEmails:
    def __init__(self, state: State) -> None:
        self._state = state

    def claim(self, email: Email) -> tuple[Email, bool]:
        key = (email.run_id, email.step, email.contact_id)
        matching_emails = [
            stored_email
            for stored_email in self._state.emails.values()
            if (stored_email.run_id, stored_email.step, stored_email.contact_id) == key
        ]
        if not matching_emails:
            self._state.emails[email.id] = email
            return email, True
        stored = matching_emails[0]
        was_left_out = stored.error == LEFT_OUT and stored.draft_id != email.draft_id
        if stored.status is not EmailStatus.QUEUED and not was_left_out:
            return stored, False
        claimed_email = replace(
            matching_emails[0],
            status=EmailStatus.SENDING,
            lease_until=email.lease_until,
            draft_id=email.draft_id,
            sha256=email.sha256,
            error=None,
        )
        self._state.emails[claimed_email.id] = claimed_email
        return claimed_email, True

    def get(self, email_id: UUID) -> Email | None:
        return self._state.emails.get(email_id)

    def page(self, email_filter: EmailFilter, before: UUID | None, limit: int) -> Sequence[Email]:
        emails = [self._state.emails[email_id] for email_id in _before(self._state.emails, before)]
        return [
            email
            for email in emails
            if email_filter.run_id in (None, email.run_id)
            and email_filter.contact_id in (None, email.contact_id)
            and email_filter.status in (None, email.status)
        ][:limit]

    def find_last_of_runs(self, run_ids: Sequence[UUID], contact_id: UUID) -> Email | None:
        found = [
            email
            for email in self._state.emails.values()
            if email.run_id in run_ids and email.contact_id == contact_id and email.provider_message_id is not None
        ]
        return max(found, key=lambda email: email.id, default=None)

    def count_since(self, contact_id: UUID, since: datetime) -> int:
        return sum(
            email.contact_id == contact_id
            and email.created_at is not None
            and email.created_at >= since
            and email.status not in (EmailStatus.REJECTED, EmailStatus.SUPPRESSED)
            for email in self._state.emails.values()
        )

    def find_by_provider_ids(self, provider_ids: Sequence[str]) -> Email | None:
        found = [email for email in self._state.emails.values() if email.provider_message_id in provider_ids]
        return max(found, key=lambda email: email.id, default=None)

    def mark_answered(self, email_id: UUID, message_id: UUID, at: datetime) -> bool:
        email = self._state.emails[email_id]
        self._state.emails[email_id] = replace(email, reply_id=email.reply_id or message_id)
        return email.reply_id is None

    def add_report(self, email_id: UUID, kind: str, detail: str, at: datetime) -> bool:
        is_new = (email_id, kind, at) not in self._state.reports
        self._state.reports.add((email_id, kind, at))
        return is_new

    def settle(
        self,
        email_id: UUID,
        status: EmailStatus,
        at: datetime,
        provider_message_id: str | None,
        error: str | None,
        bounce_type: BounceType | None = None,
    ) -> None:
        current = self._state.emails[email_id]
        self._state.emails[email_id] = replace(
            current,
            status=status,
            error=error,
            provider_message_id=provider_message_id or current.provider_message_id,
            sent_at=(current.sent_at or at) if status in _SENT else None,
            bounce_type=bounce_type,
        )


class FakeSuppressions:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, address: str, reason: SuppressionReason) -> None:
        self._state.suppressions.setdefault(normalise_address(address), Suppression(address, reason, datetime.now(UTC)))

    def add_for_deleted_contact(self, contact_id: UUID, reason: SuppressionReason) -> bool:
        address = self._state.deleted_addresses.get(contact_id)
        if address is None or normalise_address(address) in self._state.suppressions:
            return False
        suppression = Suppression(None, reason, datetime.now(UTC))
        self._state.suppressions[normalise_address(address)] = suppression
        return True

    def fingerprint(self, address: str) -> str:
        return sha256(normalise_address(address).encode()).hexdigest()

    def find(self, address: str) -> Suppression | None:
        return self._state.suppressions.get(normalise_address(address))

    def add_temporary_bounce(self, address: str, email_id: UUID, at: datetime, since: datetime) -> int:
        self._state.temporary_bounces.setdefault((address, email_id), at)
        return sum(
            bounced == address and bounced_at >= since
            for (bounced, _), bounced_at in self._state.temporary_bounces.items()
        )

    def forget_temporary_bounces(self, email_id: UUID) -> None:
        for key in [key for key in self._state.temporary_bounces if key[1] == email_id]:
            del self._state.temporary_bounces[key]

    def page(self, after: str | None, limit: int) -> tuple[Sequence[Suppression], str | None]:
        suppressions = [
            self._state.suppressions[address] for address in sorted(self._state.suppressions) if address > (after or "")
        ]
        return suppressions[:limit], suppressions[limit - 1].address if len(suppressions) > limit else None

    def delete(self, address: str) -> bool:
        return self._state.suppressions.pop(normalise_address(address), None) is not None


class FakeErasures:
    def __init__(self, state: State) -> None:
        self._state = state

    def get(self, contact_id: UUID) -> Erasure | None:
        return self._state.erasures.get(contact_id)

    def erase(self, contact_id: UUID, erased_by: str, at: datetime) -> Erasure | None:
        contact = self._state.contacts.get(contact_id)
        address = contact.address if contact else self._state.deleted_addresses.get(contact_id)
        if address is None:
            return None
        counts = {"contacts": int(contact is not None)}
        FakeContacts(self._state).delete(contact_id)
        self._state.suppressions[normalise_address(address)] = Suppression(None, SuppressionReason.ERASED, at)
        return self._state.erasures.setdefault(contact_id, Erasure(contact_id, erased_by, at, counts))


class FakeConsents:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, consent: Consent) -> None:
        self._state.consents.setdefault(consent.id, consent)

    def of_contact(self, contact_id: UUID) -> list[Consent]:
        found = [consent for consent in self._state.consents.values() if consent.contact_id == contact_id]
        return sorted(found, key=lambda consent: (consent.given_at, consent.id), reverse=True)

    def set_withdrawn(self, consent_id: UUID, at: datetime) -> None:
        self._state.consents[consent_id] = replace(self._state.consents[consent_id], withdrawn_at=at)


class FakeMessagingUnit:
    """As strict as PostgreSQL: reading after the commit fails, because no tenant is set any more."""

    def __init__(self, units: "FakeMessagingUnits", tenant_id: UUID) -> None:
        self._units, self.tenant_id = units, tenant_id
        self._state = deepcopy(units.states.setdefault(tenant_id, State()))
        self._events: list[Event] = []
        self._open = True

    @property
    def contacts(self) -> FakeContacts:
        return FakeContacts(self._open_state())

    @property
    def messages(self) -> FakeMessages:
        return FakeMessages(self._open_state())

    @property
    def templates(self) -> FakeTemplates:
        return FakeTemplates(self._open_state())

    @property
    def drafts(self) -> FakeDrafts:
        return FakeDrafts(self._open_state())

    @property
    def emails(self) -> FakeEmails:
        return FakeEmails(self._open_state())

    @property
    def suppressions(self) -> FakeSuppressions:
        return FakeSuppressions(self._open_state())

    @property
    def consents(self) -> FakeConsents:
        return FakeConsents(self._open_state())

    @property
    def erasures(self) -> FakeErasures:
        return FakeErasures(self._open_state())

    def audit(self, at: datetime, action: str, object_name: str, details: Mapping[str, Any] = {}) -> None:
        self._open_state().audited.append((action, object_name))

    def spend(self, kind: QuotaKind, amount: int = 1) -> None:
        self._units.spent[kind] = self._units.spent.get(kind, 0) + amount
        if self._units.spent[kind] > self._units.quotas.get(kind, 2**62):
            raise QuotaExceeded("The quota is used up.", 60)

    def mail_from(self) -> str:
        if not self._open_state().mail_from:
            raise Conflict("The tenant has no sender address yet.")
        return str(self._state.mail_from)

    def emit(self, event: Event) -> None:
        self._open_state()
        event_schemas.validate_event(event.detail(), event.type)
        self._events.append(event)

    def commit(self) -> None:
        self._open_state()
        self._open = False
        self._units.states[self.tenant_id] = self._state
        self._units.events.extend(self._events)

    def _open_state(self) -> State:
        assert self._open, "the transaction has ended"
        return self._state


class FakeMessagingUnits:
    """Runs one transaction at a time, so every lock is held until its end. `events` has the committed events."""

    def __init__(self) -> None:
        self.states: dict[UUID, State] = {}
        self.events: list[Event] = []
        self.spent: dict[QuotaKind, int] = {}
        self.quotas: dict[QuotaKind, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[FakeMessagingUnit]:
        with self._lock:
            yield FakeMessagingUnit(self, tenant_id)


@dataclass(frozen=True)
class AcceptedMail:
    raw: bytes
    sender: str
    recipient: str

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


class FakeMailProvider:
    """`before` and `after` are called around the moment a mail is accepted, and may raise."""

    def __init__(self) -> None:
        self.accepted_mails: list[AcceptedMail] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def send(self, raw: bytes, sender: str, recipient: str) -> str:
        self.before()
        self.accepted_mails.append(AcceptedMail(raw, sender, recipient))
        self.after()
        return f"provider-{len(self.accepted_mails)}"


def _after[T](rows: dict[UUID, T], after: UUID | None) -> list[UUID]:
    return [row_id for row_id in sorted(rows) if after is None or row_id > after]


def _before[T](rows: dict[UUID, T], before: UUID | None) -> list[UUID]:
    return [row_id for row_id in sorted(rows, reverse=True) if before is None or row_id < before]
