"""Consents on the fake and on PostgreSQL."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.kit.system_clock import new_id
from email_sender.messaging.consents import ConsentService
from email_sender.messaging.model import Consent
from email_sender.messaging.privacy import PrivacyService
from tests.contract.messaging import Backend, add_contact

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PROOF = "Yes, send me the newsletter. ✓ 2026-11-28 10:00, 192.0.2.1"


def service(backend: Backend) -> ConsentService:
    return ConsentService(backend.units, lambda: NOW)


def consent(contact: UUID, days_ago: int = 1, purpose: str = "newsletter") -> Consent:
    return Consent(new_id(), contact, purpose, "web form", PROOF, NOW - timedelta(days=days_ago))


def test_a_consent_is_recorded_once_withdrawn_and_kept(backend: Backend) -> None:
    tenant = backend.create_tenant()
    contact = add_contact(backend.units, tenant).id
    older, newer = consent(contact, 9, "surveys"), consent(contact)
    for given in (older, newer, newer):
        service(backend).record(tenant, given)
    assert service(backend).of_contact(tenant, contact) == [newer, older]
    withdrawn = service(backend).withdraw(tenant, contact, newer.id)
    assert withdrawn.withdrawn_at == NOW
    assert service(backend).of_contact(tenant, contact) == [withdrawn, older]
    with pytest.raises(Conflict):
        service(backend).withdraw(tenant, contact, newer.id)
    exported = PrivacyService(backend.units, lambda: NOW, new_id).export(tenant, contact)
    assert exported.consents == [withdrawn, older]


def test_impossible_times_are_refused(backend: Backend) -> None:
    tenant = backend.create_tenant()
    contact = add_contact(backend.units, tenant).id
    with pytest.raises(InvalidInput):
        service(backend).record(tenant, consent(contact, days_ago=-1))
    given = consent(contact)
    service(backend).record(tenant, given)
    for moment in (given.given_at - timedelta(seconds=1), NOW + timedelta(seconds=1)):
        with pytest.raises(InvalidInput):
            service(backend).withdraw(tenant, contact, given.id, moment)


def test_a_consent_of_another_contact_or_tenant_is_not_found(backend: Backend) -> None:
    tenant, other = backend.create_tenant(), backend.create_tenant()
    contact, second = add_contact(backend.units, tenant).id, add_contact(backend.units, tenant, "b@c.example").id
    given = consent(contact)
    service(backend).record(tenant, given)
    with pytest.raises(NotFound):
        service(backend).withdraw(tenant, second, given.id)
    for of_nobody in (new_id(), contact):
        with pytest.raises(NotFound):
            service(backend).of_contact(other, of_nobody)
    with pytest.raises(NotFound):
        service(backend).record(tenant, consent(new_id()))
