"""Tests for vector batches: one result per operation, in order, with as few engine calls as possible."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.errors import InvalidInput, NotFound, Unavailable
from email_sender.vectors.batch import Operation, Outcome
from tests.fakes.vectors import SIZE, VectorScenario
from vectors_lambda.http.schemas.batches import BatchIn, OutcomeOut

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

TENANT, OTHER_TENANT, REQUEST = uuid4(), uuid4(), uuid4()
VECTOR = [1.0, *[0.1] * (SIZE - 1)]


@pytest.fixture
def vectors() -> Iterator[VectorScenario]:
    scenario = VectorScenario()
    yield scenario
    scenario.channel.close()


def run(vectors: VectorScenario, *operations: Any, atomic: bool = False, tenant: UUID = TENANT) -> list[dict[str, Any]]:
    """Run operations as the route does: raw JSON in, result JSON out."""
    entries = BatchIn.model_validate({"operations": list(operations)}).parse(REQUEST)
    batch_operations = [entry if isinstance(entry, InvalidInput) else entry[1] for entry in entries]
    outcomes = vectors.batch.run(tenant, batch_operations, atomic_validation=atomic)
    return [
        OutcomeOut.of(*entry_and_outcome).model_dump(exclude_none=True, mode="json")
        for entry_and_outcome in zip(entries, outcomes, strict=True)
    ]


def upsert(*ids: int, collection: str = "plain", **payload: Any) -> dict[str, Any]:
    points = [{"id": point_id, "vector": VECTOR, "payload": {"n": point_id, **payload}} for point_id in ids]
    return {"op": "upsert", "collection": collection, "points": points}


def point(body: dict[str, Any]) -> dict[str, Any]:
    return {"op": "upsert", "collection": "plain", "points": [body]}


def delete_where(**conditions: Any) -> dict[str, Any]:
    return {"op": "delete", "collection": "plain", "filter": conditions}


SEARCH = {"op": "search", "collection": "plain", "vector": VECTOR}


def test_each_operation_has_a_result_and_sees_the_earlier_operations(vectors: VectorScenario) -> None:
    results = run(
        vectors,
        upsert(1, 2, 3),
        SEARCH,
        {"op": "set_payload", "collection": "plain", "ids": [1], "payload": {"n": 9}},
        {"op": "delete", "collection": "plain", "filter": {"must": [{"key": "n", "match": {"any": [2, 3]}}]}},
        SEARCH,
        {"op": "delete_payload", "collection": "plain", "ids": [1], "keys": ["n"]},
        SEARCH,
    )
    assert [result["status"] for result in results] == ["done"] * 7
    assert results[0] == {"status": "done", "count": 3, "ids": [1, 2, 3]}
    assert results[1]["answer"]["count"] == 3
    assert results[3]["count"] == 2
    assert [hit["payload"] for hit in results[4]["answer"]["results"]] == [{"n": 9}]
    assert [hit["payload"] for hit in results[6]["answer"]["results"]] == [{}]


def test_an_invalid_operation_does_not_stop_the_others(vectors: VectorScenario) -> None:
    results = run(vectors, upsert(1), {"op": "upsert", "collection": "nowhere", "points": [{"vector": VECTOR}]}, SEARCH)
    assert [result["status"] for result in results] == ["done", "failed", "done"]
    assert results[1]["error"]["code"] == "invalid_input"
    assert results[1]["error"]["errors"][0]["pointer"] == "/collection"


def test_atomic_validation_rejects_the_whole_batch(vectors: VectorScenario) -> None:
    invalid_operation = {"op": "upsert", "collection": "plain", "points": [{"id": 2, "vector": [1.0]}]}
    with pytest.raises(InvalidInput) as caught:
        run(vectors, upsert(1), invalid_operation, {"op": "nothing"}, atomic=True)
    assert [problem.pointer for problem in caught.value.problems] == ["/operations/1/points/0/vector", "/operations/2"]
    assert vectors.index.count(TENANT, "plain") == 0
    assert vectors.outbox.events == []


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
        (delete_where(must=[{"key": "tenant_id", "exists": True}]), "/filter/must/0/key"),
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
def test_an_invalid_operation_is_reported_with_its_pointer(
    vectors: VectorScenario, operation: dict[str, Any], pointer: str
) -> None:
    results = run(vectors, operation, SEARCH)
    assert [result["status"] for result in results] == ["failed", "done"]
    assert pointer in [error["pointer"] for error in results[0]["error"]["errors"]]
    assert vectors.index.count(TENANT, "plain") == 0


def test_points_without_ids_get_the_same_ids_when_the_request_is_repeated(vectors: VectorScenario) -> None:
    operation = {"op": "upsert", "collection": "plain", "points": [{"vector": VECTOR}, {"vector": VECTOR}]}
    first, second = run(vectors, operation, operation), run(vectors, operation, operation)
    assert first == second
    assert len({*first[0]["ids"], *first[1]["ids"]}) == 4
    assert vectors.index.count(TENANT, "plain") == 4


def test_adjacent_operations_share_one_engine_call(vectors: VectorScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original_points = vectors.channel.points

    def counting_points(method: str, request: bytes, **options: Any) -> Any:
        calls.append(method)
        return original_points(method, request, **options)

    monkeypatch.setattr(vectors.channel, "points", counting_points)
    run(
        vectors,
        *[upsert(point_id) for point_id in range(50)],
        *[SEARCH] * 20,
        upsert(99),
        upsert(1, collection="words"),
    )
    assert calls == ["UpdateBatch", "QueryBatch", "UpdateBatch", "UpdateBatch"]


def test_texts_of_a_batch_are_embedded_together(vectors: VectorScenario) -> None:
    texts = [{"op": "upsert", "collection": "words", "points": [{"text": "a"}, {"text": "e"}]}] * 5
    searches = [{"op": "search", "collection": "words", "text": "a", "hybrid": True}] * 5
    assert {result["status"] for result in run(vectors, *texts, *searches)} == {"done"}
    assert vectors.model.calls == 2


def test_one_event_is_published_per_kind_and_collection(vectors: VectorScenario) -> None:
    run(
        vectors,
        upsert(1, 2),
        upsert(3),
        upsert(1, collection="words"),
        {"op": "delete", "collection": "plain", "ids": [1]},
    )
    published_events = [(event.type, event.data["collection"], event.data["count"]) for event in vectors.outbox.events]
    assert published_events == [
        ("vectors.inserted", "plain", 3),
        ("vectors.inserted", "words", 1),
        ("vectors.deleted", "plain", 1),
    ]


def test_a_batch_of_searches_publishes_no_event(vectors: VectorScenario) -> None:
    run(vectors, SEARCH)
    assert vectors.outbox.events == []


def test_a_missing_example_fails_only_its_own_search(vectors: VectorScenario) -> None:
    failing_search = {"op": "search", "collection": "plain", "recommend": {"positive": [404]}}
    results = run(vectors, upsert(1), SEARCH, failing_search, SEARCH)
    assert [result["status"] for result in results] == ["done", "done", "failed", "done"]
    assert results[2]["error"]["code"] == "not_found"


def test_another_tenants_points_are_neither_found_nor_changed(vectors: VectorScenario) -> None:
    run(vectors, upsert(1, 2))
    everything = {"must": [{"key": "n", "exists": True}]}
    results = run(
        vectors,
        {"op": "delete", "collection": "plain", "filter": everything},
        {"op": "set_payload", "collection": "plain", "ids": [1, 2], "payload": {"n": 0}},
        SEARCH,
        tenant=OTHER_TENANT,
    )
    assert results[0]["count"] == 0
    assert results[2]["answer"]["results"] == []
    assert sorted(hit["payload"]["n"] for hit in run(vectors, SEARCH)[0]["answer"]["results"]) == [1, 2]


def test_an_unavailable_engine_fails_the_whole_request(
    vectors: VectorScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise Unavailable("down")

    monkeypatch.setattr(vectors.channel, "points", down)
    with pytest.raises(Unavailable):
        run(vectors, upsert(1))
    assert vectors.outbox.events == []


def test_more_than_a_thousand_operations_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        BatchIn.model_validate({"operations": [SEARCH] * 1001})


def test_outcomes_are_in_the_order_of_the_operations(vectors: VectorScenario) -> None:
    operations: list[Operation | InvalidInput] = [InvalidInput("first"), InvalidInput("second")]
    outcomes: list[Outcome] = vectors.batch.run(TENANT, operations, atomic_validation=False)
    assert [str(outcome.error) for outcome in outcomes] == ["first", "second"]
    assert not isinstance(outcomes[0].error, NotFound)
