"""Rank messages and people for a question.

The weights were chosen on 52 labelled questions over two archives (docs/guides/search.md); the ranking is insensitive
to their exact values.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

# The parts of a score: how similar the whole message is to the question, and how similar its best passage is.
_WHOLE, _PASSAGE = 0.75, 0.25
# Whoever has a problem starts a conversation about it; those who answer write about it too.
_STARTER_BONUS = 0.025
# How much a person's second message adds to the first.
_SECOND_MESSAGE = 0.08
# "Nobody" is decided by the best messages together, unless one alone is clearly similar.
_DECIDING_MESSAGES = 3
_CLEARLY_SIMILAR = 1.25
# Messages far less similar than the best one are not shown: they prove nothing.
_SHOWN = 0.5
# Within a time there are fewer messages, and the best of them is less similar.
_IN_PERIOD = 0.8


def similarity(whole: float, passage: float | None) -> float:
    """Return how similar a message is to the question, from two cosines. A message without passages has only one."""
    return whole if passage is None else _WHOLE * whole + _PASSAGE * passage


def score(similarity: float, *, starts_conversation: bool) -> float:
    return similarity + (_STARTER_BONUS if starts_conversation else 0.0)


def strength(scores: Sequence[float]) -> float:
    """Return how strong the evidence for a person is. `scores` are those of the person's messages, best first."""
    return scores[0] + (_SECOND_MESSAGE * max(0.0, scores[1]) if len(scores) > 1 else 0.0)


def weakest_match_in_period(weakest_match: float) -> float:
    return weakest_match * _IN_PERIOD


def best_together(similarities: Iterable[float]) -> float:
    """Return the mean of the best similarities, which decides between somebody and nobody."""
    return fmean(sorted(similarities, reverse=True)[:_DECIDING_MESSAGES])


def is_nobody(similarities: Sequence[float], weakest_match: float) -> bool:
    """Return whether no message matches. `weakest_match` is the similarity below which a message is no match."""
    return best_together(similarities) < weakest_match and max(similarities) < weakest_match * _CLEARLY_SIMILAR


def is_shown(similarity: float, best: float) -> bool:
    """Return whether a message is shown beside the best one."""
    return similarity >= min(best, best * _SHOWN)


@dataclass(frozen=True, slots=True)
class Ranked[K: Hashable, M]:
    """A person (or another key), with the strength of the evidence and the messages, best first."""

    key: K
    strength: float
    messages: Sequence[M]


def group[K: Hashable, M](messages: Iterable[tuple[K, float, M]]) -> list[Ranked[K, M]]:
    """Group scored messages, which are sorted by score, and sort the groups by the strength of their evidence."""
    scores: dict[K, list[float]] = {}
    members: dict[K, list[M]] = {}
    for key, message_score, message in messages:
        scores.setdefault(key, []).append(message_score)
        members.setdefault(key, []).append(message)
    ranked = [Ranked(key, strength(scores[key]), members[key]) for key in members]
    return sorted(ranked, key=lambda one: -one.strength)
