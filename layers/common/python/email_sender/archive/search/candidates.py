"""Candidates of a question: messages that are near to it, ranked again with what the archive says about them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from email_sender.archive.search import ranking
from email_sender.archive.search.passages import EmbeddedPassage, Passage
from email_sender.archive.search.periods import Period
from email_sender.vectors.model import FoundMessage, FoundPassage, Group, Hit, Search, TextQuery

_ANSWER_SUBJECT = re.compile(
    r"\s*(?:\[[^\]]{1,40}\]\s*)*(?:re|aw|antw|sv|vs|odp|ynt|rv|rif|回复|回覆|답장)\s?(?:\[\d+\])?\s?[:：]",
    re.IGNORECASE,
)
_MAX_SUBJECT = 80


@dataclass(frozen=True, slots=True)
class ArchivedCandidate:
    """A message of the archive. `passages` are packed (archive.search.passages); None if `model` did not embed it."""

    id: UUID
    subject: str
    text: str
    sender_name: str | None
    sender_email: str | None
    sent_at: datetime | None
    kind: str
    refers_to_others: bool
    passages: bytes | None

    @property
    def starts_conversation(self) -> bool:
        return not self.refers_to_others and not _ANSWER_SUBJECT.match(self.subject)

    @property
    def has_own_words(self) -> bool:
        """Whether the author wrote anything: an answer without text has only the subject of somebody else."""
        return bool(self.text.strip()) or self.starts_conversation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A found point. `message` is None if a client stored the point itself. `similarity` compares it with the question.

    `score` ranks it.
    """

    hit: Hit
    message: ArchivedCandidate | None
    passage: Passage | None
    similarity: float
    score: float


def rank(
    hit: Hit, message: ArchivedCandidate | None, passages: Sequence[EmbeddedPassage], vector: Sequence[float]
) -> Candidate:
    """Compare the message and its passages with the question's `vector`."""
    similarities = [passage.similarity(vector) for passage in passages]
    best = max(range(len(passages)), key=similarities.__getitem__, default=None)
    similarity = ranking.similarity(hit.score, None if best is None else similarities[best])
    score = ranking.score(similarity, starts_conversation=message is not None and message.starts_conversation)
    return Candidate(hit, message, None if best is None else passages[best].passage, similarity, score)


def why_nobody(candidates: Sequence[Candidate], weakest_match: float | None, period: Period | None) -> str | None:
    """Return the reason if no candidate matches, else None. Without `weakest_match`, every candidate matches."""
    in_period = f" {_describe(period)}" if period else ""
    if not candidates:
        return f"The archive has no message of a person{in_period}."
    if weakest_match is None:
        return None
    needed = ranking.weakest_match_in_period(weakest_match) if period else weakest_match
    similarities = [candidate.similarity for candidate in candidates]
    if not ranking.is_nobody(similarities, needed):
        return None
    return (
        f"No message{in_period} is similar enough to the question: the best have a similarity of "
        f"{ranking.best_together(similarities):.2f}, and a match begins at {needed:.2f}."
    )


def build_hits(candidates: Sequence[Candidate], search: Search[TextQuery]) -> list[Hit]:
    return [_build_hit(candidate, search) for candidate in candidates[: search.limit]]


def build_groups(candidates: Sequence[Candidate], search: Search[TextQuery]) -> list[Group]:
    """Group the candidates by the payload key `group_by`. Candidates without it are left out."""
    key = search.group_by or ""
    members = (
        (candidate.hit.payload[key], candidate.score, candidate)
        for candidate in candidates
        if isinstance(candidate.hit.payload.get(key), str | int)
    )
    return [
        Group(
            ranked.key,
            ranked.strength,
            [_build_hit(candidate, search) for candidate in ranked.messages[: search.group_size]],
            _reason(ranked.messages),
        )
        for ranked in ranking.group(members)[: search.limit]
    ]


def _build_hit(candidate: Candidate, search: Search[TextQuery]) -> Hit:
    message, passage = candidate.message, candidate.passage
    payload = candidate.hit.payload if search.with_payload else {}
    if message is None:
        return replace(candidate.hit, score=candidate.score, payload=payload)
    found_passage = FoundPassage(passage.text_of(message.text), passage.start, passage.end) if passage else None
    found = FoundMessage(
        message.subject, message.sender_name, message.sender_email, message.sent_at, message.kind, found_passage
    )
    return replace(candidate.hit, score=candidate.score, payload=payload, message=found)


def _reason(candidates: Sequence[Candidate]) -> str | None:
    """Return for example: Started the conversation "No sound" on 2002-09-02; 2 more messages are similar."""
    best = candidates[0].message
    if best is None:
        return None
    subject = best.subject.strip() or "without a subject"
    subject = subject if len(subject) <= _MAX_SUBJECT else subject[: _MAX_SUBJECT - 1].rstrip() + "…"
    when = f" on {best.sent_at.date().isoformat()}" if best.sent_at else ""
    verb = "Started the conversation" if best.starts_conversation else "Wrote"
    others = len(candidates) - 1
    more = f"; {others} more {'message is' if others == 1 else 'messages are'} similar" if others else ""
    return f'{verb} "{subject}"{when}{more}.'


def _describe(period: Period) -> str:
    """Return for example: between 2002-08-20 and 2002-08-31."""
    since, until = period.days
    if since and until:
        return f"between {since.isoformat()} and {until.isoformat()}"
    return f"since {since.isoformat()}" if since else f"until {until.isoformat()}" if until else ""
