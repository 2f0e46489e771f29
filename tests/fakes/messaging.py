"""Mail in memory: the stores of messaging.ports with their transactions, and a provider that records what it took."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from uuid import UUID

from email_sender.adapters import event_schemas
from email_sender.coordination.events import Event
from email_sender.errors import Conflict
from email_sender.messaging.model import (
    Approved,
    Contact,
    Draft,
    Email,
    EmailStatus,
    Message,
    Suppression,
    SuppressionReason,
    Template,
)

_SENT = (EmailStatus.SENT, EmailStatus.DELIVERED, EmailStatus.BOUNCED, EmailStatus.COMPLAINED)


class Killed(BaseException):
    """The process ended here: nothing of ours may catch it."""


@dataclass
class State:
    """What one tenant has stored."""

    mail_from: str | None = "Acme Support <support@acme.example>"
    contacts: dict[UUID, Contact] = field(default_factory=dict)
    messages: dict[UUID, Message] = field(default_factory=dict)
    templates: dict[UUID, Template] = field(default_factory=dict)
    drafts: dict[UUID, Draft] = field(default_factory=dict)
    approvals: list[tuple[UUID, UUID, Approved]] = field(default_factory=list)
    emails: dict[UUID, Email] = field(default_factory=dict)
    suppressions: dict[str, Suppression] = field(default_factory=dict)


class FakeContacts:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, contact: Contact) -> Contact:
        if self.find(contact.address):
            raise Conflict("There is a contact with this address already.")
        self._state.contacts[contact.id] = contact
        return contact

    def get(self, contact_id: UUID) -> Contact | None:
        return self._state.contacts.get(contact_id)

    def find(self, address: str) -> Contact | None:
        return next((each for each in self._state.contacts.values() if each.address == address), None)

    def page(self, after: UUID | None, limit: int) -> Sequence[Contact]:
        return [self._state.contacts[each] for each in _after(self._state.contacts, after)][:limit]

    def select(
        self, ids: Sequence[UUID] | None, tags: Sequence[str], limit: int, *, suppressed: bool
    ) -> Sequence[UUID]:
        def fits(contact: Contact) -> bool:
            theirs = contact.attributes.get("tags")
            tagged = not tags or (isinstance(theirs, list) and set(tags) <= {t for t in theirs if isinstance(t, str)})
            named = ids is None or contact.id in ids
            return tagged and named and (suppressed or contact.address not in self._state.suppressions)

        return [key for key in sorted(self._state.contacts) if fits(self._state.contacts[key])][:limit]

    def update(self, contact: Contact) -> None:
        stored = self._state.contacts[contact.id]
        self._state.contacts[contact.id] = replace(stored, name=contact.name, attributes=contact.attributes)

    def delete(self, contact_id: UUID) -> bool:
        state = self._state
        for rows in (state.messages, state.drafts, state.emails):
            for each in [row.id for row in rows.values() if row.contact_id == contact_id]:
                del rows[each]
        return state.contacts.pop(contact_id, None) is not None


class FakeMessages:
    def __init__(self, state: State) -> None:
        self._state = state

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Message]:
        return [self._state.messages[each] for each in ids if each in self._state.messages]

    def of_contact(self, contact_id: UUID, before: UUID | None, limit: int) -> Sequence[Message]:
        listed = [self._state.messages[each] for each in _before(self._state.messages, before)]
        return [each for each in listed if each.contact_id == contact_id][:limit]


class FakeTemplates:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, template: Template, created_by: str) -> None:
        if self.by_name(template.name):
            raise Conflict(f"There is a template {template.name!r} already.")
        self._state.templates[template.id] = template

    def add_version(self, template: Template, created_by: str) -> None:
        named, stored = self.by_name(template.name), self.get(template.id)
        if named is not None and named.id != template.id:
            raise Conflict(f"There is a template {template.name!r} already.")
        if stored is None or stored.version != template.version - 1:
            raise Conflict("The template was changed by somebody else just now: read it again.")
        self._state.templates[template.id] = template

    def get(self, template_id: UUID) -> Template | None:
        return self._state.templates.get(template_id)

    def by_name(self, name: str) -> Template | None:
        return next((each for each in self._state.templates.values() if each.name == name), None)

    def page(self, after: UUID | None, limit: int) -> Sequence[Template]:
        return [self._state.templates[each] for each in _after(self._state.templates, after)][:limit]

    def delete(self, template_id: UUID) -> bool:
        return self._state.templates.pop(template_id, None) is not None


class FakeDrafts:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, draft: Draft) -> Draft:
        place = (draft.run_id, draft.step, draft.item)
        stored = [each for each in self._state.drafts.values() if (each.run_id, each.step, each.item) == place]
        if stored:
            return stored[0]
        self._state.drafts[draft.id] = draft
        return draft

    def get(self, draft_id: UUID) -> Draft | None:
        return self._state.drafts.get(draft_id)

    def approvals_of(self, run_id: UUID, draft_id: UUID) -> Sequence[Approved]:
        return [each for run, draft, each in self._state.approvals if (run, draft) == (run_id, draft_id)]


class FakeEmails:
    def __init__(self, state: State) -> None:
        self._state = state

    def claim(self, email: Email) -> tuple[Email, bool]:
        place = (email.run_id, email.step, email.contact_id)
        stored = [each for each in self._state.emails.values() if (each.run_id, each.step, each.contact_id) == place]
        if not stored:
            self._state.emails[email.id] = email
            return email, True
        if stored[0].status is not EmailStatus.QUEUED:
            return stored[0], False
        taken = replace(
            stored[0],
            status=EmailStatus.SENDING,
            lease_until=email.lease_until,
            draft_id=email.draft_id,
            sha256=email.sha256,
            error=None,
        )
        self._state.emails[taken.id] = taken
        return taken, True

    def get(self, email_id: UUID) -> Email | None:
        return self._state.emails.get(email_id)

    def page(self, before: UUID | None, limit: int) -> Sequence[Email]:
        return [self._state.emails[each] for each in _before(self._state.emails, before)][:limit]

    def settle(
        self, email_id: UUID, status: EmailStatus, at: datetime, provider_message_id: str | None, error: str | None
    ) -> None:
        stored = self._state.emails[email_id]
        self._state.emails[email_id] = replace(
            stored,
            status=status,
            error=error,
            provider_message_id=provider_message_id or stored.provider_message_id,
            sent_at=(stored.sent_at or at) if status in _SENT else None,
        )


class FakeSuppressions:
    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, address: str, reason: SuppressionReason) -> None:
        self._state.suppressions.setdefault(address, Suppression(address, reason, datetime.now(UTC)))

    def has(self, address: str) -> bool:
        return address in self._state.suppressions

    def page(self, after: str | None, limit: int) -> tuple[Sequence[Suppression], str | None]:
        listed = [self._state.suppressions[each] for each in sorted(self._state.suppressions) if each > (after or "")]
        return listed[:limit], listed[limit - 1].address if len(listed) > limit else None

    def delete(self, address: str) -> bool:
        return self._state.suppressions.pop(address, None) is not None


class FakeMessagingUnit:
    """As strict as PostgreSQL: what is read after the commit belongs to no tenant, and is refused."""

    def __init__(self, units: "FakeMessagingUnits", tenant_id: UUID) -> None:
        self._units, self.tenant_id = units, tenant_id
        self._state = deepcopy(units.states.setdefault(tenant_id, State()))
        self._events: list[Event] = []
        self._open = True

    @property
    def contacts(self) -> FakeContacts:
        return FakeContacts(self._opened())

    @property
    def messages(self) -> FakeMessages:
        return FakeMessages(self._opened())

    @property
    def templates(self) -> FakeTemplates:
        return FakeTemplates(self._opened())

    @property
    def drafts(self) -> FakeDrafts:
        return FakeDrafts(self._opened())

    @property
    def emails(self) -> FakeEmails:
        return FakeEmails(self._opened())

    @property
    def suppressions(self) -> FakeSuppressions:
        return FakeSuppressions(self._opened())

    def mail_from(self) -> str:
        if not self._opened().mail_from:
            raise Conflict("The tenant has no sender address yet.")
        return str(self._state.mail_from)

    def emit(self, event: Event) -> None:
        self._opened()
        event_schemas.check(event.detail(), event.type)
        self._events.append(event)

    def commit(self) -> None:
        self._opened()
        self._open = False
        self._units.states[self.tenant_id] = self._state
        self._units.events.extend(self._events)

    def _opened(self) -> State:
        assert self._open, "the transaction has ended"
        return self._state


class FakeMessagingUnits:
    """One transaction at a time, so that every lock is held until its end. `events` are those committed."""

    def __init__(self) -> None:
        self.states: dict[UUID, State] = {}
        self.events: list[Event] = []
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[FakeMessagingUnit]:
        with self._lock:
            yield FakeMessagingUnit(self, tenant_id)


@dataclass(frozen=True)
class TakenMail:
    raw: bytes
    sender: str
    recipient: str

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


class FakeMailProvider:
    """`before` and `after` are called around the moment a mail is taken, and may raise."""

    def __init__(self) -> None:
        self.taken: list[TakenMail] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def send(self, raw: bytes, sender: str, recipient: str) -> str:
        self.before()
        self.taken.append(TakenMail(raw, sender, recipient))
        self.after()
        return f"provider-{len(self.taken)}"


def _after[T](rows: dict[UUID, T], after: UUID | None) -> list[UUID]:
    return [each for each in sorted(rows) if after is None or each > after]


def _before[T](rows: dict[UUID, T], before: UUID | None) -> list[UUID]:
    return [each for each in sorted(rows, reverse=True) if before is None or each < before]
