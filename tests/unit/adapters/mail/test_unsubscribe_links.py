"""Tests for unsubscribe links, which stay in mailboxes for years and reach strangers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_sender.adapters.mail.unsubscribe_links import LinkKeys, SignedUnsubscribeLinks
from email_sender.errors import NotFound
from email_sender.kit.system_clock import new_id

TENANT, CONTACT = new_id(), new_id()
OLD, NEW = b"the old key", b"the new key"


def links(current: str = "k1", **keys: bytes) -> SignedUnsubscribeLinks:
    return SignedUnsubscribeLinks(lambda: LinkKeys(current, keys or {"k1": OLD}), "https://mail.example/")


def token() -> str:
    return links().url(TENANT, CONTACT).rpartition("/")[2]


def test_a_link_points_to_the_api_and_identifies_its_contact() -> None:
    assert links().url(TENANT, CONTACT) == f"https://mail.example/api/v1/unsubscribe/{token()}"
    assert links().read(token()) == (TENANT, CONTACT)


def test_a_token_contains_no_address_and_needs_no_escaping() -> None:
    assert token().startswith("v1.k1.")
    assert set(token()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_links_signed_with_an_older_key_still_work() -> None:
    both = links("k2", k1=OLD, k2=NEW)
    assert both.read(token()) == (TENANT, CONTACT)
    assert both.url(TENANT, CONTACT).rpartition("/")[2].startswith("v1.k2.")


def test_a_link_signed_with_an_unknown_key_is_not_found() -> None:
    for foreign_links in (links(k1=NEW), links("k2", k2=OLD)):
        with pytest.raises(NotFound):
            foreign_links.read(token())


def test_a_token_with_a_changed_character_is_not_found() -> None:
    good = token()
    for position, character in enumerate(good):
        changed = good[:position] + ("A" if character != "A" else "B") + good[position + 1 :]
        with pytest.raises(NotFound):
            links().read(changed)


def test_parts_of_two_tokens_cannot_be_combined() -> None:
    version, key, payload, mac = token().split(".")
    other_parts = links().url(TENANT, new_id()).rpartition("/")[2].split(".")
    for parts in (
        (version, key, other_parts[2], mac),
        (version, key, payload, other_parts[3]),
        (version, key, mac, payload),
    ):
        with pytest.raises(NotFound):
            links().read(".".join(parts))


@pytest.mark.parametrize(
    "malformed_token",
    ["", ".", "...", "v1", "v1.k1", "v1.k1.", "v1.k1..", "v2" + token()[2:], token()[:-1], token() + "=", token() + "A",
     " " + token(), token() + "\n", "é.k1.x.y", "v1.k1.x.é", "\ud800", "v1.k1." + "A" * 1_000_000, "." * 100_000],
    # Tokens differ in every run, but the ids of tests must not.
    ids=lambda _: "token",
)  # fmt: skip
def test_a_malformed_or_huge_token_is_not_found(malformed_token: str) -> None:
    with pytest.raises(NotFound):
        links().read(malformed_token)


@settings(deadline=None)
@given(st.lists(st.sampled_from("v1.kAaé\n\ud800=-_\0"), max_size=60).map("".join))
def test_any_text_that_is_not_a_token_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        links().read(text)
