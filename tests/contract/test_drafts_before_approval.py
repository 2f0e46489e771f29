"""Edits of drafts before their approval, what was sent to a contact before, and contacts added in bulk."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from email_sender.coordination.events import EventFactory
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.kit.system_clock import new_id, now
from email_sender.messaging.contacts import Addition, ContactSelection, NewContact
from email_sender.messaging.drafts import DraftService
from email_sender.messaging.model import (
    Content,
    Draft,
    DraftApproval,
    EmailStatus,
    Standing,
    SuppressionReason,
)
from email_sender.messaging.ports import MessagingUnits
from email_sender.messaging.reasons import LEFT_OUT
from email_sender.messaging.templates import content_hash
from email_sender.security.permissions import Role
from tests.contract.messaging import Backend, add_contact
from tests.contract.test_contact_selection import contact_service
from tests.contract.test_messaging_stores import add_draft, claim, new_email, settle

NEW = Content("A better subject", "A better text", None)


def draft_service(units: MessagingUnits) -> DraftService:
    return DraftService(units, now, EventFactory("messaging", now, new_id))


@pytest.fixture
def draft(backend: Backend, tenant_id: UUID) -> Draft:
    """A draft that two approvals of its run show, one after the other."""
    return add_draft(backend.units, tenant_id, add_contact(backend.units, tenant_id))


def show(backend: Backend, tenant: UUID, draft: Draft, status: str = "pending") -> None:
    role = Role.ADMIN if status != "pending" else None
    backend.put_approval(tenant, draft.run_id, draft.id, DraftApproval(draft.sha256, status, role))


def test_an_edit_replaces_the_text_and_the_hash_that_the_approval_shows(
    backend: Backend, tenant_id: UUID, draft: Draft
) -> None:
    show(backend, tenant_id, draft)
    edited = draft_service(backend.units).edit(tenant_id, draft.id, NEW, "ann", draft.sha256)
    assert (edited.content, edited.sha256, edited.edited_by) == (NEW, content_hash(draft.contact_id, NEW), "ann")
    with backend.units(tenant_id) as unit:
        stored = unit.drafts.get(draft.id)
        assert stored is not None
        assert (stored.content, stored.sha256, stored.edited_by) == (NEW, edited.sha256, "ann")
        assert [one.sha256 for one in unit.drafts.approvals_of(draft.run_id, draft.id)] == [edited.sha256]
    assert backend.event_types(tenant_id)[-1] == "approval.draft.edited"


def test_the_same_text_again_is_no_edit(backend: Backend, tenant_id: UUID, draft: Draft) -> None:
    show(backend, tenant_id, draft)
    service = draft_service(backend.units)
    edited = service.edit(tenant_id, draft.id, NEW, "ann", draft.sha256)
    assert service.edit(tenant_id, draft.id, NEW, "bob", draft.sha256).edited_by == "ann"
    assert service.get(tenant_id, draft.id).sha256 == edited.sha256
    assert backend.event_types(tenant_id).count("approval.draft.edited") == 1


def test_the_second_of_two_editors_is_told(backend: Backend, tenant_id: UUID, draft: Draft) -> None:
    show(backend, tenant_id, draft)
    service = draft_service(backend.units)
    service.edit(tenant_id, draft.id, NEW, "ann", draft.sha256)
    with pytest.raises(Conflict, match="Somebody else"):
        service.edit(tenant_id, draft.id, replace(NEW, text="Another text"), "bob", draft.sha256)


@pytest.mark.parametrize("statuses", [[], ["approved"], ["denied"], ["pending", "approved"]])
def test_a_draft_that_waits_for_no_approval_stays_as_it_is(
    backend: Backend, tenant_id: UUID, draft: Draft, statuses: list[str]
) -> None:
    for status in statuses:
        show(backend, tenant_id, draft, status)
    with pytest.raises(Conflict, match="pending"):
        draft_service(backend.units).edit(tenant_id, draft.id, NEW, "ann", draft.sha256)
    assert draft_service(backend.units).get(tenant_id, draft.id).content == draft.content


@pytest.mark.parametrize(
    "content",
    [Content("", "text"), Content("a\nb", "text"), Content("a\rb", "text"), Content("a\0b", "text"),
     Content("x" * 501, "text"), Content("subject", " "),
     Content("subject", "x" * 500_001), Content("subject", "text", "x" * 500_001)],
)  # fmt: skip
def test_a_text_that_no_mail_can_have_is_refused(
    backend: Backend, tenant_id: UUID, draft: Draft, content: Content
) -> None:
    show(backend, tenant_id, draft)
    with pytest.raises(InvalidInput):
        draft_service(backend.units).edit(tenant_id, draft.id, content, "ann", draft.sha256)


def test_new_text_beside_old_html_is_refused(backend: Backend, tenant_id: UUID, draft: Draft) -> None:
    show(backend, tenant_id, draft)
    service = draft_service(backend.units)
    with pytest.raises(InvalidInput, match="HTML has the old text"):
        service.edit(tenant_id, draft.id, replace(draft.content, text="New"), "ann", draft.sha256)
    edited = service.edit(tenant_id, draft.id, replace(draft.content, subject="New"), "ann", draft.sha256)
    assert service.get_many(tenant_id, [new_id(), draft.id]) == [service.get(tenant_id, edited.id)]


def test_an_email_whose_draft_was_left_out_gives_way_to_another_draft(
    backend: Backend, tenant_id: UUID, draft: Draft
) -> None:
    units = backend.units
    with units(tenant_id) as unit:
        contact = unit.contacts.get(draft.contact_id)
    assert contact is not None
    email, _ = claim(units, tenant_id, new_email(draft))
    with units(tenant_id) as unit:
        unit.emails.settle(email.id, EmailStatus.REJECTED, now(), None, LEFT_OUT)
        unit.commit()
    assert claim(units, tenant_id, new_email(draft))[1] is False
    other = add_draft(units, tenant_id, contact, 7, draft.run_id)
    claimed, may_send = claim(units, tenant_id, new_email(other))
    assert (claimed.id, claimed.draft_id, may_send) == (email.id, other.id, True)


def test_another_tenants_draft_is_not_found(backend: Backend, tenant_id: UUID, draft: Draft) -> None:
    show(backend, tenant_id, draft)
    service, stranger = draft_service(backend.units), backend.create_tenant()
    with pytest.raises(NotFound):
        service.get(stranger, draft.id)
    with pytest.raises(NotFound):
        service.edit(stranger, draft.id, NEW, "eve", draft.sha256)


def test_a_contact_shows_what_was_sent_before_and_whether_it_gets_mail(units: MessagingUnits, tenant_id: UUID) -> None:
    ann, bob = add_contact(units, tenant_id, "a@example.org"), add_contact(units, tenant_id, "b@example.org")
    sent_at = datetime(2026, 5, 4, 12, tzinfo=UTC)
    for item, status in enumerate((EmailStatus.DELIVERED, EmailStatus.REJECTED, EmailStatus.UNKNOWN)):
        email, _ = claim(units, tenant_id, new_email(add_draft(units, tenant_id, ann, item, new_id()), f"s{item}"))
        settle(units, tenant_id, email.id, status, at=sent_at)
    with units(tenant_id) as unit:
        unit.suppressions.add("b@example.org", SuppressionReason.BOUNCED)
        unit.commit()
    with units(tenant_id) as unit:
        standings = unit.contacts.standings([ann.id, bob.id, new_id()])
        assert (standings[ann.id].suppressed, standings[ann.id].emails) == (None, 2)
        assert standings[ann.id].last_email_at is not None
        assert standings[bob.id] == Standing(SuppressionReason.BOUNCED, 0, None)
        assert len(standings) == 2
        assert unit.contacts.find("B@EXAMPLE.org") == unit.contacts.get(bob.id)
        assert unit.contacts.find("c@example.org") is None
        assert [one.id for one in unit.contacts.get_many([bob.id, new_id(), ann.id])] == [bob.id, ann.id]


def test_contacts_are_listed_by_id_and_by_address(units: MessagingUnits, tenant_id: UUID) -> None:
    ann, bob = add_contact(units, tenant_id, "a@example.org"), add_contact(units, tenant_id, "b@example.org")
    service = contact_service(units)

    def listed(selection: ContactSelection) -> list[UUID]:
        page = service.page(tenant_id, None, 1, selection)
        assert page.next_cursor is None
        return [contact.id for contact, _standing in page.items]

    assert listed(ContactSelection([bob.id, ann.id])) == [bob.id, ann.id]
    assert listed(ContactSelection(address=" A@example.org ")) == [ann.id]
    assert listed(ContactSelection(address="c@example.org")) == []
    first = service.page(tenant_id, None, 1)
    assert ([contact.id for contact, _ in first.items], first.next_cursor) == ([ann.id], str(ann.id))


def test_contacts_are_added_in_bulk_or_only_checked(units: MessagingUnits, tenant_id: UUID) -> None:
    known = add_contact(units, tenant_id, "known@example.org")
    with units(tenant_id) as unit:
        unit.suppressions.add("gone@example.org", SuppressionReason.ERASED)
        unit.suppressions.add("quiet@example.org", SuppressionReason.UNSUBSCRIBED)
        unit.commit()
    addresses = ["new@example.org", "KNOWN@example.org", "no address", "gone@example.org", "quiet@example.org",
                 "New@Example.org"]  # fmt: skip
    entries = [NewContact(address, "Somebody", {"tags": ["list"]}) for address in addresses]
    expected = [Addition.ADDED, Addition.EXISTS, Addition.INVALID, Addition.ERASED, Addition.ADDED, Addition.EXISTS]
    service = contact_service(units)
    assert [one.outcome for one in service.add_many(tenant_id, entries, dry_run=True)] == expected
    assert [contact.id for contact, _ in service.page(tenant_id, None, 10).items] == [known.id]
    added = service.add_many(tenant_id, entries, dry_run=False)
    assert [one.outcome for one in added] == expected
    assert (added[1].contact_id, added[5].contact_id) == (known.id, added[0].contact_id)
    assert "unsubscribed" in added[4].detail
    again = service.add_many(tenant_id, entries, dry_run=False)
    assert [one.outcome for one in again].count(Addition.ADDED) == 0
    assert len(service.page(tenant_id, None, 10).items) == 3
