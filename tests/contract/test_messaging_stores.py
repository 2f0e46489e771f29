"""One suite for the messaging stores on the fake and on PostgreSQL, so that the fake can replace PostgreSQL."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from email_sender.coordination.events import Event
from email_sender.errors import Conflict, InvalidInput
from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import (
    Contact,
    Content,
    Draft,
    DraftApproval,
    Email,
    EmailFilter,
    EmailStatus,
    Message,
    SuppressionReason,
    Template,
    Variable,
)
from email_sender.messaging.ports import MessagingUnits
from email_sender.messaging.templates import content_hash
from tests.contract.messaging import Backend, add_contact
from tests.database import MAIL_FROM

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


def add_draft(units: MessagingUnits, tenant: UUID, contact: Contact, item: int = 0, run: UUID | None = None) -> Draft:
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
        stored_draft = unit.drafts.add(draft)
        unit.commit()
    return stored_draft


def new_email(draft: Draft, step: str = "send", lease: timedelta = timedelta(seconds=20)) -> Email:
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
        claim_result = unit.emails.claim(email)
        unit.commit()
    return claim_result


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
        stored_email = unit.emails.get(email)
    assert stored_email is not None
    return stored_email


def new_template(name: str = "intro") -> Template:
    return Template(new_id(), name, 1, "Hi", "Text", "<p>Text</p>", (Variable("n", "number", False, 3),))


def test_uncommitted_changes_are_not_stored(units: MessagingUnits, tenant_id: UUID) -> None:
    contact = Contact(new_id(), "ann@example.org")
    with units(tenant_id) as unit:
        unit.contacts.add(contact)
        assert unit.contacts.get(contact.id) is not None
    with units(tenant_id) as unit:
        assert unit.contacts.get(contact.id) is None


def test_a_change_and_its_event_are_stored_together_or_not_at_all(backend: Backend, tenant_id: UUID) -> None:
    def unsubscribed_event() -> Event:
        contact = str(new_id())
        return Event(new_id(), "contact.unsubscribed", "messaging", tenant_id, contact, AT, {"contact_id": contact})

    with backend.units(tenant_id) as unit:
        unit.emit(unsubscribed_event())
    assert backend.event_types(tenant_id) == []
    with backend.units(tenant_id) as unit:
        unit.emit(unsubscribed_event())
        unit.commit()
    assert backend.event_types(tenant_id) == ["contact.unsubscribed"]


def test_an_event_that_violates_its_schema_is_refused(units: MessagingUnits, tenant_id: UUID) -> None:
    with units(tenant_id) as unit, pytest.raises(InvalidInput):
        unit.emit(
            Event(new_id(), "contact.unsubscribed", "messaging", tenant_id, "a", AT, {"address": "ann@example.org"})
        )


def test_a_contact_is_read_by_its_id(units: MessagingUnits, tenant_id: UUID) -> None:
    contact = add_contact(units, tenant_id)
    with units(tenant_id) as unit:
        stored_contact = unit.contacts.get(contact.id)
        assert stored_contact is not None
        assert (stored_contact.id, stored_contact.address, stored_contact.name, stored_contact.attributes) == (
            contact.id,
            "ann@example.org",
            "Ann",
            {"team": "blue"},
        )
        assert unit.contacts.get(new_id()) is None


def test_an_address_belongs_to_one_contact_of_a_tenant(backend: Backend, tenant_id: UUID) -> None:
    add_contact(backend.units, tenant_id)
    with backend.units(tenant_id) as unit, pytest.raises(Conflict):
        unit.contacts.add(Contact(new_id(), "ann@example.org"))
    add_contact(backend.units, backend.create_tenant())


def test_a_contacts_name_and_attributes_can_change_but_not_its_address(units: MessagingUnits, tenant_id: UUID) -> None:
    contact = add_contact(units, tenant_id)
    with units(tenant_id) as unit:
        unit.contacts.update(replace(contact, name=None, attributes={"a": [1]}, address="eve@example.org"))
        unit.commit()
    with units(tenant_id) as unit:
        stored_contact = unit.contacts.get(contact.id)
    assert stored_contact is not None
    assert (stored_contact.name, stored_contact.attributes, stored_contact.address) == (
        None,
        {"a": [1]},
        "ann@example.org",
    )


def test_contacts_are_paged_in_the_order_of_creation(units: MessagingUnits, tenant_id: UUID) -> None:
    contact_ids = [add_contact(units, tenant_id, f"{n}@example.org").id for n in range(5)]
    with units(tenant_id) as unit:
        first = [contact.id for contact in unit.contacts.page(None, 2)]
        remaining_ids = [contact.id for contact in unit.contacts.page(first[-1], 10)]
    assert first + remaining_ids == contact_ids


def test_deleting_a_contact_deletes_its_messages_drafts_and_emails(backend: Backend, tenant_id: UUID) -> None:
    units = backend.units
    contact = add_contact(units, tenant_id)
    draft = add_draft(units, tenant_id, contact)
    email, _ = claim(units, tenant_id, new_email(draft))
    message = Message(new_id(), contact.id, None, AT, "s", "t")
    backend.put_message(tenant_id, message)
    with units(tenant_id) as unit:
        assert unit.contacts.delete(contact.id)
        assert not unit.contacts.delete(contact.id)
        unit.commit()
    with units(tenant_id) as unit:
        assert unit.drafts.get(draft.id) is None
        assert unit.emails.get(email.id) is None
        assert unit.messages.get_many([message.id]) == []


def test_messages_are_returned_in_the_requested_order_without_unknown_ids(backend: Backend, tenant_id: UUID) -> None:
    contact = add_contact(backend.units, tenant_id)
    first_message, second_message = (
        Message(new_id(), contact.id, None, AT, f"subject {n}", f"text {n}") for n in (1, 2)
    )
    for message in (first_message, second_message):
        backend.put_message(tenant_id, message)
    with backend.units(tenant_id) as unit:
        assert unit.messages.get_many([second_message.id, new_id(), first_message.id]) == [
            second_message,
            first_message,
        ]
        assert unit.messages.get_many([]) == []


def test_a_contacts_messages_are_paged_newest_first(backend: Backend, tenant_id: UUID) -> None:
    ann, bob = add_contact(backend.units, tenant_id), add_contact(backend.units, tenant_id, "bob@example.org")
    messages = [Message(new_id(), contact.id, None, AT, "s", "t") for contact in (ann, bob, ann, ann)]
    for message in messages:
        backend.put_message(tenant_id, message)
    with backend.units(tenant_id) as unit:
        first = unit.messages.of_contact(ann.id, None, 2)
        remaining_messages = unit.messages.of_contact(ann.id, first[-1].id, 2)
    assert [*first, *remaining_messages] == [messages[3], messages[2], messages[0]]


def test_a_template_is_found_by_id_and_by_name_at_its_newest_version(units: MessagingUnits, tenant_id: UUID) -> None:
    template = new_template()
    with units(tenant_id) as unit:
        unit.templates.add(template, "ann")
        unit.templates.add_version(replace(template, version=2, subject="Hello", body_html=None), "bob")
        unit.commit()
    with units(tenant_id) as unit:
        for stored_template in (unit.templates.get(template.id), unit.templates.by_name("intro")):
            assert stored_template is not None
            assert (stored_template.version, stored_template.subject, stored_template.body_html) == (2, "Hello", None)
            assert tuple(stored_template.variables) == template.variables


def test_a_template_name_is_unique(units: MessagingUnits, tenant_id: UUID) -> None:
    first_template, second_template = new_template("one"), new_template("two")
    with units(tenant_id) as unit:
        unit.templates.add(first_template, "ann")
        unit.templates.add(second_template, "ann")
        unit.commit()
    with units(tenant_id) as unit, pytest.raises(Conflict):
        unit.templates.add(new_template("one"), "ann")
    with units(tenant_id) as unit, pytest.raises(Conflict):
        unit.templates.add_version(replace(second_template, name="one", version=2), "ann")


@pytest.mark.parametrize("version", [1, 3])
def test_only_the_version_after_the_stored_one_is_accepted(
    units: MessagingUnits, tenant_id: UUID, version: int
) -> None:
    template = new_template()
    with units(tenant_id) as unit:
        unit.templates.add(template, "ann")
        unit.commit()
    with units(tenant_id) as unit, pytest.raises(Conflict):
        unit.templates.add_version(replace(template, version=version), "ann")


def test_templates_are_paged_and_can_be_deleted(units: MessagingUnits, tenant_id: UUID) -> None:
    templates = [new_template(f"t{n}") for n in range(3)]
    with units(tenant_id) as unit:
        for template in templates:
            unit.templates.add(template, "ann")
        unit.commit()
    with units(tenant_id) as unit:
        assert [stored_template.id for stored_template in unit.templates.page(templates[0].id, 1)] == [templates[1].id]
        assert unit.templates.delete(templates[1].id)
        assert not unit.templates.delete(templates[1].id)
        assert [stored_template.id for stored_template in unit.templates.page(None, 10)] == [
            templates[0].id,
            templates[2].id,
        ]


def test_a_draft_is_returned_as_it_was_stored(units: MessagingUnits, tenant_id: UUID) -> None:
    draft = add_draft(units, tenant_id, add_contact(units, tenant_id))
    with units(tenant_id) as unit:
        stored_draft = unit.drafts.get(draft.id)
    assert stored_draft is not None
    assert replace(stored_draft, created_at=None) == replace(draft, created_at=None, evidence=stored_draft.evidence)
    assert list(stored_draft.evidence) == list(draft.evidence)


def test_a_run_step_and_item_has_one_draft_and_the_first_is_kept(units: MessagingUnits, tenant_id: UUID) -> None:
    contact, run = add_contact(units, tenant_id), new_id()
    first = add_draft(units, tenant_id, contact, run=run)
    assert add_draft(units, tenant_id, contact, run=run).id == first.id
    assert add_draft(units, tenant_id, contact, item=1, run=run).id != first.id


def test_approvals_of_a_draft_belong_to_its_run_and_showed_the_draft(backend: Backend, tenant_id: UUID) -> None:
    units = backend.units
    contact, run = add_contact(units, tenant_id), new_id()
    draft, other_draft = (add_draft(units, tenant_id, contact, item, run) for item in (0, 1))
    with units(tenant_id) as unit:
        assert unit.drafts.approvals_of(run, draft.id) == []
    backend.put_approval(tenant_id, run, draft.id, DraftApproval("hash", "approved", "admin"))
    backend.put_approval(tenant_id, run, draft.id, DraftApproval("hash", "pending", None))
    backend.put_approval(tenant_id, run, other_draft.id, DraftApproval("other", "denied", "admin"))
    with units(tenant_id) as unit:
        approvals = unit.drafts.approvals_of(run, draft.id)
        assert unit.drafts.approvals_of(new_id(), draft.id) == []
    assert sorted(approvals, key=lambda approval: approval.status) == [
        DraftApproval("hash", "approved", "admin"),
        DraftApproval("hash", "pending", None),
    ]


def test_the_first_claim_wins_and_the_second_sees_the_first(units: MessagingUnits, tenant_id: UUID) -> None:
    draft = add_draft(units, tenant_id, add_contact(units, tenant_id))
    first = new_email(draft)
    stored_email, holds_claim = claim(units, tenant_id, first)
    assert (stored_email, holds_claim) == (first, True)
    assert claim(units, tenant_id, new_email(draft)) == (first, False)
    _, holds_claim = claim(units, tenant_id, new_email(draft, step="another"))
    assert holds_claim


@pytest.mark.parametrize("status", [status for status in EmailStatus if status is not EmailStatus.QUEUED])
def test_an_email_that_is_not_queued_cannot_be_claimed(
    units: MessagingUnits, tenant_id: UUID, status: EmailStatus
) -> None:
    draft = add_draft(units, tenant_id, add_contact(units, tenant_id))
    email, _ = claim(units, tenant_id, new_email(draft))
    settle(units, tenant_id, email.id, status)
    claimed_email, holds_claim = claim(units, tenant_id, new_email(draft))
    assert (claimed_email.id, claimed_email.status, holds_claim) == (email.id, status, False)


def test_a_queued_email_is_claimed_again_under_its_id_with_a_new_lease(units: MessagingUnits, tenant_id: UUID) -> None:
    draft = add_draft(units, tenant_id, add_contact(units, tenant_id))
    email, _ = claim(units, tenant_id, new_email(draft))
    assert settle(units, tenant_id, email.id, EmailStatus.QUEUED).error == "why"
    claimed_email, holds_claim = claim(units, tenant_id, new_email(draft, lease=timedelta(seconds=90)))
    assert holds_claim
    assert claimed_email == replace(email, lease_until=AT + timedelta(seconds=90))


def test_a_queued_email_claimed_with_another_draft_takes_that_draft(units: MessagingUnits, tenant_id: UUID) -> None:
    contact, run = add_contact(units, tenant_id), new_id()
    first_draft, second_draft = (add_draft(units, tenant_id, contact, item, run) for item in (0, 1))
    email, _ = claim(units, tenant_id, new_email(first_draft))
    settle(units, tenant_id, email.id, EmailStatus.QUEUED)
    claimed_email, holds_claim = claim(units, tenant_id, new_email(second_draft))
    assert (claimed_email.id, claimed_email.draft_id, holds_claim) == (email.id, second_draft.id, True)


def test_settling_keeps_the_provider_id_and_the_first_sending_time(units: MessagingUnits, tenant_id: UUID) -> None:
    draft = add_draft(units, tenant_id, add_contact(units, tenant_id))
    email, _ = claim(units, tenant_id, new_email(draft))
    sent_email = settle(units, tenant_id, email.id, EmailStatus.SENT, "p-1")
    assert (sent_email.status, sent_email.provider_message_id, sent_email.sent_at) == (EmailStatus.SENT, "p-1", AT)
    delivered_email = settle(units, tenant_id, email.id, EmailStatus.DELIVERED, at=AT + timedelta(minutes=1))
    assert (delivered_email.provider_message_id, delivered_email.sent_at) == ("p-1", AT)


@pytest.mark.parametrize("status", [EmailStatus.UNKNOWN, EmailStatus.REJECTED, EmailStatus.QUEUED])
def test_an_email_not_known_to_be_sent_has_no_sending_time(
    units: MessagingUnits, tenant_id: UUID, status: EmailStatus
) -> None:
    draft = add_draft(units, tenant_id, add_contact(units, tenant_id))
    email, _ = claim(units, tenant_id, new_email(draft))
    assert settle(units, tenant_id, email.id, status).sent_at is None


def test_emails_are_paged_newest_first(units: MessagingUnits, tenant_id: UUID) -> None:
    draft = add_draft(units, tenant_id, add_contact(units, tenant_id))
    email_ids = [claim(units, tenant_id, new_email(draft, step=f"s{n}"))[0].id for n in range(4)]
    with units(tenant_id) as unit:
        first = [email.id for email in unit.emails.page(EmailFilter(), None, 3)]
        remaining_ids = [email.id for email in unit.emails.page(EmailFilter(), first[-1], 3)]
    assert first + remaining_ids == email_ids[::-1]


def test_emails_are_filtered_by_run_contact_and_status(units: MessagingUnits, tenant_id: UUID) -> None:
    drafts = [add_draft(units, tenant_id, add_contact(units, tenant_id, f"{n}@example.org")) for n in range(2)]
    first, second = (claim(units, tenant_id, new_email(draft))[0] for draft in drafts)
    settle(units, tenant_id, first.id, EmailStatus.SENT)

    def ids(email_filter: EmailFilter) -> list[UUID]:
        with units(tenant_id) as unit:
            return [email.id for email in unit.emails.page(email_filter, None, 10)]

    assert ids(EmailFilter(contact_id=second.contact_id)) == [second.id]
    assert ids(EmailFilter(status=EmailStatus.SENT)) == [first.id]
    assert ids(EmailFilter(run_id=first.run_id, contact_id=first.contact_id)) == [first.id]
    assert ids(EmailFilter(run_id=first.run_id, status=EmailStatus.BOUNCED)) == []
    assert ids(EmailFilter(run_id=new_id())) == []


def test_the_first_reason_of_a_suppression_is_kept(units: MessagingUnits, tenant_id: UUID) -> None:
    with units(tenant_id) as unit:
        assert unit.suppressions.find("ann@example.org") is None
        unit.suppressions.add("ann@example.org", SuppressionReason.UNSUBSCRIBED)
        unit.suppressions.add("ann@example.org", SuppressionReason.BOUNCED)
        unit.commit()
    with units(tenant_id) as unit:
        (suppression,), cursor = unit.suppressions.page(None, 10)
        assert unit.suppressions.find("ann@example.org") == suppression
    assert (suppression.address, suppression.reason, cursor) == (
        "ann@example.org",
        SuppressionReason.UNSUBSCRIBED,
        None,
    )


def test_every_suppression_is_on_exactly_one_page(units: MessagingUnits, tenant_id: UUID) -> None:
    addresses = {f"{n}@example.org" for n in range(7)}
    with units(tenant_id) as unit:
        for address in addresses:
            unit.suppressions.add(address, SuppressionReason.MANUAL)
        unit.commit()
    listed_addresses: list[str] = []
    cursor: str | None = None
    with units(tenant_id) as unit:
        for _ in range(3):
            page, cursor = unit.suppressions.page(cursor, 3)
            listed_addresses += [suppression.address or "" for suppression in page]
    assert (sorted(listed_addresses), cursor) == (sorted(addresses), None)


def test_a_deleted_suppression_is_gone(units: MessagingUnits, tenant_id: UUID) -> None:
    with units(tenant_id) as unit:
        unit.suppressions.add("ann@example.org", SuppressionReason.MANUAL)
        assert unit.suppressions.delete("ann@example.org")
        assert not unit.suppressions.delete("ann@example.org")
        assert unit.suppressions.find("ann@example.org") is None


def test_a_tenant_without_a_sender_address_cannot_send(backend: Backend, tenant_id: UUID) -> None:
    with backend.units(tenant_id) as unit:
        assert unit.mail_from() == MAIL_FROM
    with backend.units(backend.create_tenant(None)) as unit, pytest.raises(Conflict):
        unit.mail_from()


def _contacts(units: MessagingUnits, tenant: UUID) -> int:
    with units(tenant) as unit:
        return len(unit.contacts.page(None, 100))


def _templates(units: MessagingUnits, tenant: UUID) -> int:
    with units(tenant) as unit:
        return len(unit.templates.page(None, 100))


@pytest.mark.parametrize("count", [_contacts, _templates])
def test_lists_show_nothing_of_another_tenant(
    backend: Backend, tenant_id: UUID, count: Callable[[MessagingUnits, UUID], int]
) -> None:
    add_contact(backend.units, tenant_id)
    with backend.units(tenant_id) as unit:
        unit.templates.add(new_template(), "ann")
        unit.commit()
    assert (count(backend.units, tenant_id), count(backend.units, backend.create_tenant())) == (1, 0)
