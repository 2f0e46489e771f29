"""Tests for passages: how a text is split, and how passages are stored."""

from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sender.archive.search.passages import Passage, pack_passages, split_passages, unpack_passages

TEXTS = st.text(st.sampled_from("ab .?!\n\té。"), max_size=3_000)


def test_a_short_text_is_one_passage() -> None:
    text = "  Hello all.\n\nMy printer is dead.  Who knows why?\n"
    (passage,) = split_passages(text)
    assert passage.text_of(text) == "Hello all. My printer is dead. Who knows why?"


@pytest.mark.parametrize("text", ["", "   ", "\n\n\n"])
def test_an_empty_text_has_no_passage(text: str) -> None:
    assert split_passages(text) == []


def test_a_long_text_is_split_after_sentences_and_the_last_sentences_are_repeated() -> None:
    text = " ".join(f"This is the sentence number {number}." for number in range(100))
    passages = split_passages(text)
    assert len(passages) > 3
    for passage in passages:
        assert passage.text_of(text).startswith("This is")
        assert passage.text_of(text).endswith(".")
    for before, after in pairwise(passages):
        assert before.start < after.start < before.end < after.end


def test_a_text_without_sentences_is_cut_at_spaces() -> None:
    text = "word " * 1_000
    passages = split_passages(text)
    assert len(passages) > 4
    assert all(set(passage.text_of(text).split()) == {"word"} for passage in passages)


def test_a_word_without_end_is_cut_and_a_huge_text_has_few_passages() -> None:
    assert len(split_passages("x" * 5_000)) == 7
    assert len(split_passages("A sentence. " * 100_000)) == 16


@given(TEXTS)
def test_passages_are_in_order_within_the_text_and_short(text: str) -> None:
    passages = split_passages(text)
    for passage in passages:
        assert 0 <= passage.start < passage.end <= len(text)
        assert passage.end - passage.start <= 800
        assert passage.text_of(text)
    assert all(before.start < after.start for before, after in pairwise(passages))


@given(TEXTS)
def test_every_word_of_a_text_is_in_a_passage(text: str) -> None:
    covered = [False] * len(text)
    for passage in split_passages(text):
        covered[passage.start : passage.end] = [True] * (passage.end - passage.start)
    assert all(is_covered or character.isspace() for is_covered, character in zip(covered, text, strict=True))


def test_packed_passages_keep_their_places_and_their_similarities() -> None:
    vectors = [[0.6, 0.8, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]
    passages = [Passage(0, 10), Passage(8, 4_000_000), Passage(9, 11)]
    unpacked = unpack_passages(pack_passages(passages, vectors), 3)
    assert [one.passage for one in unpacked] == passages
    question = [1 / sqrt(2), 1 / sqrt(2), 0.0]
    similarities = [one.similarity(question) for one in unpacked]
    assert similarities == pytest.approx([1.4 / sqrt(2), -1 / sqrt(2), 0.0], abs=0.01)


def test_passages_of_another_number_of_dimensions_are_no_passages() -> None:
    assert unpack_passages(pack_passages([Passage(0, 1)], [[1.0, 0.0]]), 3) == []
    assert unpack_passages(b"", 3) == []
