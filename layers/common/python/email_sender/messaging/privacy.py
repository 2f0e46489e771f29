"""What a person may ask for: everything that is stored about them, and its erasure (GDPR, articles 15 and 17)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import EventFactory
from email_sender.errors import NotFound
from email_sender.messaging.model import Consent, Contact, Draft, Email, EmailFilter, Erasure, Message, Suppression
from email_sender.messaging.ports import MessagingUnits
from email_sender.security.acting import acting_subject

# The newest of each kind. A contact with more is rare; its messages are paged (GET /contacts/{id}/messages).
MAX_EXPORTED = 1_000


@dataclass(frozen=True, slots=True)
class PersonalData:
    """All that is stored about a contact. `is_complete`: there are not more than MAX_EXPORTED of any kind."""

    contact: Contact
    suppression: Suppression | None
    messages: Sequence[Message]
    emails: Sequence[Email]
    drafts: Sequence[Draft]
    consents: Sequence[Consent]
    exported_at: datetime
    is_complete: bool


class PrivacyService:
    def __init__(self, units: MessagingUnits, now: Clock, new_id: IdFactory) -> None:
        self._units, self._now = units, now
        self._events = EventFactory("messaging", now, new_id)

    def export(self, tenant_id: UUID, contact_id: UUID) -> PersonalData:
        """Return all that is stored about a contact. The export is in the audit log.

        Raises:
            NotFound: the contact does not exist.
        """
        limit = MAX_EXPORTED + 1
        with self._units(tenant_id) as unit:
            contact = unit.contacts.get(contact_id)
            if contact is None:
                raise NotFound("Contact not found.")
            messages = unit.messages.of_contact(contact_id, None, limit)
            emails = unit.emails.page(EmailFilter(contact_id=contact_id), None, limit)
            drafts = unit.drafts.of_contact(contact_id, limit)
            data = PersonalData(
                contact=contact,
                suppression=unit.suppressions.find(contact.address),
                messages=messages[:MAX_EXPORTED],
                emails=emails[:MAX_EXPORTED],
                drafts=drafts[:MAX_EXPORTED],
                consents=unit.consents.of_contact(contact_id),
                exported_at=self._now(),
                is_complete=max(len(messages), len(emails), len(drafts)) < limit,
            )
            unit.audit(data.exported_at, "contact.exported", str(contact_id))
            unit.commit()
        return data

    def erase(self, tenant_id: UUID, contact_id: UUID) -> Erasure:
        """Erase a person: contact, messages, drafts, emails, and their address and name in the results of runs.

        A keyed hash of the address stays, with which later imports skip the person and nothing is sent to them.
        Repeating the call changes nothing and returns what was erased the first time.

        Raises:
            NotFound: there is no such contact, and there never was.
            Conflict: a run that has not ended works with the person, and could store the address again.
        """
        with self._units(tenant_id) as unit:
            earlier = unit.erasures.get(contact_id)
            if earlier is not None and unit.contacts.get(contact_id) is None:
                return earlier
            erasure = unit.erasures.erase(contact_id, acting_subject(), self._now())
            if erasure is None:
                raise NotFound("Contact not found.")
            data = {"contact_id": str(contact_id)}
            unit.emit(self._events.build("contact.erased", tenant_id, contact_id, data))
            unit.commit()
        return erasure

    def erasure(self, tenant_id: UUID, contact_id: UUID) -> Erasure:
        """Return what was erased, and how far the deletion of points and files has come.

        Raises:
            NotFound: the contact was not erased.
        """
        with self._units(tenant_id) as unit:
            erasure = unit.erasures.get(contact_id)
        if erasure is None:
            raise NotFound("No contact with this id was erased.")
        return erasure
