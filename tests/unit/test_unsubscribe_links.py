"""Unsubscribe links are in mailboxes for years and in the hands of strangers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_sender.adapters.unsubscribe import LinkKeys, SignedUnsubscribeLinks
from email_sender.errors import NotFound
from email_sender.kit.ambient import new_id

TENANT, CONTACT = new_id(), new_id()
OLD, NEW = b"the old key", b"the new key"


def links(current: str = "k1", **keys: bytes) -> SignedUnsubscribeLinks:
    return SignedUnsubscribeLinks(lambda: LinkKeys(current, keys or {"k1": OLD}), "https://mail.example/")


def token() -> str:
    return links().url(TENANT, CONTACT).rpartition("/")[2]


def test_a_link_leads_to_the_api_and_back_to_its_contact() -> None:
    assert links().url(TENANT, CONTACT) == f"https://mail.example/api/v1/unsubscribe/{token()}"
    assert links().read(token()) == (TENANT, CONTACT)


def test_a_token_holds_no_address_and_needs_no_escaping() -> None:
    assert token().startswith("v1.k1.")
    assert set(token()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_a_key_that_signed_once_keeps_its_links_working_after_a_new_one() -> None:
    both = links("k2", k1=OLD, k2=NEW)
    assert both.read(token()) == (TENANT, CONTACT)
    assert both.url(TENANT, CONTACT).rpartition("/")[2].startswith("v1.k2.")


def test_a_link_of_a_key_that_is_not_ours_is_not_found() -> None:
    for strangers in (links(k1=NEW), links("k2", k2=OLD)):
        with pytest.raises(NotFound):
            strangers.read(token())


def test_a_change_of_any_character_is_not_found() -> None:
    good = token()
    for place, character in enumerate(good):
        changed = good[:place] + ("A" if character != "A" else "B") + good[place + 1 :]
        with pytest.raises(NotFound):
            links().read(changed)


def test_parts_of_two_tokens_make_none() -> None:
    version, key, payload, mac = token().split(".")
    other = links().url(TENANT, new_id()).rpartition("/")[2].split(".")
    for parts in ((version, key, other[2], mac), (version, key, payload, other[3]), (version, key, mac, payload)):
        with pytest.raises(NotFound):
            links().read(".".join(parts))


@pytest.mark.parametrize(
    "odd",
    ["", ".", "...", "v1", "v1.k1", "v1.k1.", "v1.k1..", "v2" + token()[2:], token()[:-1], token() + "=", token() + "A",
     " " + token(), token() + "\n", "é.k1.x.y", "v1.k1.x.é", "\ud800", "v1.k1." + "A" * 1_000_000, "." * 100_000],
    # Tokens are new each time, and a test's name is not.
    ids=lambda _: "odd",
)  # fmt: skip
def test_an_odd_or_huge_token_is_not_found(odd: str) -> None:
    with pytest.raises(NotFound):
        links().read(odd)


@settings(deadline=None)
@given(st.lists(st.sampled_from("v1.kAaé\n\ud800=-_\0"), max_size=60).map("".join))
def test_no_text_is_anything_but_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        links().read(text)
