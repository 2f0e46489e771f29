"""The domain's searches as Qdrant's."""

from collections.abc import Sequence
from typing import Any, assert_never
from uuid import UUID

from email_sender.adapters.qdrant import packing
from email_sender.adapters.qdrant.filters import of_tenant
from email_sender.adapters.qdrant.wire import pb
from email_sender.vectors.model import Example, Hybrid, Nearest, Recommend, Search, Strategy, Terms, engine_id

# Each ranking gives this many times as many as are wanted, so that what is third in both comes out first.
_FUSED_FROM = 4
_STRATEGIES = {
    Strategy.AVERAGE: pb.RecommendStrategy.AverageVector,
    Strategy.BEST: pb.RecommendStrategy.BestScore,
}


def points(tenant_id: UUID, collection: str, stored_as: str, search: Search, payload: Any) -> Any:
    """A pb.QueryPoints to the engine's collection `stored_as`."""
    common = _common(tenant_id, collection, search, payload)
    return pb.QueryPoints(collection_name=stored_as, limit=search.limit, **common)


def groups(tenant_id: UUID, collection: str, stored_as: str, search: Search, payload: Any) -> Any:
    """A pb.QueryPointGroups."""
    return pb.QueryPointGroups(
        collection_name=stored_as,
        limit=search.limit,
        group_by=search.group_by,
        group_size=search.group_size,
        **_common(tenant_id, collection, search, payload),
    )


def sparse(terms: Terms) -> Any:
    return pb.SparseVector(indices=terms.indices, values=terms.values)


def _common(tenant_id: UUID, collection: str, search: Search, payload: Any) -> dict[str, Any]:
    wanted = of_tenant(tenant_id, search.filter)
    common: dict[str, Any] = {
        "filter": wanted,
        "with_payload": payload,
        "with_vectors": pb.WithVectorsSelector(enable=search.with_vector),
        "params": _params(search),
        "score_threshold": search.score_threshold,
    }
    query = search.query
    match query:
        case Nearest(vector):
            common["query"] = pb.Query(nearest=_dense(vector))
        case Hybrid(vector, terms):
            many = search.limit * _FUSED_FROM * (search.group_size if search.group_by else 1)
            words = pb.Query(nearest=pb.VectorInput(sparse=sparse(terms)))
            # The tenant's condition in each: what is ranked first must not be cut away by what it may not see.
            common["prefetch"] = [
                pb.PrefetchQuery(
                    query=pb.Query(nearest=_dense(vector)), filter=wanted, limit=many, params=common.pop("params")
                ),
                pb.PrefetchQuery(query=words, using=packing.TERMS, filter=wanted, limit=many),
            ]
            common["query"] = pb.Query(fusion=pb.Fusion.RRF)
        case Recommend(positive, negative, strategy):
            recommend = pb.RecommendInput(
                positive=_examples(tenant_id, collection, positive),
                negative=_examples(tenant_id, collection, negative),
                strategy=_STRATEGIES[strategy],
            )
            common["query"] = pb.Query(recommend=recommend)
        case _:
            assert_never(query)
    return common


def _dense(vector: Sequence[float]) -> Any:
    return pb.VectorInput(dense=packing.dense(vector))


def _examples(tenant_id: UUID, collection: str, examples: Sequence[Example]) -> list[Any]:
    """An id is looked for among the tenant's own: what the engine is asked for is made of both."""
    return [
        pb.VectorInput(id=pb.PointId(uuid=str(engine_id(tenant_id, collection, each))))
        if isinstance(each, int | UUID)
        else _dense(each)
        for each in examples
    ]


def _params(search: Search) -> Any:
    return pb.SearchParams(
        exact=search.exact,
        hnsw_ef=search.hnsw_ef,
        quantization=pb.QuantizationSearchParams(rescore=True, oversampling=2.0),
    )
