"""Contacts, what they wrote, and whom we must not write to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import InvalidInput, NotFound
from email_sender.messaging.mail_message import normalise_address
from email_sender.messaging.model import Contact, Message, Suppression, SuppressionReason
from email_sender.messaging.ports import MessagingUnit, MessagingUnits, UnsubscribeLinks
from email_sender.paging import Page

MAX_ATTRIBUTES, MAX_TAGS = 50, 100


@dataclass(frozen=True, slots=True)
class ContactChange:
    """An attribute of None goes away. Tags are the attribute `tags`, a list of texts."""

    name: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()


class ContactService:
    def __init__(self, units: MessagingUnits, links: UnsubscribeLinks, now: Now, new_id: NewId) -> None:
        self._units, self._links, self._now, self._new_id = units, links, now, new_id

    def add(
        self, tenant_id: UUID, contact_id: UUID, address: str, name: str | None, attributes: Mapping[str, Any]
    ) -> Contact:
        """Raises Conflict where the tenant has the address already, InvalidInput where it is not one."""
        contact = Contact(contact_id, normalise_address(address), name, attributes, created_at=self._now())
        with self._units(tenant_id) as unit:
            repeated = unit.contacts.get(contact_id)
            if repeated is not None:
                return repeated
            stored = unit.contacts.add(contact)
            unit.commit()
        return stored

    def get(self, tenant_id: UUID, contact_id: UUID) -> Contact:
        with self._units(tenant_id) as unit:
            return _existing(unit, contact_id)

    def page(self, tenant_id: UUID, after: UUID | None, limit: int) -> Page[Contact]:
        with self._units(tenant_id) as unit:
            rows = unit.contacts.page(after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def update(self, tenant_id: UUID, contact_id: UUID, name: str | None, attributes: Mapping[str, Any]) -> Contact:
        with self._units(tenant_id) as unit:
            changed = replace(_existing(unit, contact_id), name=name, attributes=attributes)
            unit.contacts.update(changed)
            unit.commit()
        return changed

    def select(
        self, tenant_id: UUID, ids: Sequence[UUID] | None, tags: Sequence[str], limit: int, *, suppressed: bool = False
    ) -> Sequence[UUID]:
        """At most `limit` contacts' ids; see ports.ContactStore."""
        with self._units(tenant_id) as unit:
            return unit.contacts.select(ids, tags, limit, suppressed=suppressed)

    def change(self, tenant_id: UUID, contact_id: UUID, change: ContactChange) -> Contact:
        """Change what is named and leave the rest. The same change again changes nothing.

        Raises:
            InvalidInput: it would have more attributes or tags than one may.
        """
        with self._units(tenant_id) as unit:
            contact = _existing(unit, contact_id)
            merged = {**contact.attributes, **change.attributes}
            attributes = {key: value for key, value in merged.items() if value is not None}
            tags = attributes.get("tags")
            kept = [tag for tag in tags if tag not in change.remove_tags] if isinstance(tags, list) else []
            kept += [tag for tag in dict.fromkeys(change.add_tags) if tag not in kept]
            if kept or "tags" in attributes:
                attributes["tags"] = kept
            if len(attributes) > MAX_ATTRIBUTES or len(kept) > MAX_TAGS:
                raise InvalidInput(f"A contact has at most {MAX_ATTRIBUTES} attributes and {MAX_TAGS} tags.")
            changed = replace(contact, name=change.name or contact.name, attributes=attributes)
            if changed != contact:
                unit.contacts.update(changed)
                unit.commit()
        return changed

    def delete(self, tenant_id: UUID, contact_id: UUID) -> None:
        with self._units(tenant_id) as unit:
            if not unit.contacts.delete(contact_id):
                raise NotFound("There is no such contact.")
            unit.commit()

    def messages(self, tenant_id: UUID, contact_id: UUID, before: UUID | None, limit: int) -> Page[Message]:
        with self._units(tenant_id) as unit:
            _existing(unit, contact_id)
            rows = unit.messages.of_contact(contact_id, before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def messages_by_id(self, tenant_id: UUID, ids: Sequence[UUID]) -> Sequence[Message]:
        with self._units(tenant_id) as unit:
            return unit.messages.get_many(ids)

    def read_link(self, token: str) -> None:
        """Raises NotFound for a token that is not ours."""
        self._links.read(token)

    def unsubscribe(self, token: str) -> None:
        """Suppress the contact of a link. Repeats change nothing. Raises NotFound for a token that is not ours."""
        tenant_id, contact_id = self._links.read(token)
        with self._units(tenant_id) as unit:
            contact = unit.contacts.get(contact_id)
            if contact is None or unit.suppressions.has(contact.address):
                return
            unit.suppressions.add(contact.address, SuppressionReason.UNSUBSCRIBED)
            unit.emit(
                Event(
                    id=self._new_id(),
                    type="contact.unsubscribed",
                    area="messaging",
                    tenant_id=tenant_id,
                    aggregate_id=str(contact_id),
                    occurred_at=self._now(),
                    data={"contact_id": str(contact_id)},
                )
            )
            unit.commit()

    def suppress(self, tenant_id: UUID, address: str, reason: SuppressionReason) -> Suppression:
        normalised = normalise_address(address)
        with self._units(tenant_id) as unit:
            unit.suppressions.add(normalised, reason)
            unit.commit()
        return Suppression(normalised, reason, self._now())

    def suppressions(self, tenant_id: UUID, after: str | None, limit: int) -> Page[Suppression]:
        with self._units(tenant_id) as unit:
            rows, cursor = unit.suppressions.page(after, limit)
        return Page(rows, cursor)

    def unsuppress(self, tenant_id: UUID, address: str) -> None:
        with self._units(tenant_id) as unit:
            if not unit.suppressions.delete(normalise_address(address)):
                raise NotFound("The address is not suppressed.")
            unit.commit()


def _existing(unit: MessagingUnit, contact_id: UUID) -> Contact:
    contact = unit.contacts.get(contact_id)
    if contact is None:
        raise NotFound("There is no such contact.")
    return contact
