"""One suite for the stores of mail, over the fake and over PostgreSQL: what passes here may stand in for the other."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from email_sender.coordination.events import Event
from email_sender.errors import Conflict, InvalidInput
from email_sender.kit.ambient import new_id
from email_sender.messaging.model import (
    Approved,
    Contact,
    Content,
    Draft,
    Email,
    EmailStatus,
    Message,
    SuppressionReason,
    Template,
    Variable,
)
from email_sender.messaging.ports import MessagingUnits
from email_sender.messaging.templates import content_hash
from tests.contract.messaging import Backend, a_contact
from tests.database import MAIL_FROM

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


def a_draft(units: MessagingUnits, tenant: UUID, contact: Contact, item: int = 0, run: UUID | None = None) -> Draft:
    content = Content("Hello", "Grüße", "<p>Text</p>")
    draft = Draft(
        id=new_id(),
        run_id=run or new_id(),
        step="draft",
        item=item,
        contact_id=contact.id,
        template_id=new_id(),
        template_version=3,
        content=content,
        sha256=content_hash(contact.id, content),
        evidence=[new_id()],
    )
    with units(tenant) as unit:
        stored = unit.drafts.add(draft)
        unit.commit()
    return stored


def wanted(draft: Draft, step: str = "send", lease: timedelta = timedelta(seconds=20)) -> Email:
    return Email(
        id=new_id(),
        run_id=draft.run_id,
        step=step,
        contact_id=draft.contact_id,
        draft_id=draft.id,
        sha256=draft.sha256,
        status=EmailStatus.SENDING,
        lease_until=AT + lease,
        created_at=AT,
    )


def claim(units: MessagingUnits, tenant: UUID, email: Email) -> tuple[Email, bool]:
    with units(tenant) as unit:
        answer = unit.emails.claim(email)
        unit.commit()
    return answer


def settle(
    units: MessagingUnits,
    tenant: UUID,
    email: UUID,
    status: EmailStatus,
    provider: str | None = None,
    at: datetime = AT,
) -> Email:
    with units(tenant) as unit:
        unit.emails.settle(email, status, at, provider, "why" if status is EmailStatus.QUEUED else None)
        unit.commit()
    with units(tenant) as unit:
        stored = unit.emails.get(email)
    assert stored is not None
    return stored


def a_template(name: str = "intro") -> Template:
    return Template(new_id(), name, 1, "Hi", "Text", "<p>Text</p>", (Variable("n", "number", False, 3),))


def test_what_is_not_committed_is_not_kept(units: MessagingUnits, own: UUID) -> None:
    contact = Contact(new_id(), "ann@example.org")
    with units(own) as unit:
        unit.contacts.add(contact)
        assert unit.contacts.get(contact.id) is not None
    with units(own) as unit:
        assert unit.contacts.get(contact.id) is None


def test_a_change_and_its_event_are_kept_together_or_not_at_all(backend: Backend, own: UUID) -> None:
    def unsubscribed() -> Event:
        contact = str(new_id())
        return Event(new_id(), "contact.unsubscribed", "messaging", own, contact, AT, {"contact_id": contact})

    with backend.units(own) as unit:
        unit.emit(unsubscribed())
    assert backend.event_types(own) == []
    with backend.units(own) as unit:
        unit.emit(unsubscribed())
        unit.commit()
    assert backend.event_types(own) == ["contact.unsubscribed"]


def test_an_event_that_is_not_as_its_schema_says_is_refused(units: MessagingUnits, own: UUID) -> None:
    with units(own) as unit, pytest.raises(InvalidInput):
        unit.emit(Event(new_id(), "contact.unsubscribed", "messaging", own, "a", AT, {"address": "ann@example.org"}))


def test_a_contact_is_found_by_id_and_by_address(units: MessagingUnits, own: UUID) -> None:
    contact = a_contact(units, own)
    with units(own) as unit:
        for found in (unit.contacts.get(contact.id), unit.contacts.find("ann@example.org")):
            assert found is not None
            assert (found.id, found.address, found.name, found.attributes) == (
                contact.id,
                "ann@example.org",
                "Ann",
                {"team": "blue"},
            )
        assert unit.contacts.find("bob@example.org") is None
        assert unit.contacts.get(new_id()) is None


def test_an_address_is_a_contact_once_a_tenant(backend: Backend, own: UUID) -> None:
    a_contact(backend.units, own)
    with backend.units(own) as unit, pytest.raises(Conflict):
        unit.contacts.add(Contact(new_id(), "ann@example.org"))
    a_contact(backend.units, backend.tenant())


def test_a_contacts_name_and_attributes_change_and_its_address_stays(units: MessagingUnits, own: UUID) -> None:
    contact = a_contact(units, own)
    with units(own) as unit:
        unit.contacts.update(replace(contact, name=None, attributes={"a": [1]}, address="eve@example.org"))
        unit.commit()
    with units(own) as unit:
        found = unit.contacts.get(contact.id)
    assert found is not None
    assert (found.name, found.attributes, found.address) == (None, {"a": [1]}, "ann@example.org")


def test_contacts_are_paged_in_the_order_they_were_made(units: MessagingUnits, own: UUID) -> None:
    made = [a_contact(units, own, f"{n}@example.org").id for n in range(5)]
    with units(own) as unit:
        first = [each.id for each in unit.contacts.page(None, 2)]
        rest = [each.id for each in unit.contacts.page(first[-1], 10)]
    assert first + rest == made


def test_deleting_a_contact_takes_its_messages_drafts_and_emails_along(backend: Backend, own: UUID) -> None:
    units = backend.units
    contact = a_contact(units, own)
    draft = a_draft(units, own, contact)
    email, _ = claim(units, own, wanted(draft))
    message = Message(new_id(), contact.id, None, AT, "s", "t")
    backend.put_message(own, message)
    with units(own) as unit:
        assert unit.contacts.delete(contact.id)
        assert not unit.contacts.delete(contact.id)
        unit.commit()
    with units(own) as unit:
        assert unit.drafts.get(draft.id) is None
        assert unit.emails.get(email.id) is None
        assert unit.messages.get_many([message.id]) == []


def test_messages_come_in_the_order_asked_for_without_those_that_are_not_there(backend: Backend, own: UUID) -> None:
    contact = a_contact(backend.units, own)
    one, two = (Message(new_id(), contact.id, None, AT, f"subject {n}", f"text {n}") for n in (1, 2))
    for message in (one, two):
        backend.put_message(own, message)
    with backend.units(own) as unit:
        assert unit.messages.get_many([two.id, new_id(), one.id]) == [two, one]
        assert unit.messages.get_many([]) == []


def test_a_contacts_messages_are_paged_newest_first(backend: Backend, own: UUID) -> None:
    ann, bob = a_contact(backend.units, own), a_contact(backend.units, own, "bob@example.org")
    made = [Message(new_id(), each.id, None, AT, "s", "t") for each in (ann, bob, ann, ann)]
    for message in made:
        backend.put_message(own, message)
    with backend.units(own) as unit:
        first = unit.messages.of_contact(ann.id, None, 2)
        rest = unit.messages.of_contact(ann.id, first[-1].id, 2)
    assert [*first, *rest] == [made[3], made[2], made[0]]


def test_a_template_is_found_by_id_and_by_name_at_its_newest_version(units: MessagingUnits, own: UUID) -> None:
    template = a_template()
    with units(own) as unit:
        unit.templates.add(template, "ann")
        unit.templates.add_version(replace(template, version=2, subject="Hello", body_html=None), "bob")
        unit.commit()
    with units(own) as unit:
        for found in (unit.templates.get(template.id), unit.templates.by_name("intro")):
            assert found is not None
            assert (found.version, found.subject, found.body_html) == (2, "Hello", None)
            assert tuple(found.variables) == template.variables


def test_a_templates_name_is_taken_once(units: MessagingUnits, own: UUID) -> None:
    one, two = a_template("one"), a_template("two")
    with units(own) as unit:
        unit.templates.add(one, "ann")
        unit.templates.add(two, "ann")
        unit.commit()
    with units(own) as unit, pytest.raises(Conflict):
        unit.templates.add(a_template("one"), "ann")
    with units(own) as unit, pytest.raises(Conflict):
        unit.templates.add_version(replace(two, name="one", version=2), "ann")


@pytest.mark.parametrize("version", [1, 3])
def test_only_the_version_after_the_stored_one_is_taken(units: MessagingUnits, own: UUID, version: int) -> None:
    template = a_template()
    with units(own) as unit:
        unit.templates.add(template, "ann")
        unit.commit()
    with units(own) as unit, pytest.raises(Conflict):
        unit.templates.add_version(replace(template, version=version), "ann")


def test_templates_are_paged_and_deleted(units: MessagingUnits, own: UUID) -> None:
    made = [a_template(f"t{n}") for n in range(3)]
    with units(own) as unit:
        for each in made:
            unit.templates.add(each, "ann")
        unit.commit()
    with units(own) as unit:
        assert [each.id for each in unit.templates.page(made[0].id, 1)] == [made[1].id]
        assert unit.templates.delete(made[1].id)
        assert not unit.templates.delete(made[1].id)
        assert [each.id for each in unit.templates.page(None, 10)] == [made[0].id, made[2].id]


def test_a_draft_comes_back_as_it_was_stored(units: MessagingUnits, own: UUID) -> None:
    draft = a_draft(units, own, a_contact(units, own))
    with units(own) as unit:
        found = unit.drafts.get(draft.id)
    assert found is not None
    assert replace(found, created_at=None) == replace(draft, created_at=None, evidence=found.evidence)
    assert list(found.evidence) == list(draft.evidence)


def test_a_run_step_and_item_has_one_draft_and_the_first_stays(units: MessagingUnits, own: UUID) -> None:
    contact, run = a_contact(units, own), new_id()
    first = a_draft(units, own, contact, run=run)
    assert a_draft(units, own, contact, run=run).id == first.id
    assert a_draft(units, own, contact, item=1, run=run).id != first.id


def test_the_approvals_of_a_draft_are_those_of_its_run_that_showed_it(backend: Backend, own: UUID) -> None:
    units = backend.units
    contact, run = a_contact(units, own), new_id()
    draft, other = (a_draft(units, own, contact, item, run) for item in (0, 1))
    with units(own) as unit:
        assert unit.drafts.approvals_of(run, draft.id) == []
    backend.put_approval(own, run, draft.id, Approved("hash", "approved", "admin"))
    backend.put_approval(own, run, draft.id, Approved("hash", "pending", None))
    backend.put_approval(own, run, other.id, Approved("other", "denied", "admin"))
    with units(own) as unit:
        found = unit.drafts.approvals_of(run, draft.id)
        assert unit.drafts.approvals_of(new_id(), draft.id) == []
    assert sorted(found, key=lambda each: each.status) == [
        Approved("hash", "approved", "admin"),
        Approved("hash", "pending", None),
    ]


def test_the_first_claim_is_ours_and_the_second_sees_the_first(units: MessagingUnits, own: UUID) -> None:
    draft = a_draft(units, own, a_contact(units, own))
    first = wanted(draft)
    stored, ours = claim(units, own, first)
    assert (stored, ours) == (first, True)
    assert claim(units, own, wanted(draft)) == (first, False)
    _, ours = claim(units, own, wanted(draft, step="another"))
    assert ours


@pytest.mark.parametrize("status", [each for each in EmailStatus if each is not EmailStatus.QUEUED])
def test_an_email_in_any_state_but_queued_is_nobodys_to_send(
    units: MessagingUnits, own: UUID, status: EmailStatus
) -> None:
    draft = a_draft(units, own, a_contact(units, own))
    email, _ = claim(units, own, wanted(draft))
    settle(units, own, email.id, status)
    again, ours = claim(units, own, wanted(draft))
    assert (again.id, again.status, ours) == (email.id, status, False)


def test_a_queued_email_is_taken_over_under_its_id_with_a_new_lease(units: MessagingUnits, own: UUID) -> None:
    draft = a_draft(units, own, a_contact(units, own))
    email, _ = claim(units, own, wanted(draft))
    assert settle(units, own, email.id, EmailStatus.QUEUED).error == "why"
    again, ours = claim(units, own, wanted(draft, lease=timedelta(seconds=90)))
    assert ours
    assert again == replace(email, lease_until=AT + timedelta(seconds=90))


def test_a_queued_email_taken_over_with_another_draft_says_what_is_sent_now(units: MessagingUnits, own: UUID) -> None:
    contact, run = a_contact(units, own), new_id()
    one, two = (a_draft(units, own, contact, item, run) for item in (0, 1))
    email, _ = claim(units, own, wanted(one))
    settle(units, own, email.id, EmailStatus.QUEUED)
    again, ours = claim(units, own, wanted(two))
    assert (again.id, again.draft_id, ours) == (email.id, two.id, True)


def test_settling_keeps_the_providers_id_and_the_first_time_of_sending(units: MessagingUnits, own: UUID) -> None:
    draft = a_draft(units, own, a_contact(units, own))
    email, _ = claim(units, own, wanted(draft))
    sent = settle(units, own, email.id, EmailStatus.SENT, "p-1")
    assert (sent.status, sent.provider_message_id, sent.sent_at) == (EmailStatus.SENT, "p-1", AT)
    delivered = settle(units, own, email.id, EmailStatus.DELIVERED, at=AT + timedelta(minutes=1))
    assert (delivered.provider_message_id, delivered.sent_at) == ("p-1", AT)


@pytest.mark.parametrize("status", [EmailStatus.UNKNOWN, EmailStatus.REJECTED, EmailStatus.QUEUED])
def test_what_is_not_known_to_be_sent_has_no_time_of_sending(
    units: MessagingUnits, own: UUID, status: EmailStatus
) -> None:
    draft = a_draft(units, own, a_contact(units, own))
    email, _ = claim(units, own, wanted(draft))
    assert settle(units, own, email.id, status).sent_at is None


def test_emails_are_paged_newest_first(units: MessagingUnits, own: UUID) -> None:
    draft = a_draft(units, own, a_contact(units, own))
    made = [claim(units, own, wanted(draft, step=f"s{n}"))[0].id for n in range(4)]
    with units(own) as unit:
        first = [each.id for each in unit.emails.page(None, 3)]
        rest = [each.id for each in unit.emails.page(first[-1], 3)]
    assert first + rest == made[::-1]


def test_the_first_reason_of_a_suppression_stays(units: MessagingUnits, own: UUID) -> None:
    with units(own) as unit:
        assert not unit.suppressions.has("ann@example.org")
        unit.suppressions.add("ann@example.org", SuppressionReason.UNSUBSCRIBED)
        unit.suppressions.add("ann@example.org", SuppressionReason.BOUNCED)
        unit.commit()
    with units(own) as unit:
        (found,), cursor = unit.suppressions.page(None, 10)
        assert unit.suppressions.has("ann@example.org")
    assert (found.address, found.reason, cursor) == ("ann@example.org", SuppressionReason.UNSUBSCRIBED, None)


def test_every_suppression_is_on_exactly_one_page(units: MessagingUnits, own: UUID) -> None:
    addresses = {f"{n}@example.org" for n in range(7)}
    with units(own) as unit:
        for address in addresses:
            unit.suppressions.add(address, SuppressionReason.MANUAL)
        unit.commit()
    seen: list[str] = []
    cursor: str | None = None
    with units(own) as unit:
        for _ in range(3):
            page, cursor = unit.suppressions.page(cursor, 3)
            seen += [each.address for each in page]
    assert (sorted(seen), cursor) == (sorted(addresses), None)


def test_a_suppression_that_is_lifted_is_gone(units: MessagingUnits, own: UUID) -> None:
    with units(own) as unit:
        unit.suppressions.add("ann@example.org", SuppressionReason.MANUAL)
        assert unit.suppressions.delete("ann@example.org")
        assert not unit.suppressions.delete("ann@example.org")
        assert not unit.suppressions.has("ann@example.org")


def test_a_tenant_without_a_sender_cannot_send(backend: Backend, own: UUID) -> None:
    with backend.units(own) as unit:
        assert unit.mail_from() == MAIL_FROM
    with backend.units(backend.tenant(None)) as unit, pytest.raises(Conflict):
        unit.mail_from()


def _contacts(units: MessagingUnits, tenant: UUID) -> int:
    with units(tenant) as unit:
        return len(unit.contacts.page(None, 100))


def _templates(units: MessagingUnits, tenant: UUID) -> int:
    with units(tenant) as unit:
        return len(unit.templates.page(None, 100))


@pytest.mark.parametrize("count", [_contacts, _templates])
def test_one_tenants_things_are_not_in_anothers_lists(
    backend: Backend, own: UUID, count: Callable[[MessagingUnits, UUID], int]
) -> None:
    a_contact(backend.units, own)
    with backend.units(own) as unit:
        unit.templates.add(a_template(), "ann")
        unit.commit()
    assert (count(backend.units, own), count(backend.units, backend.tenant())) == (1, 0)
