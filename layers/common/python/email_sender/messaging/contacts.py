"""Contacts, their messages and the list of suppressed addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from email_sender.archive.addresses import clean_address, normalise_address, read_addresses
from email_sender.archive.mail_kinds import MailKind
from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import EventFactory
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.messaging.contact_search import terms_of
from email_sender.messaging.model import Contact, Message, Standing, Suppression, SuppressionReason
from email_sender.messaging.ports import MessagingUnit, MessagingUnits, UnsubscribeLinks
from email_sender.paging import Page

MAX_ATTRIBUTES, MAX_TAGS = 50, 100


@dataclass(frozen=True, slots=True)
class ContactChange:
    """A partial update of a contact. An attribute set to None is removed. Tags are stored in the attribute `tags`."""

    name: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ContactSelection:
    """Which contacts to list: those with these ids, or the one with this address."""

    ids: Sequence[UUID] = ()
    address: str = ""

    def find(self, unit: MessagingUnit) -> Sequence[Contact]:
        if self.ids:
            return unit.contacts.get_many(self.ids)
        contact = unit.contacts.find(normalise_address(self.address))
        return [contact] if contact else []


@dataclass(frozen=True, slots=True)
class NewContact:
    address: str
    name: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def comparable(self) -> str:
        """The address, or what was given for one, in the case in which two are compared."""
        return self.address.strip().casefold()


class Addition(StrEnum):
    """What became of a new contact."""

    ADDED = "added"
    EXISTS = "exists"
    INVALID = "invalid"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class AddedContact:
    outcome: Addition
    contact_id: UUID | None = None
    detail: str = ""


class ContactService:
    """Manages the contacts and suppressions of a tenant."""

    def __init__(self, units: MessagingUnits, links: UnsubscribeLinks, now: Clock, new_id: IdFactory) -> None:
        self._units, self._links, self._now, self._new_id = units, links, now, new_id
        self._events = EventFactory("messaging", now, new_id)

    def add(
        self, tenant_id: UUID, contact_id: UUID, address: str, name: str | None, attributes: Mapping[str, Any]
    ) -> Contact:
        """Add a contact. If the contact id is already stored, return the stored contact.

        Raises:
            Conflict: the tenant already has the address, or its person was erased.
            InvalidInput: the address is not valid.
        """
        contact = Contact(contact_id, clean_address(address), name, attributes, created_at=self._now())
        with self._units(tenant_id) as unit:
            existing_contact = unit.contacts.get(contact_id)
            if existing_contact is not None:
                return existing_contact
            stored_contact = unit.contacts.add(contact)
            # Afterwards, because the insert waits for an erasure of the same person.
            suppression = unit.suppressions.find(contact.address)
            if suppression is not None and suppression.reason is SuppressionReason.ERASED:
                raise Conflict("This person asked to be erased, and cannot be added again.")
            unit.commit()
        return stored_contact

    def find_or_add(self, tenant_id: UUID, address: str) -> Contact:
        """Return the contact with this address, which may have a name (Ann <ann@example.org>). Add one that is new.

        Raises:
            InvalidInput: the text is not one address.
            Conflict: the person was erased.
        """
        found = read_addresses(address)
        if len(found) != 1:
            raise InvalidInput(f"One address is needed, and the text has {len(found)}.")
        with self._units(tenant_id) as unit:
            known = unit.contacts.find(found[0].email)
        if known is not None:
            return known
        try:
            return self.add(tenant_id, self._new_id(), found[0].mailbox, found[0].name or None, {})
        except Conflict:
            with self._units(tenant_id) as unit:
                # Somebody else has added it just now.
                known = unit.contacts.find(found[0].email)
            if known is None:
                raise
            return known

    def get(self, tenant_id: UUID, contact_id: UUID) -> Contact:
        with self._units(tenant_id) as unit:
            return _get_contact(unit, contact_id)

    def get_with_standing(self, tenant_id: UUID, contact_id: UUID) -> tuple[Contact, Standing]:
        with self._units(tenant_id) as unit:
            return _get_contact(unit, contact_id), unit.contacts.standings([contact_id])[contact_id]

    def page(
        self,
        tenant_id: UUID,
        after: UUID | None,
        limit: int,
        selection: ContactSelection | None = None,
        terms: Sequence[str] = (),
    ) -> Page[tuple[Contact, Standing]]:
        """Return contacts in the order of creation: those that a selection names, and that have all the terms."""
        with self._units(tenant_id) as unit:
            if selection:
                found = selection.find(unit)
                rows: Sequence[Contact] = [one for one in found if set(terms) <= terms_of(one.name, one.address)]
            else:
                rows = unit.contacts.page(after, limit + 1, terms)
            shown = rows if selection else rows[:limit]
            standings = unit.contacts.standings([contact.id for contact in shown])
        items = [(contact, standings[contact.id]) for contact in shown]
        return Page(items, str(shown[-1].id) if len(rows) > len(shown) else None)

    def add_many(self, tenant_id: UUID, entries: Sequence[NewContact], *, dry_run: bool) -> Sequence[AddedContact]:
        """Add contacts whose addresses are new. All are stored at once, or in a dry run none."""
        results: dict[int, AddedContact] = {}
        added: dict[str, AddedContact] = {}
        with self._units(tenant_id) as unit:
            # In one order for everybody, so that two requests with the same addresses do not wait for each other.
            for place in sorted(range(len(entries)), key=lambda place: entries[place].comparable):
                entry = entries[place]
                known = added.get(entry.comparable)
                if known is not None:
                    results[place] = AddedContact(Addition.EXISTS, known.contact_id)
                    continue
                results[place] = self._add_one(unit, entry, dry_run=dry_run)
                if results[place].outcome is Addition.ADDED:
                    added[entry.comparable] = results[place]
            if not dry_run:
                unit.commit()
        return [results[place] for place in range(len(entries))]

    def _add_one(self, unit: MessagingUnit, entry: NewContact, *, dry_run: bool) -> AddedContact:
        try:
            address = clean_address(entry.address)
        except InvalidInput as error:
            return AddedContact(Addition.INVALID, detail=error.detail)
        existing = unit.contacts.find(address)
        if existing is not None:
            return AddedContact(Addition.EXISTS, existing.id)
        suppression = unit.suppressions.find(address)
        if suppression is not None and suppression.reason is SuppressionReason.ERASED:
            return AddedContact(Addition.ERASED, detail="This person asked to be erased, and cannot be added again.")
        contact = Contact(self._new_id(), address, entry.name, entry.attributes, created_at=self._now())
        if not dry_run:
            try:
                unit.contacts.add(contact)
            except Conflict:
                # Somebody else has added the address since it was looked for.
                return AddedContact(Addition.EXISTS)
        detail = f"The address gets no mail: {suppression.reason}." if suppression else ""
        return AddedContact(Addition.ADDED, contact.id, detail)

    def update(self, tenant_id: UUID, contact_id: UUID, name: str | None, attributes: Mapping[str, Any]) -> Contact:
        with self._units(tenant_id) as unit:
            updated_contact = replace(_get_contact(unit, contact_id), name=name, attributes=attributes)
            unit.contacts.update(updated_contact)
            unit.commit()
        return updated_contact

    def select(
        self, tenant_id: UUID, ids: Sequence[UUID] | None, tags: Sequence[str], limit: int, *, suppressed: bool = False
    ) -> Sequence[UUID]:
        """Return the ids of at most `limit` contacts. See `ports.ContactStore.select`."""
        with self._units(tenant_id) as unit:
            return unit.contacts.select(ids, tags, limit, suppressed=suppressed)

    def change(self, tenant_id: UUID, contact_id: UUID, change: ContactChange) -> Contact:
        """Apply a partial update. Fields that it does not name stay unchanged, and repeating it changes nothing.

        Raises:
            InvalidInput: the contact would have too many attributes or tags.
        """
        with self._units(tenant_id) as unit:
            contact = _get_contact(unit, contact_id)
            merged_attributes = {**contact.attributes, **change.attributes}
            attributes = {key: value for key, value in merged_attributes.items() if value is not None}
            tags = attributes.get("tags")
            new_tags = [tag for tag in tags if tag not in change.remove_tags] if isinstance(tags, list) else []
            new_tags += [tag for tag in dict.fromkeys(change.add_tags) if tag not in new_tags]
            if new_tags or "tags" in attributes:
                attributes["tags"] = new_tags
            if len(attributes) > MAX_ATTRIBUTES or len(new_tags) > MAX_TAGS:
                raise InvalidInput(f"A contact has at most {MAX_ATTRIBUTES} attributes and {MAX_TAGS} tags.")
            updated_contact = replace(contact, name=change.name or contact.name, attributes=attributes)
            if updated_contact != contact:
                unit.contacts.update(updated_contact)
                unit.commit()
        return updated_contact

    def delete(self, tenant_id: UUID, contact_id: UUID) -> None:
        """Delete a contact with its messages, drafts and emails. A keyed hash of the address stays.

        Its search points and the uploaded files with its mail are deleted within minutes.
        """
        with self._units(tenant_id) as unit:
            if not unit.contacts.delete(contact_id):
                raise NotFound("Contact not found.")
            data = {"contact_id": str(contact_id)}
            unit.emit(self._events.build("contact.deleted", tenant_id, contact_id, data))
            unit.commit()

    def messages(self, tenant_id: UUID, contact_id: UUID, before: UUID | None, limit: int) -> Page[Message]:
        with self._units(tenant_id) as unit:
            _get_contact(unit, contact_id)
            rows = unit.messages.of_contact(contact_id, before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def messages_by_id(self, tenant_id: UUID, ids: Sequence[UUID]) -> Sequence[Message]:
        with self._units(tenant_id) as unit:
            return unit.messages.get_many(ids)

    def uncertain_answers(self, tenant_id: UUID, before: UUID | None, limit: int) -> Page[Message]:
        """Return the answers that a program may have written, and that nobody has looked at yet."""
        with self._units(tenant_id) as unit:
            rows = unit.messages.uncertain(before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def classify(self, tenant_id: UUID, message_id: UUID, kind: MailKind) -> Message:
        """Record what somebody decided about an uncertain message. A person's message answers its email at once.

        Raises:
            NotFound: the message does not exist.
            Conflict: the message is not uncertain, or was decided otherwise.
        """
        with self._units(tenant_id) as unit:
            messages = unit.messages.get_many([message_id])
            if not messages:
                raise NotFound("Message not found.")
            (message,) = messages
            if message.kind not in (MailKind.UNCERTAIN, kind):
                raise Conflict(f"The message is {message.kind}. Only an uncertain message can be decided.")
            unit.messages.set_kind(message_id, kind)
            if kind is MailKind.PERSON and message.answers_email_id is not None:
                self._record_answer(unit, tenant_id, message, message.answers_email_id)
            unit.commit()
        return replace(message, kind=kind, kind_sign="")

    def _record_answer(self, unit: MessagingUnit, tenant_id: UUID, message: Message, email_id: UUID) -> None:
        email = unit.emails.get(email_id)
        if email is None or not unit.emails.mark_answered(email_id, message.id, self._now()):
            return
        data = {
            "email_id": str(email.id),
            "run_id": str(email.run_id),
            "contact_id": str(email.contact_id),
            "message_id": str(message.id),
        }
        event_id = uuid5(email.id, "replied")
        unit.emit(
            self._events.build(
                "email.replied", tenant_id, email.id, data, correlation_id=email.run_id, event_id=event_id
            )
        )

    def verify_link(self, token: str) -> None:
        """Check the token of an unsubscribe link. Raises NotFound if the token is not valid."""
        self._links.read(token)

    def unsubscribe(self, token: str) -> None:
        """Suppress the contact of an unsubscribe link. Repeating it changes nothing.

        Raises:
            NotFound: the token is not valid.
        """
        tenant_id, contact_id = self._links.read(token)
        with self._units(tenant_id) as unit:
            contact = unit.contacts.get(contact_id)
            if contact is None:
                # The link in an old email works for ever: the hash of the address outlives the contact.
                if not unit.suppressions.add_for_deleted_contact(contact_id, SuppressionReason.UNSUBSCRIBED):
                    return
            elif unit.suppressions.find(contact.address) is not None:
                return
            else:
                unit.suppressions.add(contact.address, SuppressionReason.UNSUBSCRIBED)
            data = {"contact_id": str(contact_id)}
            unit.emit(self._events.build("contact.unsubscribed", tenant_id, contact_id, data))
            unit.commit()

    def suppress(self, tenant_id: UUID, address: str, reason: SuppressionReason) -> Suppression:
        normalised_address = normalise_address(address)
        with self._units(tenant_id) as unit:
            unit.suppressions.add(normalised_address, reason)
            unit.audit(self._now(), "suppression.added", unit.suppressions.fingerprint(normalised_address))
            unit.commit()
        return Suppression(normalised_address, reason, self._now())

    def suppressions(self, tenant_id: UUID, after: str | None, limit: int) -> Page[Suppression]:
        with self._units(tenant_id) as unit:
            rows, cursor = unit.suppressions.page(after, limit)
        return Page(rows, cursor)

    def unsuppress(self, tenant_id: UUID, address: str) -> None:
        """Remove a suppression.

        Raises:
            NotFound: the address is not suppressed.
            Conflict: its person was erased.
        """
        normalised_address = normalise_address(address)
        with self._units(tenant_id) as unit:
            suppression = unit.suppressions.find(normalised_address)
            if suppression is None:
                raise NotFound("The address is not suppressed.")
            if suppression.reason is SuppressionReason.ERASED:
                raise Conflict("This person asked to be erased, and receives no mail any more.")
            unit.suppressions.delete(normalised_address)
            unit.audit(self._now(), "suppression.removed", unit.suppressions.fingerprint(normalised_address))
            unit.commit()


def _get_contact(unit: MessagingUnit, contact_id: UUID) -> Contact:
    contact = unit.contacts.get(contact_id)
    if contact is None:
        raise NotFound("Contact not found.")
    return contact
