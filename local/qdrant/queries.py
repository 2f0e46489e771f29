"""Queries as the engine's: what Qdrant resolves before the search (ids, averages) is resolved here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import Invalid, Missing, Unsupported
from local.qdrant.filters import both, filter_of
from local.qdrant.values import PointId, Vector, id_from, vector_from, with_payload, with_vectors

LIMIT = 10


class Resolver:
    """Builds queries over one shard, and remembers the points that a query was made from: they are not its hits."""

    def __init__(self, shard: edge.EdgeShard, check: Callable[[dict[str, Vector]], Any]) -> None:
        self._shard = shard
        self._check = check

    def request(self, message: Any, *, limit: int, **changes: Any) -> edge.QueryRequest:
        """The engine's request for ``QueryPoints`` or ``QueryPointGroups``; ``changes`` replace its fields.

        Raises Missing for an unknown point, Invalid for vectors that do not fit, Unsupported for the rest.
        """
        query, condition = self._scoring(message, limit)
        said: dict[str, Any] = {
            "query": query,
            "prefetches": [self._prefetch(one) for one in message.prefetch],
            "filter": both(condition, changes.pop("also", None)),
            "score_threshold": message.score_threshold if message.HasField("score_threshold") else None,
            "params": params_from(message.params) if message.HasField("params") else None,
            "with_payload": with_payload(message.with_payload),
            "with_vector": with_vectors(message.with_vectors),
        }
        return edge.QueryRequest(limit, **(said | changes))

    def _prefetch(self, message: pb.PrefetchQuery) -> edge.Prefetch:
        limit = message.limit if message.HasField("limit") else LIMIT
        query, condition = self._scoring(message, limit)
        return edge.Prefetch(
            limit,
            query=query,
            prefetches=[self._prefetch(one) for one in message.prefetch],
            params=params_from(message.params) if message.HasField("params") else None,
            filter=condition,
            score_threshold=message.score_threshold if message.HasField("score_threshold") else None,
        )

    def _scoring(self, message: Any, limit: int) -> tuple[Any, edge.Filter | None]:
        if message.HasField("lookup_from"):
            raise Unsupported("lookup_from")
        condition = filter_of(message)
        if not message.HasField("query"):
            return None, condition
        kind = message.query.WhichOneof("variant")
        if kind not in _VARIANTS:
            raise Unsupported(f"a query by {kind}")
        used: set[PointId] = set()
        query = _VARIANTS[kind](self, message, limit, used)
        unseen = edge.Filter(must_not=[edge.HasIdCondition(used)]) if used else None
        return query, both(condition, unseen)

    def _vector(self, given: pb.VectorInput, using: str, used: set[PointId]) -> Vector:
        if given.WhichOneof("variant") == "id":
            return self._stored(id_from(given.id), using, used)
        vector = vector_from(given)
        self._check({using: vector})
        return vector

    def _stored(self, point_id: PointId, using: str, used: set[PointId]) -> Vector:
        found = self._shard.retrieve([point_id], with_payload=False, with_vector=[using] if using else True)
        if not found:
            raise Missing(f"No point with id {point_id} found")
        stored = found[0].vector
        vector = stored.get(using) if isinstance(stored, dict) else stored
        if not vector:
            raise Invalid(f"Point {point_id} has no vector named `{using}`")
        used.add(point_id)
        return vector

    def nearest(self, message: Any, _limit: int, used: set[PointId]) -> Any:
        vector = self._vector(message.query.nearest, message.using, used)
        return edge.Query.Nearest(vector, message.using or None)

    def nearest_with_mmr(self, message: Any, limit: int, used: set[PointId]) -> Any:
        wanted = message.query.nearest_with_mmr
        vector = self._vector(wanted.nearest, message.using, used)
        diversity = wanted.mmr.diversity if wanted.mmr.HasField("diversity") else 0.5
        candidates = wanted.mmr.candidates_limit or limit
        return edge.Mmr(vector, 1 - diversity, candidates, message.using or None)

    def recommend(self, message: Any, _limit: int, used: set[PointId]) -> Any:
        wanted = message.query.recommend
        using = message.using
        liked = [self._vector(one, using, used) for one in wanted.positive]
        disliked = [self._vector(one, using, used) for one in wanted.negative]
        if wanted.strategy == pb.RecommendStrategy.AverageVector:
            return edge.Query.Nearest(_average(liked, disliked), using or None)
        if not liked and not disliked:
            raise Invalid("At least one positive or negative example must be given")
        query = edge.RecommendQuery(liked, disliked)
        if wanted.strategy == pb.RecommendStrategy.BestScore:
            return edge.Query.RecommendBestScore(query, using or None)
        return edge.Query.RecommendSumScores(query, using or None)

    def fusion(self, message: Any, _limit: int, _used: set[PointId]) -> Any:
        _needs_prefetch(message)
        return edge.Fusion.Rrf(k=2) if message.query.fusion == pb.Fusion.RRF else edge.Fusion.Dbsf()

    def rrf(self, message: Any, _limit: int, _used: set[PointId]) -> Any:
        _needs_prefetch(message)
        wanted = message.query.rrf
        return edge.Fusion.Rrf(k=wanted.k if wanted.HasField("k") else 2, weights=list(wanted.weights) or None)

    def order_by(self, message: Any, _limit: int, _used: set[PointId]) -> Any:
        return order_from(message.query.order_by)

    def sample(self, _message: Any, _limit: int, _used: set[PointId]) -> Any:
        return edge.Sample.Random


_VARIANTS: dict[str | None, Callable[[Resolver, Any, int, set[PointId]], Any]] = {
    "nearest": Resolver.nearest,
    "nearest_with_mmr": Resolver.nearest_with_mmr,
    "recommend": Resolver.recommend,
    "fusion": Resolver.fusion,
    "rrf": Resolver.rrf,
    "order_by": Resolver.order_by,
    "sample": Resolver.sample,
}


def params_from(message: pb.SearchParams) -> edge.SearchParams:
    quantization = None
    if message.HasField("quantization"):
        wanted = message.quantization
        quantization = edge.QuantizationSearchParams(
            ignore=wanted.ignore,
            rescore=wanted.rescore if wanted.HasField("rescore") else None,
            oversampling=wanted.oversampling if wanted.HasField("oversampling") else None,
        )
    return edge.SearchParams(
        hnsw_ef=message.hnsw_ef if message.HasField("hnsw_ef") else None,
        exact=message.exact,
        quantization=quantization,
        indexed_only=message.indexed_only,
    )


def order_from(message: pb.OrderBy) -> edge.OrderBy:
    start = None
    if message.HasField("start_from"):
        kind = message.start_from.WhichOneof("value")
        start = getattr(message.start_from, kind)
        start = start.ToJsonString() if kind == "timestamp" else start
    descending = message.direction == pb.Direction.Desc
    return edge.OrderBy(message.key, edge.Direction.Desc if descending else edge.Direction.Asc, start)


def _needs_prefetch(message: Any) -> None:
    if not message.prefetch:
        raise Invalid("cannot make fusion without prefetches")


def _average(liked: list[Any], disliked: list[Any]) -> list[float]:
    """Qdrant's ``average_vector``: ``avg(liked) + avg(liked) - avg(disliked)``, or the liked alone."""
    if not liked:
        raise Invalid("At least one positive vector ID required with this strategy")
    if any(not isinstance(vector, list) or isinstance(vector[0], list) for vector in [*liked, *disliked]):
        raise Unsupported("recommendation by the average of vectors that are not dense")
    good = _mean(liked)
    if not disliked:
        return good
    return [2 * wanted - unwanted for wanted, unwanted in zip(good, _mean(disliked), strict=True)]


def _mean(vectors: Iterable[list[float]]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*vectors, strict=True)]
