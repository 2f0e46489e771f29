"""Search the mail archive by a question: find candidates, rank them again, and say "nobody" if none matches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from email_sender.archive.mail_kinds import BULK_KINDS
from email_sender.archive.message_index import IMPORT_KEY
from email_sender.archive.search import ranking
from email_sender.archive.search.candidates import (
    ArchivedCandidate,
    Candidate,
    build_groups,
    build_hits,
    rank,
    why_nobody,
)
from email_sender.archive.search.passages import EmbeddedPassage, embed_messages, split_passages, unpack_passages
from email_sender.archive.search.periods import Period
from email_sender.archive.search.question import understand
from email_sender.clock import Clock
from email_sender.vectors.bm25 import query_terms
from email_sender.vectors.cache import Embeddings
from email_sender.vectors.model import (
    Collection,
    Condition,
    Filter,
    Hit,
    Hybrid,
    Nearest,
    Query,
    Search,
    SearchAnswer,
    TextQuery,
)
from email_sender.vectors.ports import Embedder, PassageStore

# So many messages are ranked again. With more, the ranking of the labelled questions does not change.
_CANDIDATES = 60
_CANDIDATES_FOR_EACH_RESULT = 6
_MAX_CANDIDATES = 400
# Messages that were embedded by another model get their passages when a search finds them; so many at once.
_MAX_NEW_PASSAGES = 16


class CandidatePoints(Protocol):
    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        """Return the points of one tenant that are nearest to a vector, best first."""


class CandidateArchive(Protocol):
    def read(self, tenant_id: UUID, ids: Sequence[UUID], model: str) -> Mapping[UUID, ArchivedCandidate]:
        """Return these messages by id, without those that do not exist. `model` embedded the returned passages."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question on its way: `statement` was embedded as `vector` by `model`."""

    tenant_id: UUID
    collection: Collection
    search: Search[TextQuery]
    statement: str
    vector: Sequence[float]
    model: Embedder

    @property
    def is_always_answered(self) -> bool:
        return self.search.query.weak_matches or self.search.query.hybrid


class MessageSearch:
    """Searches messages. It implements vectors.service.QuestionSearch."""

    def __init__(
        self,
        points: CandidatePoints,
        embeddings: Embeddings,
        archive: CandidateArchive,
        passages: PassageStore,
        now: Clock,
    ) -> None:
        self._points, self._embeddings, self._archive = points, embeddings, archive
        self._passages, self._now = passages, now

    def search(self, tenant_id: UUID, collection: Collection, search: Search[TextQuery]) -> SearchAnswer:
        """Return the messages that answer the question, or the reason why there is none.

        Only messages that the archive still has are returned.
        """
        question = understand(search.query.text, self._now())
        model = self._embeddings.model(collection)
        (vector,) = self._embeddings.embed_questions(tenant_id, collection, [question.statement])
        asked = _Asked(tenant_id, collection, search, question.statement, vector, model)
        period = question.period
        candidates, nobody = self._answer(asked, period)
        if nobody and period is not None and not period.is_required:
            period = None
            candidates, nobody = self._answer(asked, period)
        since, until = period.bounds if period else (None, None)
        if nobody:
            return SearchAnswer([], nobody, since, until)
        result = build_groups(candidates, search) if search.group_by else build_hits(candidates, search)
        return SearchAnswer(result, None, since, until)

    def _answer(self, asked: _Asked, period: Period | None) -> tuple[list[Candidate], str | None]:
        """Return the candidates to show, best first, and the reason if there is none."""
        candidates = self._find(asked, period)
        weakest_match = None if asked.is_always_answered else asked.model.weakest_match(asked.statement)
        nobody = why_nobody(candidates, weakest_match, period)
        if not asked.is_always_answered:
            best = max((candidate.similarity for candidate in candidates), default=0.0)
            candidates = [candidate for candidate in candidates if ranking.is_shown(candidate.similarity, best)]
        threshold = asked.search.score_threshold
        if nobody is None and threshold is not None:
            candidates = [candidate for candidate in candidates if candidate.score >= threshold]
            nobody = None if candidates else f"No message reaches the score_threshold of {threshold}."
        return candidates, nobody

    def _find(self, asked: _Asked, period: Period | None) -> list[Candidate]:
        """Return the candidates, best first."""
        search, vector, model = asked.search, asked.vector, asked.model
        query = Hybrid(vector, query_terms(asked.statement)) if search.query.hybrid else Nearest(vector)
        engine_search = _candidate_search(search, query, period)
        hits = self._points.search(asked.tenant_id, asked.collection.name, engine_search)
        ids = [hit.id for hit in hits if isinstance(hit.id, UUID)]
        messages = self._archive.read(asked.tenant_id, ids, model.model)
        found = [(hit, messages.get(hit.id) if isinstance(hit.id, UUID) else None) for hit in hits]
        passages = self._unpack(asked.tenant_id, model, [message for _, message in found if message])
        part = vector[model.passage_part]
        candidates = [
            rank(hit, message, passages.get(message.id, ()) if message else (), part)
            for hit, message in found
            if (message.has_own_words if message else _is_clients_own(hit))
        ]
        if search.query.hybrid:
            return [replace(candidate, score=candidate.hit.score) for candidate in candidates]
        return sorted(candidates, key=lambda candidate: -candidate.score)

    def _unpack(
        self, tenant_id: UUID, model: Embedder, messages: Sequence[ArchivedCandidate]
    ) -> dict[UUID, list[EmbeddedPassage]]:
        dimensions = len(range(*model.passage_part.indices(model.size)))
        embedded = {
            message.id: unpack_passages(message.passages, dimensions)
            for message in messages
            if message.passages is not None
        }
        missing = _within_budget([message for message in messages if message.passages is None])
        new = embed_messages(model, [(message.subject, message.text) for message in missing])
        packed = {message.id: one.passages for message, one in zip(missing, new, strict=True)}
        if packed:
            self._passages.save(tenant_id, model.model, packed)
        return embedded | {id_: unpack_passages(data, dimensions) for id_, data in packed.items()}


def _is_clients_own(hit: Hit) -> bool:
    """Return whether a client stored the point itself. Otherwise it has outlived its message."""
    return IMPORT_KEY not in hit.payload


def _candidate_search(search: Search[TextQuery], query: Query, period: Period | None) -> Search:
    """Return the engine's search for candidates: those of the time, and no bulk mail unless it is asked for."""
    must, must_not = list(search.filter.must), list(search.filter.must_not)
    if period is not None:
        must.append(Condition("sent_at", gte=period.since, lt=period.until))
    if not search.query.include_bulk:
        must_not.append(Condition("mail_kind", any_of=sorted(BULK_KINDS)))
    limit = min(_MAX_CANDIDATES, max(_CANDIDATES, _CANDIDATES_FOR_EACH_RESULT * search.limit))
    return replace(
        search.replace_query(query),
        limit=limit,
        filter=Filter(must, search.filter.should, must_not),
        group_by=None,
        score_threshold=None,
        with_payload=True,
    )


def _within_budget(messages: Sequence[ArchivedCandidate]) -> list[ArchivedCandidate]:
    """Return as many messages as can be embedded while somebody waits, at least one."""
    chosen: list[ArchivedCandidate] = []
    budget = _MAX_NEW_PASSAGES
    for message in messages:
        cost = 1 + len(split_passages(message.text))
        if cost <= budget or not chosen:
            chosen.append(message)
            budget -= cost
    return chosen
