"""Tests for words as sparse vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sender.vectors.bm25 import document_terms, query_terms


def word_overlap(query: str, text: str) -> float:
    weights = dict(zip(document_terms(text).indices, document_terms(text).values, strict=True))
    return sum(weights.get(index, 0.0) for index in query_terms(query).indices)


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
def test_words_match_in_any_case_and_form(query: str, text: str) -> None:
    assert word_overlap(query, text) > 0


@pytest.mark.parametrize(("query", "text"), [("rpm", "rpms"), ("a", "b"), ("", "x"), ("...", "---"), ("x", "")])
def test_different_words_do_not_match(query: str, text: str) -> None:
    assert word_overlap(query, text) == 0


def test_a_repeated_word_weighs_more_with_diminishing_effect() -> None:
    once, twice, thrice = (word_overlap("a", "a " * times + "b " * (10 - times)) for times in (1, 2, 3))
    assert once < twice < thrice
    assert twice - once > thrice - twice


def test_a_word_weighs_less_in_a_longer_text() -> None:
    assert word_overlap("a", "a") > word_overlap("a", "a " + "b " * 100)


@given(st.text(max_size=500))
def test_any_text_has_unique_indices_and_positive_finite_weights(text: str) -> None:
    terms = document_terms(text)
    assert len(set(terms.indices)) == len(terms.indices) == len(terms.values)
    assert all(0 <= index < 2**32 for index in terms.indices)
    assert all(0 < weight < 3 for weight in terms.values)


def test_a_huge_text_has_a_limited_number_of_terms() -> None:
    assert len(document_terms(" ".join(map(str, range(100_000)))).indices) <= 4_000
