"""Contacts chosen by id and by tags, and changed by a workflow."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from email_sender.errors import InvalidInput, NotFound
from email_sender.kit.ambient import new_id, now
from email_sender.messaging.contacts import MAX_TAGS, ContactChange, ContactService
from email_sender.messaging.model import SuppressionReason
from email_sender.messaging.ports import MessagingUnits
from tests.contract.messaging import Backend, a_contact


def tagged(units: MessagingUnits, tenant: UUID, address: str, tags: Any) -> UUID:
    contact = a_contact(units, tenant, address)
    with units(tenant) as unit:
        unit.contacts.update(replace(contact, attributes={"team": "blue", "tags": tags}))
        unit.commit()
    return contact.id


def service(units: MessagingUnits) -> ContactService:
    links: Any = None
    return ContactService(units, links, now, new_id)


def test_contacts_are_chosen_by_all_their_tags_by_id_and_up_to_a_limit(units: MessagingUnits, own: UUID) -> None:
    both = tagged(units, own, "a@example.org", ["vip", "new"])
    one = tagged(units, own, "b@example.org", ["vip"])
    odd = tagged(units, own, "c@example.org", "vip")
    none = a_contact(units, own, "d@example.org").id
    with units(own) as unit:
        select = unit.contacts.select
        assert select(None, [], 10, suppressed=True) == [both, one, odd, none]
        assert select(None, ["vip"], 10, suppressed=True) == [both, one]
        assert select(None, ["vip", "new"], 10, suppressed=True) == [both]
        assert select([none, one, new_id()], [], 10, suppressed=True) == [one, none]
        assert select([], [], 10, suppressed=True) == []
        assert select([none], ["vip"], 10, suppressed=True) == []
        assert select(None, [], 2, suppressed=True) == [both, one]


def test_who_wants_no_mail_is_left_out_unless_asked_for(units: MessagingUnits, own: UUID) -> None:
    kept, gone = a_contact(units, own, "a@example.org").id, a_contact(units, own, "b@example.org").id
    with units(own) as unit:
        unit.suppressions.add("b@example.org", SuppressionReason.UNSUBSCRIBED)
        unit.commit()
    assert service(units).select(own, None, [], 10) == [kept]
    assert service(units).select(own, None, [], 10, suppressed=True) == [kept, gone]


def test_another_tenants_contacts_are_not_chosen_nor_changed(backend: Backend, own: UUID) -> None:
    theirs = a_contact(backend.units, backend.tenant()).id
    assert service(backend.units).select(own, [theirs], [], 10, suppressed=True) == []
    with pytest.raises(NotFound):
        service(backend.units).change(own, theirs, ContactChange(add_tags=["mine"]))


def test_a_change_merges_and_the_same_again_changes_nothing(units: MessagingUnits, own: UUID) -> None:
    contact = tagged(units, own, "a@example.org", ["old", "vip"])
    change = ContactChange("Ada", {"team": None, "size": 3}, add_tags=["new", "vip", "new"], remove_tags=["old"])
    for _ in range(2):
        changed = service(units).change(own, contact, change)
        assert (changed.name, changed.attributes) == ("Ada", {"size": 3, "tags": ["vip", "new"]})
    assert service(units).get(own, contact).attributes == {"size": 3, "tags": ["vip", "new"]}


def test_a_change_that_would_be_too_much_is_refused_and_nothing_is_changed(units: MessagingUnits, own: UUID) -> None:
    contact = a_contact(units, own).id
    with pytest.raises(InvalidInput, match="50 attributes"):
        service(units).change(own, contact, ContactChange(attributes={str(n): n for n in range(60)}))
    with pytest.raises(InvalidInput, match="100 tags"):
        service(units).change(own, contact, ContactChange(add_tags=[str(n) for n in range(MAX_TAGS + 1)]))
    assert service(units).get(own, contact).attributes == {"team": "blue"}
