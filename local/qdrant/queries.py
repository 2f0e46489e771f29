"""Convert queries to the engine's queries. Ids and averages are resolved to vectors here, as Qdrant does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import InvalidArgument, NotFound, Unimplemented
from local.qdrant.filters import combine_filters, filter_of
from local.qdrant.values import PointId, Vector, id_from, vector_from, with_payload, with_vectors

LIMIT = 10


class Resolver:
    """Build queries on one shard. Points whose vectors a query uses are excluded from its hits."""

    def __init__(self, shard: edge.EdgeShard, check: Callable[[dict[str, Vector]], Any]) -> None:
        self._shard = shard
        self._check = check

    def request(self, message: Any, *, limit: int, **changes: Any) -> edge.QueryRequest:
        """Return the engine's request for ``QueryPoints`` or ``QueryPointGroups``; ``changes`` replace its fields.

        Raises NotFound for an unknown point, InvalidArgument for vectors that do not fit, Unimplemented for the rest.
        """
        query, condition = self._scoring(message, limit)
        fields: dict[str, Any] = {
            "query": query,
            "prefetches": [self._prefetch(prefetch) for prefetch in message.prefetch],
            "filter": combine_filters(condition, changes.pop("also", None)),
            "score_threshold": message.score_threshold if message.HasField("score_threshold") else None,
            "params": params_from(message.params) if message.HasField("params") else None,
            "with_payload": with_payload(message.with_payload),
            "with_vector": with_vectors(message.with_vectors),
        }
        return edge.QueryRequest(limit, **(fields | changes))

    def _prefetch(self, message: pb.PrefetchQuery) -> edge.Prefetch:
        limit = message.limit if message.HasField("limit") else LIMIT
        query, condition = self._scoring(message, limit)
        return edge.Prefetch(
            limit,
            query=query,
            prefetches=[self._prefetch(prefetch) for prefetch in message.prefetch],
            params=params_from(message.params) if message.HasField("params") else None,
            filter=condition,
            score_threshold=message.score_threshold if message.HasField("score_threshold") else None,
        )

    def _scoring(self, message: Any, limit: int) -> tuple[Any, edge.Filter | None]:
        if message.HasField("lookup_from"):
            raise Unimplemented("lookup_from")
        condition = filter_of(message)
        if not message.HasField("query"):
            return None, condition
        kind = message.query.WhichOneof("variant")
        if kind not in _VARIANTS:
            raise Unimplemented(f"a query by {kind}")
        used_ids: set[PointId] = set()
        query = _VARIANTS[kind](self, message, limit, used_ids)
        exclusion = edge.Filter(must_not=[edge.HasIdCondition(used_ids)]) if used_ids else None
        return query, combine_filters(condition, exclusion)

    def _vector(self, vector_input: pb.VectorInput, using: str, used_ids: set[PointId]) -> Vector:
        if vector_input.WhichOneof("variant") == "id":
            return self._vector_of_point(id_from(vector_input.id), using, used_ids)
        vector = vector_from(vector_input)
        self._check({using: vector})
        return vector

    def _vector_of_point(self, point_id: PointId, using: str, used_ids: set[PointId]) -> Vector:
        records = self._shard.retrieve([point_id], with_payload=False, with_vector=[using] if using else True)
        if not records:
            raise NotFound(f"No point with id {point_id} found")
        vectors = records[0].vector
        vector = vectors.get(using) if isinstance(vectors, dict) else vectors
        if not vector:
            raise InvalidArgument(f"Point {point_id} has no vector named `{using}`")
        used_ids.add(point_id)
        return vector

    def nearest(self, message: Any, _limit: int, used_ids: set[PointId]) -> Any:
        vector = self._vector(message.query.nearest, message.using, used_ids)
        return edge.Query.Nearest(vector, message.using or None)

    def nearest_with_mmr(self, message: Any, limit: int, used_ids: set[PointId]) -> Any:
        mmr_query = message.query.nearest_with_mmr
        vector = self._vector(mmr_query.nearest, message.using, used_ids)
        diversity = mmr_query.mmr.diversity if mmr_query.mmr.HasField("diversity") else 0.5
        candidates = mmr_query.mmr.candidates_limit or limit
        return edge.Mmr(vector, 1 - diversity, candidates, message.using or None)

    def recommend(self, message: Any, _limit: int, used_ids: set[PointId]) -> Any:
        recommendation = message.query.recommend
        using = message.using
        liked = [self._vector(example, using, used_ids) for example in recommendation.positive]
        disliked = [self._vector(example, using, used_ids) for example in recommendation.negative]
        if recommendation.strategy == pb.RecommendStrategy.AverageVector:
            return edge.Query.Nearest(_average(liked, disliked), using or None)
        if not liked and not disliked:
            raise InvalidArgument("At least one positive or negative example must be given")
        query = edge.RecommendQuery(liked, disliked)
        if recommendation.strategy == pb.RecommendStrategy.BestScore:
            return edge.Query.RecommendBestScore(query, using or None)
        return edge.Query.RecommendSumScores(query, using or None)

    def fusion(self, message: Any, _limit: int, _used: set[PointId]) -> Any:
        _require_prefetch(message)
        return edge.Fusion.Rrf(k=2) if message.query.fusion == pb.Fusion.RRF else edge.Fusion.Dbsf()

    def rrf(self, message: Any, _limit: int, _used: set[PointId]) -> Any:
        _require_prefetch(message)
        rrf_query = message.query.rrf
        return edge.Fusion.Rrf(k=rrf_query.k if rrf_query.HasField("k") else 2, weights=list(rrf_query.weights) or None)

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
        quantization_message = message.quantization
        quantization = edge.QuantizationSearchParams(
            ignore=quantization_message.ignore,
            rescore=quantization_message.rescore if quantization_message.HasField("rescore") else None,
            oversampling=quantization_message.oversampling if quantization_message.HasField("oversampling") else None,
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


def _require_prefetch(message: Any) -> None:
    if not message.prefetch:
        raise InvalidArgument("A fusion needs at least one prefetch")


def _average(liked: list[Any], disliked: list[Any]) -> list[float]:
    """Qdrant's ``average_vector``: ``avg(liked) + avg(liked) - avg(disliked)``, or ``avg(liked)`` without disliked."""
    if not liked:
        raise InvalidArgument("At least one positive vector ID required with this strategy")
    if any(not isinstance(vector, list) or isinstance(vector[0], list) for vector in [*liked, *disliked]):
        raise Unimplemented("recommendation by the average of vectors that are not dense")
    liked_mean = _mean(liked)
    if not disliked:
        return liked_mean
    return [
        2 * liked_value - disliked_value
        for liked_value, disliked_value in zip(liked_mean, _mean(disliked), strict=True)
    ]


def _mean(vectors: Iterable[list[float]]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*vectors, strict=True)]
