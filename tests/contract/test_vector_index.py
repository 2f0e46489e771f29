"""The contract of vector indexes: in memory, on the local engine over gRPC, and on the server that QDRANT_URL names."""

import random
from array import array
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.errors import Conflict, NotFound
from email_sender.vectors.bm25 import document_terms, query_terms
from email_sender.vectors.model import (
    Collection,
    Condition,
    Delete,
    DeletePayload,
    Distance,
    Filter,
    Hybrid,
    Nearest,
    Point,
    PointSelector,
    Recommend,
    Search,
    SetPayload,
    Strategy,
    Upsert,
)

pytestmark = [
    pytest.mark.needs_engine,
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

SIZE = 8
TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)
START = datetime(2026, 1, 1, tzinfo=UTC)


def axis_vector(number: int) -> array[float]:
    return array("f", [1.0 if position == number else 0.1 for position in range(SIZE)])


def fill(index: QdrantIndex, name: str, tenant: UUID = TENANT) -> None:
    texts = ["rpm packages break", "kernel panic on boot", "mail filter rules", "gcc-3.2 does not build"]
    index.upsert(
        tenant,
        name,
        [
            Point(
                number,
                axis_vector(number),
                {"n": number, "even": number % 2 == 0, "contact": f"c{number % 2}", "sent_at": timestamp_of(number)},
                document_terms(text),
            )
            for number, text in enumerate(texts)
        ],
    )


def timestamp_of(days: int) -> str:
    return (START + timedelta(days=days)).isoformat()


def search_ids(index: QdrantIndex, name: str, search: Search, tenant: UUID = TENANT) -> list[UUID | int]:
    return [hit.id for hit in index.search(tenant, name, search)]


def test_preparing_a_collection_again_changes_nothing(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    assert not index.prepare(collection)
    assert index.count(TENANT, collection.name) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 9},
        {"distance": Distance.EUCLID},
        {"model": "another"},
    ],
)
def test_a_collection_with_other_settings_is_refused(
    index: QdrantIndex, collection: Collection, changes: dict[str, object]
) -> None:
    fields = {name: getattr(collection, name) for name in ("name", "size", "distance", "quantized", "lexical", "model")}
    with pytest.raises(Conflict):
        index.prepare(Collection(**{**fields, **changes}))


def test_hits_are_ordered_and_carry_the_clients_ids_and_payload(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    hits = index.search(TENANT, collection.name, Search(Nearest(axis_vector(2)), limit=3))
    assert hits[0].id == 2
    assert hits[0].score > hits[1].score >= hits[2].score
    assert hits[0].payload == {"n": 2, "even": True, "contact": "c0", "sent_at": timestamp_of(2)}
    assert hits[0].vector is None


@pytest.mark.parametrize("point_id", [0, 2**63 - 1, 2**63, 2**64 - 1, UUID(int=7), UUID(int=2**128 - 1)])
def test_any_id_is_returned_unchanged(index: QdrantIndex, collection: Collection, point_id: UUID | int) -> None:
    index.upsert(TENANT, collection.name, [Point(point_id, axis_vector(0))])
    assert search_ids(index, collection.name, Search(Nearest(axis_vector(0)))) == [point_id]
    assert search_ids(index, collection.name, Search(Nearest(axis_vector(0)), with_payload=False)) == [point_id]
    assert index.has(TENANT, collection.name, point_id)


def test_a_number_and_the_uuid_of_the_same_value_are_two_points(index: QdrantIndex, collection: Collection) -> None:
    index.upsert(TENANT, collection.name, [Point(7, axis_vector(0)), Point(UUID(int=7), axis_vector(1))])
    assert index.count(TENANT, collection.name) == 2


def test_writing_a_point_again_replaces_it(index: QdrantIndex, collection: Collection) -> None:
    for number in (1, 2):
        index.upsert(TENANT, collection.name, [Point(5, axis_vector(number), {"n": number})])
    hits = index.search(TENANT, collection.name, Search(Nearest(axis_vector(2)), with_vector=True))
    assert [(hit.id, hit.payload) for hit in hits] == [(5, {"n": 2})]


def test_vectors_are_normalised_for_the_cosine_distance(index: QdrantIndex, collection: Collection) -> None:
    index.upsert(TENANT, collection.name, [Point(1, [3.0] * SIZE, {}, document_terms("words"))])
    index.upsert(TENANT, collection.name, [Point(2, array("f", [3.0] * SIZE))])
    for hit in index.search(TENANT, collection.name, Search(Nearest(axis_vector(0)), with_vector=True)):
        assert hit.vector is not None
        assert list(hit.vector) == pytest.approx([SIZE**-0.5] * SIZE, abs=1e-5)


def test_payloads_of_every_type_are_returned_unchanged(index: QdrantIndex, collection: Collection) -> None:
    payload = {
        "text": "é\u0000☃", "int": -5, "large": 2**53, "float": 1.5, "yes": True, "no": False, "none": None,
        "list": [1, "a", None, [True]], "object": {"deep": {"er": [{}]}}, "empty": [],
    }  # fmt: skip
    index.upsert(TENANT, collection.name, [Point(1, axis_vector(0), payload)])
    assert index.search(TENANT, collection.name, Search(Nearest(axis_vector(0))))[0].payload == payload


FILTERS = [
    (Filter(must=[Condition("contact", any_of=["c1"])]), {1, 3}),
    (Filter(must=[Condition("n", any_of=[0, 3])]), {0, 3}),
    (Filter(must=[Condition("n", any_of=[0, "c1", True])]), {0}),
    (Filter(must=[Condition("even", any_of=[True])]), {0, 2}),
    (Filter(must=[Condition("n", gte=1, lt=3)]), {1, 2}),
    (Filter(must=[Condition("sent_at", gt=START, lte=START + timedelta(days=2))]), {1, 2}),
    (Filter(must=[Condition("n", gt=0), Condition("even", any_of=[True])]), {2}),
    (Filter(should=[Condition("n", any_of=[0]), Condition("n", any_of=[1])]), {0, 1}),
    (Filter(must_not=[Condition("n", any_of=[0])]), {1, 2, 3}),
    (Filter(must=[Condition("n", exists=True)]), {0, 1, 2, 3}),
    (Filter(must=[Condition("missing", exists=True)]), set()),
    (Filter(must=[Condition("missing", exists=False)]), {0, 1, 2, 3}),
    (Filter(must_not=[Condition("contact", any_of=["c0"])], should=[Condition("n", any_of=[0, 1])]), {1}),
]


@pytest.mark.parametrize(("point_filter", "expected_ids"), FILTERS)
def test_a_filter_selects_and_counts_the_matching_points(
    index: QdrantIndex, collection: Collection, point_filter: Filter, expected_ids: set[int]
) -> None:
    fill(index, collection.name)
    fill(index, collection.name, OTHER_TENANT)
    assert set(search_ids(index, collection.name, Search(Nearest(axis_vector(0)), filter=point_filter))) == expected_ids
    assert index.count(TENANT, collection.name, PointSelector(filter=point_filter)) == len(expected_ids)


def test_groups_are_ordered_by_their_best_hit(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    groups = index.search_groups(
        TENANT, collection.name, Search(Nearest(axis_vector(3)), limit=5, group_by="contact", group_size=1)
    )
    assert next((group.key, [hit.id for hit in group.hits]) for group in groups) == ("c1", [3])
    assert {group.key for group in groups} == {"c0", "c1"}
    assert all(group.score == group.hits[0].score for group in groups)


def test_a_score_threshold_drops_weaker_hits(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    assert search_ids(index, collection.name, Search(Nearest(axis_vector(1)), score_threshold=0.9)) == [1]


def test_hybrid_search_finds_words_that_the_vector_misses(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    fill(index, collection.name, OTHER_TENANT)
    hit_ids = search_ids(index, collection.name, Search(Hybrid(axis_vector(0), query_terms("gcc")), limit=2))
    assert set(hit_ids) == {0, 3}


def test_hybrid_search_can_be_grouped(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    search = Search(Hybrid(axis_vector(0), query_terms("gcc")), limit=2, group_by="contact", group_size=1)
    assert {group.key for group in index.search_groups(TENANT, collection.name, search)} == {"c0", "c1"}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_recommendations_prefer_positive_and_avoid_negative_examples(
    index: QdrantIndex, collection: Collection, strategy: Strategy
) -> None:
    fill(index, collection.name)
    index.upsert(TENANT, collection.name, [Point(9, [1.0, 0.9, *[0.1] * (SIZE - 2)])])
    hit_ids = search_ids(index, collection.name, Search(Recommend([0], [3], strategy), limit=3))
    assert hit_ids[0] == 9
    assert 0 not in hit_ids
    assert 3 not in hit_ids
    assert search_ids(index, collection.name, Search(Recommend([axis_vector(1)], (), strategy), limit=1)) == [1]


def test_a_point_of_another_tenant_cannot_be_an_example(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    index.upsert(OTHER_TENANT, collection.name, [Point(77, axis_vector(1))])
    with pytest.raises(NotFound):
        index.search(TENANT, collection.name, Search(Recommend([77])))


def test_several_searches_return_their_hits_in_order(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    searches = [Search(Nearest(axis_vector(number)), limit=1) for number in (3, 0, 2)]
    assert [[hit.id for hit in hits] for hits in index.search_many(TENANT, collection.name, searches)] == [
        [3],
        [0],
        [2],
    ]


def test_writes_of_all_kinds_are_applied_in_order(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    fill(index, collection.name, OTHER_TENANT)
    index.write(
        TENANT,
        collection.name,
        [
            Upsert([Point(10, axis_vector(5), {"n": 10, "old": 1})]),
            SetPayload(PointSelector(ids=[10, 0]), {"n": 11, "new": True}),
            DeletePayload(PointSelector(ids=[10]), ["old"]),
            Delete(PointSelector(filter=Filter(must=[Condition("n", any_of=[1, 2])]))),
            Delete(PointSelector(ids=[3])),
        ],
    )
    hits = index.search(TENANT, collection.name, Search(Nearest(axis_vector(5))))
    assert {hit.id: hit.payload.get("n") for hit in hits} == {10: 11, 0: 11}
    assert hits[0].payload == {"n": 11, "new": True}
    assert index.count(OTHER_TENANT, collection.name) == 4
    assert (
        index.count(OTHER_TENANT, collection.name, PointSelector(filter=Filter(must=[Condition("new", exists=True)])))
        == 0
    )


def test_deleting_removes_only_the_tenants_own_points(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    fill(index, collection.name, OTHER_TENANT)
    index.delete(TENANT, collection.name, [1, 99])
    assert not index.has(TENANT, collection.name, 1)
    assert index.has(OTHER_TENANT, collection.name, 1)
    assert index.count(TENANT, collection.name) == 3


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from([TENANT, OTHER_TENANT]),
        st.sampled_from(["upsert", "delete", "delete where", "set", "unset"]),
        st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_no_tenant_sees_or_changes_points_of_another(
    index: QdrantIndex, operations: list[tuple[UUID, str, list[int]]]
) -> None:
    """With the same ids and random changes from two tenants, each sees only the result of its own changes."""
    name = _prepare_shared_collection(index)
    for tenant in (TENANT, OTHER_TENANT):
        index.delete(tenant, name, list(range(6)))
    model: dict[UUID, dict[int, dict[str, object]]] = {TENANT: {}, OTHER_TENANT: {}}
    for step, (tenant, operation, point_ids) in enumerate(operations):
        own_points = model[tenant]
        if operation == "upsert":
            index.upsert(
                tenant,
                name,
                [Point(number, axis_vector(number), {"n": number, "by": str(tenant)}) for number in point_ids],
            )
            own_points.update({number: {"n": number, "by": str(tenant)} for number in point_ids})
        elif operation == "delete":
            index.write(tenant, name, [Delete(PointSelector(ids=point_ids))])
            for point_id in point_ids:
                own_points.pop(point_id, None)
        elif operation == "delete where":
            # Matches points of both tenants.
            wide_filter = Filter(
                should=[Condition("by", any_of=[str(TENANT), str(OTHER_TENANT)])], must=[Condition("n", gte=4)]
            )
            index.write(tenant, name, [Delete(PointSelector(filter=wide_filter))])
            model[tenant] = {number: payload for number, payload in own_points.items() if number < 4}
        elif operation == "set":
            index.write(
                tenant,
                name,
                [SetPayload(PointSelector(filter=Filter(must=[Condition("n", exists=True)])), {"s": step})],
            )
            for payload in own_points.values():
                payload["s"] = step
        else:
            index.write(tenant, name, [DeletePayload(PointSelector(ids=point_ids), ["s"])])
            for point_id in point_ids:
                own_points.get(point_id, {}).pop("s", None)
        for reader in (TENANT, OTHER_TENANT):
            hits = index.search(reader, name, Search(Nearest(axis_vector(random.randrange(SIZE))), limit=100))
            assert {hit.id: hit.payload for hit in hits} == model[reader]
            assert index.count(reader, name) == len(model[reader])


def _prepare_shared_collection(index: QdrantIndex) -> str:
    index.prepare(Collection("shared", SIZE, Distance.COSINE, quantized=False))
    return "shared"


VALUES = st.one_of(st.integers(-3, 3), st.sampled_from(["a", "b"]), st.booleans())
CONDITIONS = st.one_of(
    st.builds(
        lambda key, values: Condition(key, any_of=values),
        st.sampled_from("xy"),
        st.lists(VALUES, min_size=1, max_size=3),
    ),
    st.builds(lambda key, low: Condition(key, gte=low), st.sampled_from("xy"), st.integers(-3, 3)),
    st.builds(lambda key, must_exist: Condition(key, exists=must_exist), st.sampled_from("xyz"), st.booleans()),
)
FILTER = st.builds(
    Filter,
    must=st.lists(CONDITIONS, max_size=2),
    should=st.lists(CONDITIONS, max_size=2),
    must_not=st.lists(CONDITIONS, max_size=2),
)
PAYLOADS = st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=st.lists(PAYLOADS, min_size=1, max_size=6), chosen=FILTER)
def test_filters_agree_with_a_plain_python_reference(
    index: QdrantIndex, payloads: list[dict[str, object]], chosen: Filter
) -> None:
    name = _prepare_shared_collection(index)
    tenant = uuid4()
    index.upsert(tenant, name, [Point(number, axis_vector(0), payload) for number, payload in enumerate(payloads)])
    hits = index.search(tenant, name, Search(Nearest(axis_vector(0)), limit=10, filter=chosen))
    assert {hit.id for hit in hits} == {n for n, payload in enumerate(payloads) if _passes(payload, chosen)}


def _passes(payload: dict[str, object], point_filter: Filter) -> bool:
    return (
        all(_holds(payload, condition) for condition in point_filter.must)
        and (not point_filter.should or any(_holds(payload, condition) for condition in point_filter.should))
        and not any(_holds(payload, condition) for condition in point_filter.must_not)
    )


def _holds(payload: dict[str, object], condition: Condition) -> bool:
    value = payload.get(condition.key)
    if condition.exists is not None:
        return (condition.key in payload) == condition.exists
    if condition.any_of is not None:
        return any(type(value) is type(allowed_value) and value == allowed_value for allowed_value in condition.any_of)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and value >= condition.gte  # type: ignore[operator]
