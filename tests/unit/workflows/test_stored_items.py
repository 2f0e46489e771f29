"""References to stored items, and what an item can be found by."""

import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sender.workflows.stored_items import parts_of, reference, referenced, references_in, terms_in, with_items

FIRST, SECOND = uuid4(), uuid4()


def test_items_take_the_place_of_their_reference() -> None:
    value = {"given": [[reference(FIRST, 2), {"n": 3}], [reference(SECOND, 1)]], "all": reference(FIRST, 2)}
    assert list(references_in(value)) == [FIRST, SECOND, FIRST]
    lists = {FIRST: [{"n": 1}, {"n": 2}]}
    # The second list is not there.
    assert with_items(value, lists) == {
        "given": [[{"n": 1}, {"n": 2}, {"n": 3}], [reference(SECOND, 1)]],
        "all": [{"n": 1}, {"n": 2}],
    }


@pytest.mark.parametrize(
    "value",
    [
        None, "stored_items", [], {}, {"stored_items": str(FIRST)}, {"stored_items": str(FIRST), "count": 1, "more": 1},
        {"stored_items": 7, "count": 1}, {"stored_items": "x", "count": 1},
    ],
)  # fmt: skip
def test_anything_else_is_no_reference(value: object) -> None:
    assert referenced(value) is None
    assert with_items([value], {FIRST: []}) == [value]


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=60_000), max_size=3), max_size=12))
def test_parts_have_all_items_in_order(items: list[dict[str, str]]) -> None:
    parts = list(parts_of(items))
    assert [item for part in parts for item in json.loads(part.text)] == items
    assert [part.first for part in parts] == [sum(one.count for one in parts[:place]) for place in range(len(parts))]
    assert all(part.count == 1 or len(part.text) <= 129 * 1024 for part in parts)


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.org", "Ann <ann@example.org>", "write to ann@example.org.", "mailto:ANN@Example.org?subject=x",
        "https://example.com/?to=ann@example.org&x=1", "hello\nann@example.org\nbye", "'ann@example.org'",
        "a@b@ann@example.org",
    ],
)  # fmt: skip
def test_an_address_in_a_text_is_found(text: str) -> None:
    assert "ann@example.org" in terms_in(json.dumps([{"text": text}], ensure_ascii=False))


def test_an_address_with_signs_and_an_id_are_found() -> None:
    text = json.dumps([{"text": "'o'hara+x_y@example.org'", "id": str(FIRST).upper()}])
    assert {"o'hara+x_y@example.org", str(FIRST)} <= set(terms_in(text))
    assert not terms_in(json.dumps([{"text": "x" * 100_000, "at": "@"}]))


def test_an_address_with_a_quoted_local_part_is_a_term() -> None:
    text = json.dumps([{"to": '"Ann b"@Example.org'}, {"text": 'Hello "ann"@mail.example.'}])
    assert {'"ann b"@example.org', '"ann"@mail.example'} <= set(terms_in(text))
