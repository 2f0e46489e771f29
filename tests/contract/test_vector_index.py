"""What every vector index does: in memory, the local engine over gRPC, and the server that QDRANT_URL names."""

import random
from array import array
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_sender.adapters.qdrant.index import QdrantIndex
from email_sender.errors import Conflict, NotFound
from email_sender.vectors.lexical import query_terms, terms_of
from email_sender.vectors.model import (
    Chosen,
    Collection,
    Condition,
    Delete,
    DeletePayload,
    Distance,
    Filter,
    Hybrid,
    Nearest,
    Point,
    Recommend,
    Search,
    SetPayload,
    Strategy,
    Upsert,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

SIZE = 8
OURS, THEIRS = UUID(int=1), UUID(int=2)
START = datetime(2026, 1, 1, tzinfo=UTC)


def axis(number: int) -> array[float]:
    return array("f", [1.0 if place == number else 0.1 for place in range(SIZE)])


def fill(index: QdrantIndex, name: str, tenant: UUID = OURS) -> None:
    texts = ["rpm packages break", "kernel panic on boot", "mail filter rules", "gcc-3.2 does not build"]
    index.upsert(
        tenant,
        name,
        [
            Point(
                number,
                axis(number),
                {"n": number, "even": number % 2 == 0, "contact": f"c{number % 2}", "sent_at": str_time(number)},
                terms_of(text),
            )
            for number, text in enumerate(texts)
        ],
    )


def str_time(days: int) -> str:
    return (START + timedelta(days=days)).isoformat()


def ids(index: QdrantIndex, name: str, search: Search, tenant: UUID = OURS) -> list[UUID | int]:
    return [hit.id for hit in index.search(tenant, name, search)]


def test_making_a_collection_again_changes_nothing(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    assert not index.prepare(collection)
    assert index.count(OURS, collection.name) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"size": 9},
        {"distance": Distance.EUCLID},
        {"model": "another"},
    ],
)
def test_a_collection_that_is_another_is_refused(
    index: QdrantIndex, collection: Collection, changed: dict[str, object]
) -> None:
    fields = {name: getattr(collection, name) for name in ("name", "size", "distance", "quantized", "lexical", "model")}
    with pytest.raises(Conflict):
        index.prepare(Collection(**{**fields, **changed}))


def test_nearest_first_with_the_clients_own_ids_and_payload(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    hits = index.search(OURS, collection.name, Search(Nearest(axis(2)), limit=3))
    assert hits[0].id == 2
    assert hits[0].score > hits[1].score >= hits[2].score
    assert hits[0].payload == {"n": 2, "even": True, "contact": "c0", "sent_at": str_time(2)}
    assert hits[0].vector is None


@pytest.mark.parametrize("point_id", [0, 2**63 - 1, 2**63, 2**64 - 1, UUID(int=7), UUID(int=2**128 - 1)])
def test_any_id_comes_back_as_it_was(index: QdrantIndex, collection: Collection, point_id: UUID | int) -> None:
    index.upsert(OURS, collection.name, [Point(point_id, axis(0))])
    assert ids(index, collection.name, Search(Nearest(axis(0)))) == [point_id]
    assert ids(index, collection.name, Search(Nearest(axis(0)), with_payload=False)) == [point_id]
    assert index.has(OURS, collection.name, point_id)


def test_a_number_and_a_uuid_of_its_value_are_two_points(index: QdrantIndex, collection: Collection) -> None:
    index.upsert(OURS, collection.name, [Point(7, axis(0)), Point(UUID(int=7), axis(1))])
    assert index.count(OURS, collection.name) == 2


def test_writing_a_point_again_replaces_it(index: QdrantIndex, collection: Collection) -> None:
    for number in (1, 2):
        index.upsert(OURS, collection.name, [Point(5, axis(number), {"n": number})])
    hits = index.search(OURS, collection.name, Search(Nearest(axis(2)), with_vector=True))
    assert [(hit.id, hit.payload) for hit in hits] == [(5, {"n": 2})]


def test_vectors_come_back_normalised_where_the_distance_is_the_cosine(
    index: QdrantIndex, collection: Collection
) -> None:
    index.upsert(OURS, collection.name, [Point(1, [3.0] * SIZE, {}, terms_of("words"))])
    index.upsert(OURS, collection.name, [Point(2, array("f", [3.0] * SIZE))])
    for hit in index.search(OURS, collection.name, Search(Nearest(axis(0)), with_vector=True)):
        assert hit.vector is not None
        assert list(hit.vector) == pytest.approx([SIZE**-0.5] * SIZE, abs=1e-5)


def test_payloads_of_every_kind_come_back(index: QdrantIndex, collection: Collection) -> None:
    payload = {
        "text": "é\u0000☃", "int": -5, "large": 2**53, "float": 1.5, "yes": True, "no": False, "none": None,
        "list": [1, "a", None, [True]], "object": {"deep": {"er": [{}]}}, "empty": [],
    }  # fmt: skip
    index.upsert(OURS, collection.name, [Point(1, axis(0), payload)])
    assert index.search(OURS, collection.name, Search(Nearest(axis(0))))[0].payload == payload


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


@pytest.mark.parametrize(("chosen", "wanted"), FILTERS)
def test_filters(index: QdrantIndex, collection: Collection, chosen: Filter, wanted: set[int]) -> None:
    fill(index, collection.name)
    fill(index, collection.name, THEIRS)
    assert set(ids(index, collection.name, Search(Nearest(axis(0)), filter=chosen))) == wanted
    assert index.count(OURS, collection.name, Chosen(filter=chosen)) == len(wanted)


def test_groups_are_by_their_best_hit(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    groups = index.search_groups(
        OURS, collection.name, Search(Nearest(axis(3)), limit=5, group_by="contact", group_size=1)
    )
    assert next((group.key, [hit.id for hit in group.hits]) for group in groups) == ("c1", [3])
    assert {group.key for group in groups} == {"c0", "c1"}
    assert all(group.score == group.hits[0].score for group in groups)


def test_a_score_threshold(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    assert ids(index, collection.name, Search(Nearest(axis(1)), score_threshold=0.9)) == [1]


def test_words_find_what_the_vector_does_not(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    fill(index, collection.name, THEIRS)
    found = ids(index, collection.name, Search(Hybrid(axis(0), query_terms("gcc")), limit=2))
    assert set(found) == {0, 3}


def test_hybrid_groups(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    search = Search(Hybrid(axis(0), query_terms("gcc")), limit=2, group_by="contact", group_size=1)
    assert {group.key for group in index.search_groups(OURS, collection.name, search)} == {"c0", "c1"}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_recommendations(index: QdrantIndex, collection: Collection, strategy: Strategy) -> None:
    fill(index, collection.name)
    index.upsert(OURS, collection.name, [Point(9, [1.0, 0.9, *[0.1] * (SIZE - 2)])])
    found = ids(index, collection.name, Search(Recommend([0], [3], strategy), limit=3))
    assert found[0] == 9
    assert 0 not in found
    assert 3 not in found
    assert ids(index, collection.name, Search(Recommend([axis(1)], (), strategy), limit=1)) == [1]


def test_a_neighbours_point_is_no_example(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    index.upsert(THEIRS, collection.name, [Point(77, axis(1))])
    with pytest.raises(NotFound):
        index.search(OURS, collection.name, Search(Recommend([77])))


def test_several_searches_at_once(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    searches = [Search(Nearest(axis(number)), limit=1) for number in (3, 0, 2)]
    assert [[hit.id for hit in hits] for hits in index.search_many(OURS, collection.name, searches)] == [[3], [0], [2]]


def test_writes_of_all_kinds_in_their_order(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    fill(index, collection.name, THEIRS)
    index.write(
        OURS,
        collection.name,
        [
            Upsert([Point(10, axis(5), {"n": 10, "old": 1})]),
            SetPayload(Chosen(ids=[10, 0]), {"n": 11, "new": True}),
            DeletePayload(Chosen(ids=[10]), ["old"]),
            Delete(Chosen(filter=Filter(must=[Condition("n", any_of=[1, 2])]))),
            Delete(Chosen(ids=[3])),
        ],
    )
    hits = index.search(OURS, collection.name, Search(Nearest(axis(5))))
    assert {hit.id: hit.payload.get("n") for hit in hits} == {10: 11, 0: 11}
    assert hits[0].payload == {"n": 11, "new": True}
    assert index.count(THEIRS, collection.name) == 4
    assert index.count(THEIRS, collection.name, Chosen(filter=Filter(must=[Condition("new", exists=True)]))) == 0


def test_deleting(index: QdrantIndex, collection: Collection) -> None:
    fill(index, collection.name)
    fill(index, collection.name, THEIRS)
    index.delete(OURS, collection.name, [1, 99])
    assert not index.has(OURS, collection.name, 1)
    assert index.has(THEIRS, collection.name, 1)
    assert index.count(OURS, collection.name) == 3


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from([OURS, THEIRS]),
        st.sampled_from(["upsert", "delete", "delete where", "set", "unset"]),
        st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_no_tenant_sees_or_changes_the_others_points(
    index: QdrantIndex, operations: list[tuple[UUID, str, list[int]]]
) -> None:
    """Two tenants, the same ids, random changes from both: each always sees what its own changes alone would give."""
    name = _shared(index)
    for tenant in (OURS, THEIRS):
        index.delete(tenant, name, list(range(6)))
    model: dict[UUID, dict[int, dict[str, object]]] = {OURS: {}, THEIRS: {}}
    for step, (tenant, what, chosen) in enumerate(operations):
        mine = model[tenant]
        if what == "upsert":
            index.upsert(tenant, name, [Point(each, axis(each), {"n": each, "by": str(tenant)}) for each in chosen])
            mine.update({each: {"n": each, "by": str(tenant)} for each in chosen})
        elif what == "delete":
            index.write(tenant, name, [Delete(Chosen(ids=chosen))])
            for each in chosen:
                mine.pop(each, None)
        elif what == "delete where":
            # Wider than the tenant: every point of anybody has one of these.
            wide = Filter(should=[Condition("by", any_of=[str(OURS), str(THEIRS)])], must=[Condition("n", gte=4)])
            index.write(tenant, name, [Delete(Chosen(filter=wide))])
            model[tenant] = {each: payload for each, payload in mine.items() if each < 4}
        elif what == "set":
            index.write(
                tenant, name, [SetPayload(Chosen(filter=Filter(must=[Condition("n", exists=True)])), {"s": step})]
            )
            for payload in mine.values():
                payload["s"] = step
        else:
            index.write(tenant, name, [DeletePayload(Chosen(ids=chosen), ["s"])])
            for each in chosen:
                mine.get(each, {}).pop("s", None)
        for asking in (OURS, THEIRS):
            hits = index.search(asking, name, Search(Nearest(axis(random.randrange(SIZE))), limit=100))
            assert {hit.id: hit.payload for hit in hits} == model[asking]
            assert index.count(asking, name) == len(model[asking])


def _shared(index: QdrantIndex) -> str:
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
    st.builds(lambda key, there: Condition(key, exists=there), st.sampled_from("xyz"), st.booleans()),
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
def test_filters_agree_with_plain_python(index: QdrantIndex, payloads: list[dict[str, object]], chosen: Filter) -> None:
    name = _shared(index)
    tenant = uuid4()
    index.upsert(tenant, name, [Point(number, axis(0), payload) for number, payload in enumerate(payloads)])
    found = index.search(tenant, name, Search(Nearest(axis(0)), limit=10, filter=chosen))
    assert {hit.id for hit in found} == {n for n, payload in enumerate(payloads) if _passes(payload, chosen)}


def _passes(payload: dict[str, object], chosen: Filter) -> bool:
    return (
        all(_holds(payload, each) for each in chosen.must)
        and (not chosen.should or any(_holds(payload, each) for each in chosen.should))
        and not any(_holds(payload, each) for each in chosen.must_not)
    )


def _holds(payload: dict[str, object], condition: Condition) -> bool:
    value = payload.get(condition.key)
    if condition.exists is not None:
        return (condition.key in payload) == condition.exists
    if condition.any_of is not None:
        return any(type(value) is type(each) and value == each for each in condition.any_of)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and value >= condition.gte  # type: ignore[operator]
