"""Batches: results by operation, in order, with as few calls as can be."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.errors import InvalidInput, NotFound, Unavailable
from email_sender.vectors.batch import Operation, Outcome
from tests.fakes.vectors import SIZE, Vectors
from vectors.batch_schemas import BatchIn, OutcomeOut

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

TENANT, OTHER, REQUEST = uuid4(), uuid4(), uuid4()
VECTOR = [1.0, *[0.1] * (SIZE - 1)]


@pytest.fixture
def on() -> Iterator[Vectors]:
    made = Vectors()
    yield made
    made.channel.close()


def run(on: Vectors, *operations: Any, atomic: bool = False, tenant: UUID = TENANT) -> list[dict[str, Any]]:
    """As the route does it: raw operations in, results out as JSON."""
    read = BatchIn.model_validate({"operations": list(operations)}).read(REQUEST)
    given = [each if isinstance(each, InvalidInput) else each[1] for each in read]
    outcomes = on.batch.run(tenant, given, atomic_validation=atomic)
    return [
        OutcomeOut.of(*each).model_dump(exclude_none=True, mode="json") for each in zip(read, outcomes, strict=True)
    ]


def upsert(*ids: int, collection: str = "plain", **payload: Any) -> dict[str, Any]:
    points = [{"id": each, "vector": VECTOR, "payload": {"n": each, **payload}} for each in ids]
    return {"op": "upsert", "collection": collection, "points": points}


def point(given: dict[str, Any]) -> dict[str, Any]:
    return {"op": "upsert", "collection": "plain", "points": [given]}


def chosen(**conditions: Any) -> dict[str, Any]:
    return {"op": "delete", "collection": "plain", "filter": conditions}


SEARCH = {"op": "search", "collection": "plain", "vector": VECTOR}


def test_each_operation_has_its_result_and_sees_those_before_it(on: Vectors) -> None:
    results = run(
        on,
        upsert(1, 2, 3),
        SEARCH,
        {"op": "set_payload", "collection": "plain", "ids": [1], "payload": {"n": 9}},
        {"op": "delete", "collection": "plain", "filter": {"must": [{"key": "n", "match": {"any": [2, 3]}}]}},
        SEARCH,
        {"op": "delete_payload", "collection": "plain", "ids": [1], "keys": ["n"]},
        SEARCH,
    )
    assert [each["status"] for each in results] == ["done"] * 7
    assert results[0] == {"status": "done", "count": 3, "ids": [1, 2, 3]}
    assert results[1]["answer"]["count"] == 3
    assert results[3]["count"] == 2
    assert [hit["payload"] for hit in results[4]["answer"]["results"]] == [{"n": 9}]
    assert [hit["payload"] for hit in results[6]["answer"]["results"]] == [{}]


def test_a_bad_operation_does_not_stop_the_others(on: Vectors) -> None:
    results = run(on, upsert(1), {"op": "upsert", "collection": "nowhere", "points": [{"vector": VECTOR}]}, SEARCH)
    assert [each["status"] for each in results] == ["done", "failed", "done"]
    assert results[1]["error"]["code"] == "invalid_input"
    assert results[1]["error"]["errors"][0]["pointer"] == "/collection"


def test_with_atomic_validation_it_stops_all_of_them(on: Vectors) -> None:
    wrong = {"op": "upsert", "collection": "plain", "points": [{"id": 2, "vector": [1.0]}]}
    with pytest.raises(InvalidInput) as caught:
        run(on, upsert(1), wrong, {"op": "nothing"}, atomic=True)
    assert [each.pointer for each in caught.value.problems] == ["/operations/1/points/0/vector", "/operations/2"]
    assert on.index.count(TENANT, "plain") == 0
    assert on.told.events == []


@pytest.mark.parametrize(
    ("operation", "pointer"),
    [
        ({}, ""),
        ({"op": "drop"}, ""),
        ({"op": "upsert", "collection": "plain"}, "/points"),
        ({"op": "upsert", "collection": "plain", "points": []}, "/points"),
        (point({"vector": VECTOR, "tenant_id": "x"}), "/points/0/tenant_id"),
        (point({"vector": "x"}), "/points/0/vector"),
        (point({"vector": [float("nan")] * 4}), "/points/0/vector"),
        (point({"vector": [1e300] * 4}), "/points/0/vector"),
        (point({"vector": [[1.0]]}), "/points/0/vector"),
        (point({"vector_b64": "!"}), "/points/0/vector_b64"),
        (point({"vector_b64": "AAA="}), "/points/0/vector_b64"),
        (point({"id": -1, "vector": VECTOR}), "/points/0/id"),
        (point({"vector": VECTOR, "payload": {"_id": 1}}), "/points/0/payload/_id"),
        (point({"text": "hello"}), "/points/0/text"),
        ({"op": "delete", "collection": "plain"}, ""),
        ({"op": "delete", "collection": "plain", "ids": [1], "filter": {}}, ""),
        ({"op": "delete", "collection": "plain", "filter": {}}, ""),
        (chosen(must=[{"key": "tenant_id", "exists": True}]), "/filter/must/0/key"),
        ({"op": "set_payload", "collection": "plain", "ids": [1], "payload": {"tenant_id": "x"}}, "/payload/tenant_id"),
        ({"op": "set_payload", "collection": "plain", "ids": [1], "payload": {}}, "/payload"),
        ({"op": "delete_payload", "collection": "plain", "ids": [1], "keys": ["tenant_id"]}, "/keys/tenant_id"),
        ({"op": "search", "collection": "plain"}, ""),
        ({"op": "search", "collection": "plain", "text": "x"}, "/text"),
        ({"op": "search", "collection": "plain", "vector": VECTOR, "hybrid": True}, ""),
        ({"op": "search", "collection": "plain", "vector": VECTOR, "limit": 0}, "/limit"),
        ({"op": "search", "collection": "plain", "recommend": {"positive": []}}, "/recommend/positive"),
        (SEARCH | {"vector": [1.0]}, "/vector"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(on: Vectors, operation: dict[str, Any], pointer: str) -> None:
    results = run(on, operation, SEARCH)
    assert [each["status"] for each in results] == ["failed", "done"]
    assert pointer in [each["pointer"] for each in results[0]["error"]["errors"]]
    assert on.index.count(TENANT, "plain") == 0


def test_points_without_ids_get_the_same_ones_when_the_request_is_repeated(on: Vectors) -> None:
    operation = {"op": "upsert", "collection": "plain", "points": [{"vector": VECTOR}, {"vector": VECTOR}]}
    first, second = run(on, operation, operation), run(on, operation, operation)
    assert first == second
    assert len({*first[0]["ids"], *first[1]["ids"]}) == 4
    assert on.index.count(TENANT, "plain") == 4


def test_neighbours_go_to_the_engine_together(on: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = on.channel.points

    def counted(method: str, request: bytes, **options: Any) -> Any:
        calls.append(method)
        return real(method, request, **options)

    monkeypatch.setattr(on.channel, "points", counted)
    run(on, *[upsert(each) for each in range(50)], *[SEARCH] * 20, upsert(99), upsert(1, collection="words"))
    assert calls == ["UpdateBatch", "QueryBatch", "UpdateBatch", "UpdateBatch"]


def test_texts_of_a_batch_are_embedded_together(on: Vectors) -> None:
    texts = [{"op": "upsert", "collection": "words", "points": [{"text": "a"}, {"text": "e"}]}] * 5
    asked = [{"op": "search", "collection": "words", "text": "a", "hybrid": True}] * 5
    assert {each["status"] for each in run(on, *texts, *asked)} == {"done"}
    assert on.model.calls == 2


def test_one_event_for_each_kind_and_collection(on: Vectors) -> None:
    run(on, upsert(1, 2), upsert(3), upsert(1, collection="words"), {"op": "delete", "collection": "plain", "ids": [1]})
    told = [(event.type, event.data["collection"], event.data["count"]) for event in on.told.events]
    assert told == [("vectors.inserted", "plain", 3), ("vectors.inserted", "words", 1), ("vectors.deleted", "plain", 1)]


def test_searches_alone_tell_nobody(on: Vectors) -> None:
    run(on, SEARCH)
    assert on.told.events == []


def test_an_example_that_is_not_there_fails_its_own_search_alone(on: Vectors) -> None:
    missing = {"op": "search", "collection": "plain", "recommend": {"positive": [404]}}
    results = run(on, upsert(1), SEARCH, missing, SEARCH)
    assert [each["status"] for each in results] == ["done", "done", "failed", "done"]
    assert results[2]["error"]["code"] == "not_found"


def test_another_tenants_points_are_neither_found_nor_changed(on: Vectors) -> None:
    run(on, upsert(1, 2))
    everything = {"must": [{"key": "n", "exists": True}]}
    results = run(
        on,
        {"op": "delete", "collection": "plain", "filter": everything},
        {"op": "set_payload", "collection": "plain", "ids": [1, 2], "payload": {"n": 0}},
        SEARCH,
        tenant=OTHER,
    )
    assert results[0]["count"] == 0
    assert results[2]["answer"]["results"] == []
    assert sorted(hit["payload"]["n"] for hit in run(on, SEARCH)[0]["answer"]["results"]) == [1, 2]


def test_an_engine_that_does_not_answer_is_the_whole_requests_trouble(
    on: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise Unavailable("down")

    monkeypatch.setattr(on.channel, "points", down)
    with pytest.raises(Unavailable):
        run(on, upsert(1))
    assert on.told.events == []


def test_more_than_a_thousand_operations_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        BatchIn.model_validate({"operations": [SEARCH] * 1001})


def test_outcomes_are_in_the_order_of_the_operations(on: Vectors) -> None:
    operations: list[Operation | InvalidInput] = [InvalidInput("first"), InvalidInput("second")]
    outcomes: list[Outcome] = on.batch.run(TENANT, operations, atomic_validation=False)
    assert [str(each.error) for each in outcomes] == ["first", "second"]
    assert not isinstance(outcomes[0].error, NotFound)
