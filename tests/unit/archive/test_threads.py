"""Tests for grouping messages into threads."""

import random

from hypothesis import given
from hypothesis import strategies as st

from email_sender.archive.threads import thread_roots

IDS = st.sampled_from("abcdefghij")
LINKS = st.lists(st.tuples(IDS, st.lists(IDS, max_size=4)), max_size=15)


def test_a_thread_has_the_root_that_references_nothing() -> None:
    links = [("a", []), ("b", ["a"]), ("c", ["a", "b"]), ("d", []), ("e", ["d"])]
    assert thread_roots(links) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d"}


def test_a_missing_message_still_joins_its_replies() -> None:
    assert thread_roots([("b", ["gone"]), ("c", ["gone"])]) == {"b": "gone", "c": "gone"}


def test_the_most_referenced_of_two_roots_wins() -> None:
    assert thread_roots([("b", ["z"]), ("c", ["z", "a"]), ("d", ["z"])]) == {"b": "z", "c": "z", "d": "z"}


def test_self_references_cycles_and_no_input_are_handled() -> None:
    assert thread_roots([]) == {}
    assert thread_roots([("a", ["a", ""])]) == {"a": "a"}
    assert thread_roots([("b", ["a"]), ("a", ["b"])]) == {"a": "a", "b": "a"}


def test_a_long_chain_needs_no_recursion() -> None:
    roots = thread_roots((str(number + 1), [str(number)]) for number in range(200_000))
    assert set(roots.values()) == {"0"}


@given(LINKS, st.randoms(use_true_random=False))
def test_the_order_of_messages_does_not_matter_and_references_stay_in_one_thread(
    links: list[tuple[str, list[str]]], shuffler: random.Random
) -> None:
    roots = thread_roots(links)
    shuffled = [(message, shuffler.sample(references, len(references))) for message, references in links]
    shuffler.shuffle(shuffled)
    assert thread_roots(shuffled) == roots
    assert set(roots) == {message for message, _ in links}
    for message, references in links:
        assert all(roots[reference] == roots[message] for reference in references if reference in roots)
