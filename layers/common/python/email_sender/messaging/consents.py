"""What a person consented to: for what, when, how, and what proves it (GDPR, article 7)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from email_sender.clock import Clock
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.messaging.model import Consent
from email_sender.messaging.ports import MessagingUnits


class ConsentService:
    """Records consents. It sends nothing, and stops nothing: that is what suppressions are for."""

    def __init__(self, units: MessagingUnits, now: Clock) -> None:
        self._units, self._now = units, now

    def record(self, tenant_id: UUID, consent: Consent) -> Consent:
        """Record a consent. Repeating it with the same id changes nothing.

        Raises:
            NotFound: the contact does not exist.
            InvalidInput: it was given in the future.
        """
        if consent.given_at > self._now():
            raise InvalidInput.at("/given_at", "A consent cannot have been given in the future.")
        with self._units(tenant_id) as unit:
            if unit.contacts.get(consent.contact_id) is None:
                raise NotFound("Contact not found.")
            unit.consents.add(consent)
            details = {"contact_id": str(consent.contact_id)}
            unit.audit(self._now(), "consent.recorded", str(consent.id), details)
            unit.commit()
        return consent

    def of_contact(self, tenant_id: UUID, contact_id: UUID) -> Sequence[Consent]:
        """Return the contact's consents, newest first. Raises NotFound."""
        with self._units(tenant_id) as unit:
            if unit.contacts.get(contact_id) is None:
                raise NotFound("Contact not found.")
            return unit.consents.of_contact(contact_id)

    def withdraw(self, tenant_id: UUID, contact_id: UUID, consent_id: UUID, at: datetime | None = None) -> Consent:
        """Record that the person withdrew a consent. It stays, as a record.

        Raises:
            NotFound: the contact has no such consent.
            Conflict: it was withdrawn before.
        """
        moment = at or self._now()
        with self._units(tenant_id) as unit:
            consent = next((one for one in unit.consents.of_contact(contact_id) if one.id == consent_id), None)
            if consent is None:
                raise NotFound("Consent not found.")
            if consent.withdrawn_at is not None:
                raise Conflict("The consent was withdrawn before.")
            if not consent.given_at <= moment <= self._now():
                raise InvalidInput.at(
                    "/withdrawn_at", "A consent is withdrawn after it was given, and not in the future."
                )
            unit.consents.set_withdrawn(consent_id, moment)
            details = {"contact_id": str(contact_id)}
            unit.audit(self._now(), "consent.withdrawn", str(consent_id), details)
            unit.commit()
        return replace(consent, withdrawn_at=moment)
