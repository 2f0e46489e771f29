"""What a contact is found by."""

import pytest

from email_sender.messaging.contact_search import asked_terms, terms_of


def finds(text: str, name: str | None, address: str, *, names_only: bool = False) -> bool:
    asked = asked_terms(text, names_only=names_only)
    return bool(asked) and set(asked) <= terms_of(name, address)


@pytest.mark.parametrize(
    "text",
    ["ada", "A", "lovel", "Ada Lovelace", "lovelace ada", "ADA  l.", "ada@engines", "engines.example", "a.lovelace"],
)
def test_beginnings_of_words_in_any_order_find_a_contact(text: str) -> None:
    assert finds(text, "Ada Lovelace", "a.lovelace@engines.example")


@pytest.mark.parametrize("text", ["da", "lace", "ada byron", "adal", "", "  ", "@", "—"])
def test_other_words_and_ends_of_words_do_not(text: str) -> None:
    assert not finds(text, "Ada Lovelace", "a.lovelace@engines.example")


def test_accents_and_case_do_not_matter() -> None:
    assert finds("jose nunez", "José Núñez", "jn@mail.example")
    assert finds("JOSÉ", "jose", "jn@mail.example")
    assert finds("strasse", "Straße", "s@mail.example")
    assert finds("李", "李小龙", "b@mail.example")


def test_long_words_are_found_by_their_first_letters() -> None:
    assert finds("donaudampfschifffahrt", "Donaudampfschiff", "d@mail.example")
    assert len(terms_of("x" * 255, "y" * 60 + "@" + "z" * 60 + ".example")) < 100


def test_whoever_sees_no_addresses_finds_names_only() -> None:
    assert finds("ada", "Ada", "secret@hidden.example", names_only=True)
    assert not finds("secret", "Ada", "secret@hidden.example", names_only=True)
    assert finds("secret ada", "Ada", "secret@hidden.example")
