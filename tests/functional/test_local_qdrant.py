"""The local Qdrant responds like ``QdrantClient(":memory:")`` to the stock client, and loses nothing when killed."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from qdrant_client import QdrantClient, models

ROOT = Path(__file__).parents[2]
SIZE = 8
POINTS = 120
POINT_UUID = "6f1c1e0a-6f0b-4d3e-9a55-0123456789ab"

pytestmark = [
    pytest.mark.needs_engine,
    pytest.mark.kills,
    # In-memory Qdrant warns about settings that have no effect.
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]


class QdrantProcess:
    """One server on free ports. ``stop`` ends it with a signal, ``start`` starts it again on the same folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.grpc_port, self.http_port = _free_port(), _free_port()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "local.qdrant", "--data", str(self.data)]
        command += ["--grpc-port", str(self.grpc_port), "--http-port", str(self.http_port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.client = QdrantClient(
            host="127.0.0.1",
            port=self.http_port,
            grpc_port=self.grpc_port,
            prefer_grpc=True,
            check_compatibility=False,
            timeout=30,
        )

    def stop(self, signal_number: signal.Signals) -> int:
        self.client.close()
        self.process.send_signal(signal_number)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantProcess]:
    process = QdrantProcess(tmp_path / "qdrant")
    yield process
    if process.process.poll() is None:
        process.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def local_and_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[QdrantClient, QdrantClient]]:
    """The local server and Qdrant in memory, with the same 120 points."""
    process = QdrantProcess(tmp_path_factory.mktemp("pair") / "qdrant")
    memory = QdrantClient(":memory:")
    for client in (process.client, memory):
        client.create_collection("points", vectors_config=vectors(models.Distance.COSINE))
        client.create_payload_index(
            "points", "tenant", models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
        )
        client.upsert("points", points(POINTS), wait=True)
        client.create_collection("euclid", vectors_config=vectors(models.Distance.EUCLID))
        client.upsert("euclid", points(POINTS), wait=True)
    yield process.client, memory
    memory.close()
    process.stop(signal.SIGTERM)


def vectors(distance: models.Distance = models.Distance.COSINE) -> models.VectorParams:
    return models.VectorParams(size=SIZE, distance=distance)


def points(count: int, start: int = 0) -> list[models.PointStruct]:
    dice = random.Random(start)
    return [
        models.PointStruct(
            id=POINT_UUID if number == 7 else number,
            vector=[dice.gauss(0, 1) for _ in range(SIZE)],
            payload={
                "tenant": f"t{number % 3}",
                "contact": f"c{number % 11}",
                "number": number,
                "half": number / 2,
                "odd": bool(number % 2),
                "tags": [f"g{number % 4}", f"g{number % 5}"],
                "at": f"2026-01-{number % 28 + 1:02d}T00:00:00Z",
                "deep": {"list": [{"a": number % 2, "b": number % 3}], "nothing": None},
                **({"rare": None} if number % 10 == 0 else {"rare": []} if number % 10 == 1 else {"rare": "x"}),
            },
        )
        for number in range(start, start + count)
    ]


def query(seed: int = 1) -> list[float]:
    dice = random.Random(f"query {seed}")
    return [dice.gauss(0, 1) for _ in range(SIZE)]


def with_tolerance(response: Any) -> Any:
    """Return the response as plain data without versions, with a tolerance for floats."""
    if isinstance(response, float):
        return pytest.approx(response, abs=1e-5)
    if isinstance(response, (list, tuple)):
        return [with_tolerance(element) for element in response]
    if isinstance(response, dict):
        return {
            key: with_tolerance(value) for key, value in response.items() if key not in {"version", "usage", "time"}
        }
    return with_tolerance(response.model_dump()) if hasattr(response, "model_dump") else response


def without_tolerance(response: Any) -> Any:
    """Return the response as plain data without versions, for the other side of the comparison."""
    if isinstance(response, (list, tuple)):
        return [without_tolerance(element) for element in response]
    if isinstance(response, dict):
        return {
            key: without_tolerance(value) for key, value in response.items() if key not in {"version", "usage", "time"}
        }
    return without_tolerance(response.model_dump()) if hasattr(response, "model_dump") else response


def field(key: str, **condition: Any) -> models.FieldCondition:
    return models.FieldCondition(key=key, **condition)


def equal(key: str, value: Any) -> models.FieldCondition:
    return field(key, match=models.MatchValue(value=value))


FILTERS = {
    "keyword": models.Filter(must=[equal("tenant", "t1")]),
    "integer": models.Filter(must=[equal("number", 5)]),
    "bool": models.Filter(must=[equal("odd", True)]),
    "any": models.Filter(must=[field("contact", match=models.MatchAny(any=["c1", "c2"]))]),
    "any integer": models.Filter(must=[field("number", match=models.MatchAny(any=[1, 2, 3]))]),
    "except": models.Filter(must=[field("contact", match=models.MatchExcept(**{"except": ["c1", "c2"]}))]),
    "list": models.Filter(must=[equal("tags", "g4")]),
    "range": models.Filter(must=[field("half", range=models.Range(gte=3.5, lt=20))]),
    "datetime": models.Filter(must=[field("at", range=models.DatetimeRange(gt=datetime(2026, 1, 10, tzinfo=UTC)))]),
    "should": models.Filter(should=[equal("tenant", "t0"), equal("contact", "c4")]),
    "must not": models.Filter(must_not=[equal("tenant", "t0"), equal("contact", "c4")]),
    "min should": models.Filter(
        min_should=models.MinShould(
            conditions=[equal("tenant", "t0"), equal("contact", "c4"), equal("odd", True)], min_count=2
        )
    ),
    "nested filter": models.Filter(must=[models.Filter(should=[equal("tenant", "t0"), equal("odd", False)])]),
    "nested object": models.Filter(
        must=[
            models.NestedCondition(
                nested=models.Nested(key="deep.list", filter=models.Filter(must=[equal("a", 1), equal("b", 2)]))
            )
        ]
    ),
    "is empty": models.Filter(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="rare"))]),
    "is null": models.Filter(must=[models.IsNullCondition(is_null=models.PayloadField(key="rare"))]),
    "has id": models.Filter(must=[models.HasIdCondition(has_id=[1, 2, POINT_UUID, 5000])]),
    "values count": models.Filter(must=[field("tags", values_count=models.ValuesCount(gte=2))]),
    "nothing": models.Filter(must=[equal("tenant", "nobody")]),
}

OPERATIONS: dict[str, Callable[[QdrantClient], Any]] = {
    "search": lambda c: c.query_points("points", query(), limit=20, with_vectors=True),
    "search euclid": lambda c: c.query_points("euclid", query(), limit=20, with_vectors=True),
    "offset": lambda c: c.query_points("points", query(), limit=5, offset=7),
    "threshold": lambda c: c.query_points("points", query(), limit=100, score_threshold=0.2),
    "threshold euclid": lambda c: c.query_points("euclid", query(), limit=100, score_threshold=3.5),
    "payload fields": lambda c: c.query_points("points", query(), with_payload=["tenant", "deep.list[].a"]),
    "no payload": lambda c: c.query_points("points", query(), with_payload=False),
    "exact": lambda c: c.query_points("points", query(), search_params=models.SearchParams(exact=True, hnsw_ef=32)),
    "by id": lambda c: c.query_points("points", POINT_UUID, limit=5),
    "recommend": lambda c: c.query_points(
        "points", models.RecommendQuery(recommend=models.RecommendInput(positive=[1, 2], negative=[3])), limit=5
    ),
    "best score": lambda c: c.query_points(
        "points",
        models.RecommendQuery(
            recommend=models.RecommendInput(positive=[1, 2], negative=[3], strategy=models.RecommendStrategy.BEST_SCORE)
        ),
        limit=5,
    ),
    "batch": lambda c: c.query_batch_points(
        "points", [models.QueryRequest(query=query(seed), limit=3, with_payload=True) for seed in range(3)]
    ),
    "groups": lambda c: c.query_points_groups("points", "contact", query(), limit=4, group_size=3),
    "groups of a tenant": lambda c: c.query_points_groups(
        "points", "contact", query(), limit=20, group_size=2, query_filter=FILTERS["keyword"], with_vectors=True
    ),
    "groups by number": lambda c: c.query_points_groups("points", "deep.list[].b", query(), limit=2, group_size=50),
    "groups by list": lambda c: c.query_points_groups("euclid", "tags", query(), limit=3, group_size=30),
    "groups with null": lambda c: c.query_points_groups("points", "rare", query(), limit=3, group_size=3),
    "retrieve": lambda c: c.retrieve("points", [3, POINT_UUID, 4000], with_vectors=True),
    "scroll": lambda c: c.scroll("points", limit=50, with_vectors=True),
    "scroll on": lambda c: c.scroll("points", limit=50, offset=60, with_payload=["number"]),
    "count": lambda c: c.count("points"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_return_the_same_as_qdrant_in_memory(
    local_and_memory: tuple[QdrantClient, QdrantClient], name: str
) -> None:
    local_client, memory_client = local_and_memory
    assert without_tolerance(OPERATIONS[name](local_client)) == with_tolerance(OPERATIONS[name](memory_client))


@pytest.mark.parametrize("name", FILTERS)
def test_filters_return_the_same_as_qdrant_in_memory(
    local_and_memory: tuple[QdrantClient, QdrantClient], name: str
) -> None:
    def run_queries(client: QdrantClient) -> Any:
        query_result = client.query_points("points", query(), query_filter=FILTERS[name], limit=POINTS)
        scrolled_points, _ = client.scroll("points", FILTERS[name], limit=POINTS, with_payload=False)
        return [query_result, {point.id: True for point in scrolled_points}, client.count("points", FILTERS[name])]

    local_client, memory_client = local_and_memory
    assert without_tolerance(run_queries(local_client)) == with_tolerance(run_queries(memory_client))


def test_fusion_returns_the_same_ranks_as_qdrant_in_memory(local_and_memory: tuple[QdrantClient, QdrantClient]) -> None:
    def fused_scores(client: QdrantClient) -> Any:
        query_result = client.query_points(
            "points",
            models.FusionQuery(fusion=models.Fusion.RRF),
            prefetch=[models.Prefetch(query=query(seed), limit=40) for seed in range(2)],
            limit=100,
        )
        return {point.id: point.score for point in query_result.points}

    local_client, memory_client = local_and_memory
    assert fused_scores(local_client) == with_tolerance(fused_scores(memory_client))


def test_writes_leave_the_same_points_as_qdrant_in_memory(server: QdrantProcess) -> None:
    memory = QdrantClient(":memory:")
    states = []
    for client in (server.client, memory):
        client.create_collection("points", vectors_config=vectors())
        client.upsert("points", points(40), wait=True)
        client.set_payload("points", {"seen": True, "tenant": "new"}, points=[1, 2])
        client.set_payload("points", {"a": 5}, points=[3], key="deep")
        client.overwrite_payload("points", {"only": [1, 2.5, None, {"x": "y"}]}, points=[4])
        client.delete_payload("points", ["number"], points=models.Filter(must=[equal("tenant", "t2")]))
        client.clear_payload("points", points_selector=[6])
        client.delete("points", points_selector=[10, 11, 4000])
        client.delete("points", points_selector=models.Filter(must=[equal("contact", "c5")]))
        client.update_vectors("points", [models.PointVectors(id=12, vector=query())])
        client.batch_update_points(
            "points",
            [
                models.UpsertOperation(upsert=models.PointsList(points=points(3, start=100))),
                models.DeleteOperation(delete=models.PointIdsList(points=[101])),
            ],
        )
        client.upsert("points", points(1, start=20))
        states.append(sorted(client.scroll("points", limit=100, with_vectors=True)[0], key=lambda point: str(point.id)))
    memory.close()
    assert without_tolerance(states[0]) == with_tolerance(states[1])


def test_named_and_sparse_vectors_are_stored_and_searched(server: QdrantProcess) -> None:
    client = server.client
    client.create_collection(
        "mixed",
        vectors_config={"title": vectors(), "body": vectors(models.Distance.DOT)},
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    word_vector = models.SparseVector(indices=[3, 9], values=[1.0, 2.0])
    client.upsert(
        "mixed",
        [
            models.PointStruct(id=1, vector={"title": query(1), "body": query(2), "words": word_vector}),
            models.PointStruct(id=2, vector={"title": query(2)}),
        ],
    )
    assert [point.id for point in client.query_points("mixed", query(2), using="title").points] == [2, 1]
    assert [(point.id, point.score) for point in client.query_points("mixed", word_vector, using="words").points] == [
        (1, 5.0)
    ]
    stored_point = client.retrieve("mixed", [1], with_vectors=["words"])[0]
    assert stored_point.vector == {"words": word_vector}


def test_facets_count_an_indexed_field(server: QdrantProcess) -> None:
    client = server.client
    client.create_collection("points", vectors_config=vectors())
    client.create_payload_index("points", "tenant", models.PayloadSchemaType.KEYWORD)
    client.upsert("points", points(30))
    hits = client.facet("points", "tenant", exact=True).hits
    assert {hit.value: hit.count for hit in hits} == {"t0": 10, "t1": 10, "t2": 10}


def test_the_collection_info_shows_the_settings_it_was_created_with(server: QdrantProcess) -> None:
    client = server.client
    client.create_collection(
        "points",
        vectors_config=models.VectorParams(size=SIZE, distance=models.Distance.EUCLID, on_disk=True),
        hnsw_config=models.HnswConfigDiff(m=24),
        optimizers_config=models.OptimizersConfigDiff(default_segment_number=2),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        ),
        strict_mode_config=models.StrictModeConfig(enabled=True, max_query_limit=100),
        replication_factor=3,
        shard_number=2,
        metadata={"model": "none"},
    )
    client.create_payload_index(
        "points", "tenant", models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    )
    client.update_collection("points", hnsw_config=models.HnswConfigDiff(ef_construct=200))
    for _ in range(2):  # as created, and after a restart
        info = client.get_collection("points")
        assert info.config.params.vectors == models.VectorParams(
            size=SIZE, distance=models.Distance.EUCLID, on_disk=True
        )
        assert (info.config.hnsw_config.m, info.config.hnsw_config.ef_construct) == (24, 200)
        assert info.config.optimizer_config.default_segment_number == 2
        assert isinstance(info.config.quantization_config, models.ScalarQuantization)
        assert info.config.strict_mode_config is not None
        assert info.config.strict_mode_config.max_query_limit == 100
        assert (info.config.params.replication_factor, info.config.params.shard_number) == (3, 2)
        assert info.config.metadata == {"model": "none"}
        params = info.payload_schema["tenant"].params
        assert isinstance(params, models.KeywordIndexParams)
        assert params.is_tenant
        server.stop(signal.SIGTERM)
        server.start()
        client = server.client


def test_refusals_have_the_status_codes_of_qdrant(server: QdrantProcess) -> None:
    client = server.client
    client.create_collection("points", vectors_config=vectors())
    good_point, bad_point = points(2)
    refusals: list[tuple[grpc.StatusCode, str, Callable[[], object]]] = [
        (grpc.StatusCode.NOT_FOUND, "doesn't exist", lambda: client.query_points("nowhere", query())),
        (
            grpc.StatusCode.ALREADY_EXISTS,
            "already exists",
            lambda: client.create_collection("points", vectors_config=vectors()),
        ),
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Vector dimension error: expected dim: 8, got 3",
            lambda: client.upsert("points", [good_point, bad_point.model_copy(update={"vector": [1.0, 2.0, 3.0]})]),
        ),
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            "NaN",
            lambda: client.upsert(
                "points", [good_point, bad_point.model_copy(update={"vector": [float("nan")] * SIZE})]
            ),
        ),
        (grpc.StatusCode.INVALID_ARGUMENT, "expected dim: 8", lambda: client.query_points("points", [1.0])),
        (grpc.StatusCode.INVALID_ARGUMENT, "vector name", lambda: client.query_points("points", query(), using="x")),
        (grpc.StatusCode.NOT_FOUND, "No point with id 5", lambda: client.query_points("points", 5)),
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            "not a valid collection name",
            lambda: client.create_collection("../points", vectors_config=vectors()),
        ),
        (grpc.StatusCode.UNIMPLEMENTED, "local Qdrant", lambda: client.create_snapshot("points")),
    ]
    for status, expected_message, call in refusals:
        with pytest.raises(grpc.RpcError) as error:
            call()
        assert (error.value.code(), expected_message in error.value.details()) == (status, True), expected_message
    assert client.count("points").count == 0, "a refused batch leaves nothing behind"


def test_an_alias_is_switched_atomically_and_survives_a_kill(server: QdrantProcess) -> None:
    client = server.client
    for name, count in (("blue", 3), ("green", 5)):
        client.create_collection(name, vectors_config=vectors())
        client.upsert(name, points(count))
    create_alias = models.CreateAlias
    client.update_collection_aliases(
        [models.CreateAliasOperation(create_alias=create_alias(collection_name="blue", alias_name="live"))]
    )
    assert client.count("live").count == 3
    switch: list[Any] = [
        models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="live")),
        models.CreateAliasOperation(create_alias=create_alias(collection_name="green", alias_name="live")),
    ]
    failing_action = models.CreateAliasOperation(create_alias=create_alias(collection_name="nowhere", alias_name="x"))
    with pytest.raises(grpc.RpcError):
        client.update_collection_aliases([*switch, failing_action])
    assert client.count("live").count == 3, "all of the actions or none"
    client.update_collection_aliases(switch)
    server.stop(signal.SIGKILL)
    server.start()
    assert server.client.count("live").count == 5
    assert [alias.alias_name for alias in server.client.get_collection_aliases("green").aliases] == ["live"]
    server.client.delete_collection("green")
    assert server.client.get_aliases().aliases == []


def test_a_kill_loses_no_acknowledged_write(server: QdrantProcess) -> None:
    server.client.create_collection("points", vectors_config=vectors())
    for start in range(0, 500, 50):
        server.client.upsert("points", points(50, start=start), wait=True)
    server.client.delete("points", points_selector=[3])
    server.stop(signal.SIGKILL)
    server.start()
    assert server.client.count("points").count == 499
    assert server.client.retrieve("points", [499], with_payload=["number"])[0].payload == {"number": 499}


def test_writes_continue_while_an_index_is_built(server: QdrantProcess) -> None:
    client = server.client
    client.create_collection(
        "points",
        vectors_config=vectors(),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=8, default_segment_number=1),
        hnsw_config=models.HnswConfigDiff(full_scan_threshold=10),
    )
    client.upsert("points", points(2000), wait=True)
    written_count = 2000
    deadline = time.monotonic() + 30
    while client.get_collection("points").indexed_vectors_count == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
        if written_count > 2000 or client.get_collection("points").status == models.CollectionStatus.YELLOW:
            client.upsert("points", points(1, start=written_count), wait=True)
            written_count += 1
            time.sleep(0.6 if written_count == 2001 else 0)
    assert client.get_collection("points").indexed_vectors_count
    assert client.count("points").count == written_count
    server.stop(signal.SIGKILL)
    server.start()
    assert server.client.count("points").count == written_count
    assert len(list((server.data / "points").glob("shard-*"))) == 1


def test_a_partly_created_collection_is_removed_and_can_be_created_again(server: QdrantProcess) -> None:
    server.client.create_collection("whole", vectors_config=vectors())
    server.stop(signal.SIGKILL)
    partial_folder = server.data / ".creating-half" / "shard-1"
    partial_folder.mkdir(parents=True)
    (partial_folder / "edge_config.json").write_text("{")
    (server.data / "whole").rename(server.data / ".deleting-whole")
    server.start()
    assert server.client.get_collections().collections == []
    server.client.create_collection("half", vectors_config=vectors())
    assert server.client.count("half").count == 0
    assert sorted(path.name for path in server.data.iterdir()) == [".lock", "half"]


def test_health_probes_and_a_clean_stop(server: QdrantProcess) -> None:
    bodies = {}
    for path in ("/healthz", "/readyz", "/"):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}{path}") as response:
            bodies[path] = response.read().decode()
    assert bodies["/healthz"] == "healthz check passed"
    assert '"version"' in bodies["/"]
    server.client.create_collection("points", vectors_config=vectors())
    assert server.stop(signal.SIGTERM) == 0
    server.start()
    assert server.client.collection_exists("points")
    assert server.stop(signal.SIGINT) == 0
