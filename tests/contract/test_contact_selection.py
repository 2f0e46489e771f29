"""Contacts selected by id and by tags, and changed by a workflow."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from email_sender.errors import InvalidInput, NotFound
from email_sender.kit.system_clock import new_id, now
from email_sender.messaging.contact_search import asked_terms
from email_sender.messaging.contacts import MAX_TAGS, ContactChange, ContactService
from email_sender.messaging.model import SuppressionReason
from email_sender.messaging.ports import MessagingUnits
from tests.contract.messaging import Backend, add_contact


def add_tagged_contact(units: MessagingUnits, tenant: UUID, address: str, tags: Any) -> UUID:
    contact = add_contact(units, tenant, address)
    with units(tenant) as unit:
        unit.contacts.update(replace(contact, attributes={"team": "blue", "tags": tags}))
        unit.commit()
    return contact.id


def contact_service(units: MessagingUnits) -> ContactService:
    links: Any = None
    return ContactService(units, links, now, new_id)


def test_contacts_are_selected_by_all_their_tags_by_id_and_up_to_a_limit(
    units: MessagingUnits, tenant_id: UUID
) -> None:
    with_both_tags = add_tagged_contact(units, tenant_id, "a@example.org", ["vip", "new"])
    with_one_tag = add_tagged_contact(units, tenant_id, "b@example.org", ["vip"])
    with_text_tag = add_tagged_contact(units, tenant_id, "c@example.org", "vip")
    without_tags = add_contact(units, tenant_id, "d@example.org").id
    with units(tenant_id) as unit:
        select = unit.contacts.select
        assert select(None, [], 10, suppressed=True) == [with_both_tags, with_one_tag, with_text_tag, without_tags]
        assert select(None, ["vip"], 10, suppressed=True) == [with_both_tags, with_one_tag]
        assert select(None, ["vip", "new"], 10, suppressed=True) == [with_both_tags]
        assert select([without_tags, with_one_tag, new_id()], [], 10, suppressed=True) == [with_one_tag, without_tags]
        assert select([], [], 10, suppressed=True) == []
        assert select([without_tags], ["vip"], 10, suppressed=True) == []
        assert select(None, [], 2, suppressed=True) == [with_both_tags, with_one_tag]


def test_suppressed_contacts_are_left_out_unless_requested(units: MessagingUnits, tenant_id: UUID) -> None:
    active_id, unsubscribed_id = (
        add_contact(units, tenant_id, "a@example.org").id,
        add_contact(units, tenant_id, "b@example.org").id,
    )
    with units(tenant_id) as unit:
        unit.suppressions.add("b@example.org", SuppressionReason.UNSUBSCRIBED)
        unit.commit()
    assert contact_service(units).select(tenant_id, None, [], 10) == [active_id]
    assert contact_service(units).select(tenant_id, None, [], 10, suppressed=True) == [active_id, unsubscribed_id]


def test_contacts_of_another_tenant_are_neither_selected_nor_changed(backend: Backend, tenant_id: UUID) -> None:
    other_contact_id = add_contact(backend.units, backend.create_tenant()).id
    assert contact_service(backend.units).select(tenant_id, [other_contact_id], [], 10, suppressed=True) == []
    with pytest.raises(NotFound):
        contact_service(backend.units).change(tenant_id, other_contact_id, ContactChange(add_tags=["mine"]))


def test_a_change_merges_and_repeating_it_changes_nothing(units: MessagingUnits, tenant_id: UUID) -> None:
    contact = add_tagged_contact(units, tenant_id, "a@example.org", ["old", "vip"])
    change = ContactChange("Ada", {"team": None, "size": 3}, add_tags=["new", "vip", "new"], remove_tags=["old"])
    for _ in range(2):
        updated_contact = contact_service(units).change(tenant_id, contact, change)
        assert (updated_contact.name, updated_contact.attributes) == ("Ada", {"size": 3, "tags": ["vip", "new"]})
    assert contact_service(units).get(tenant_id, contact).attributes == {"size": 3, "tags": ["vip", "new"]}


def test_a_change_over_the_limits_is_refused_and_changes_nothing(units: MessagingUnits, tenant_id: UUID) -> None:
    contact = add_contact(units, tenant_id).id
    with pytest.raises(InvalidInput, match="50 attributes"):
        contact_service(units).change(tenant_id, contact, ContactChange(attributes={str(n): n for n in range(60)}))
    with pytest.raises(InvalidInput, match="100 tags"):
        contact_service(units).change(tenant_id, contact, ContactChange(add_tags=[str(n) for n in range(MAX_TAGS + 1)]))
    assert contact_service(units).get(tenant_id, contact).attributes == {"team": "blue"}


def test_contacts_are_found_by_beginnings_of_words_page_by_page(units: MessagingUnits, tenant_id: UUID) -> None:
    ids = []
    for number, name in enumerate(("Ada Lovelace", "Adam Smith", None)):
        contact = add_contact(units, tenant_id, f"p{number}@engines.example")
        with units(tenant_id) as unit:
            unit.contacts.update(replace(contact, name=name))
            unit.commit()
        ids.append(contact.id)

    def found(text: str, after: UUID | None = None, limit: int = 10) -> list[UUID]:
        with units(tenant_id) as unit:
            return [one.id for one in unit.contacts.page(after, limit, asked_terms(text, names_only=False))]

    assert found("ada") == ids[:2]
    assert found("ada", limit=1) == ids[:1]
    assert found("ada", after=ids[0]) == ids[1:2]
    assert found("engines") == ids
    assert found("love engines p0") == ids[:1]
    assert found("grace") == []
    with units(tenant_id) as unit:
        stored = unit.contacts.get(ids[0])
        assert stored is not None
        unit.contacts.update(replace(stored, name="Grace"))
        unit.commit()
    assert (found("grace"), found("ada")) == (ids[:1], ids[1:2])


def test_a_search_finds_nobody_of_another_tenant(backend: Backend, tenant_id: UUID) -> None:
    add_contact(backend.units, tenant_id, "ada@engines.example")
    with backend.units(backend.create_tenant()) as unit:
        assert unit.contacts.page(None, 10, asked_terms("ada", names_only=False)) == []
