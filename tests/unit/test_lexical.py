"""Words as sparse vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sender.vectors.lexical import query_terms, terms_of


def shared(query: str, text: str) -> float:
    weights = dict(zip(terms_of(text).indices, terms_of(text).values, strict=True))
    return sum(weights.get(each, 0.0) for each in query_terms(query).indices)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("rpm", "an RPM that breaks"),
        ("gcc", "gcc-3.2 does not build"),
        ("gcc-3.2", "It is GCC-3.2, says he"),
        ("straße", "STRASSE"),
        ("ﬁle", "file"),
        ("日本", "日本"),
        ("ann@example.org", "write to ann@example.org."),
    ],
)
def test_words_are_found_in_any_case_and_form(query: str, text: str) -> None:
    assert shared(query, text) > 0


@pytest.mark.parametrize(("query", "text"), [("rpm", "rpms"), ("a", "b"), ("", "x"), ("...", "---"), ("x", "")])
def test_other_words_are_not(query: str, text: str) -> None:
    assert shared(query, text) == 0


def test_a_word_said_more_often_weighs_more_but_less_each_time() -> None:
    once, twice, thrice = (shared("a", "a " * times + "b " * (10 - times)) for times in (1, 2, 3))
    assert once < twice < thrice
    assert twice - once > thrice - twice


def test_the_same_word_in_a_longer_text_weighs_less() -> None:
    assert shared("a", "a") > shared("a", "a " + "b " * 100)


@given(st.text(max_size=500))
def test_any_text_gives_each_hash_once_and_positive_finite_weights(text: str) -> None:
    terms = terms_of(text)
    assert len(set(terms.indices)) == len(terms.indices) == len(terms.values)
    assert all(0 <= each < 2**32 for each in terms.indices)
    assert all(0 < each < 3 for each in terms.values)


def test_a_huge_text_has_bounded_terms() -> None:
    assert len(terms_of(" ".join(map(str, range(100_000)))).indices) <= 4_000
