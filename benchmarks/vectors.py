"""Vectors: our adapter and our decoding against the raw client, on the same local engine."""

import base64
import json
import os
import random
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from qdrant_client import QdrantClient, models

from email_sender.adapters.qdrant import QdrantIndex
from email_sender.vectors.model import Collection, Distance, Filter, Search, engine_id
from local.ports import pick
from local.processes import Spec, Supervisor

_SIZE = 1536
_BATCH = 100
_RUNS = 7
_TENANTS = [UUID(int=number + 1) for number in range(10)]


def measure(scratch: Path) -> list[dict[str, Any]]:
    with _engine(scratch) as client:
        index = QdrantIndex(lambda: client)
        return [*_inserts(client, index), *_searches(client, index)]


@contextmanager
def _engine(scratch: Path) -> Iterator[QdrantClient]:
    grpc, http = pick("grpc", 36334, print), pick("http", 36333, print)
    argv = [sys.executable, "-m", "local.qdrant", "--data", str(scratch / "qdrant"), "--grpc-port", str(grpc)]
    with Supervisor() as supervisor:
        supervisor.start(
            Spec("qdrant", [*argv, "--http-port", str(http)], scratch / "log", environment=dict(os.environ))
        )
        client = QdrantClient(host="127.0.0.1", grpc_port=grpc, prefer_grpc=True, check_compatibility=False, timeout=60)
        yield client
        client.close()


def _inserts(client: QdrantClient, index: QdrantIndex) -> list[dict[str, Any]]:
    """Rates of the whole way: body in JSON, validated, written. The raw client starts from lists of floats."""
    from vectors.schemas import InsertIn

    for name in ("raw", "ours"):
        index.prepare(Collection(name, _SIZE, Distance.COSINE, quantized=False))
    vectors = [[random.random() for _ in range(_SIZE)] for _ in range(_BATCH)]
    as_json = json.dumps({"collection": "ours", "points": [{"vector": each} for each in vectors]}).encode()
    encoded = [base64.b64encode(struct.pack(f"<{_SIZE}f", *each)).decode() for each in vectors]
    as_base64 = json.dumps({"collection": "ours", "points": [{"vector_b64": each} for each in encoded]}).encode()

    def raw() -> None:
        points = [models.PointStruct(id=str(uuid4()), vector=each, payload={}) for each in vectors]
        client.upsert("raw", points, wait=True)

    def through(body: bytes) -> Callable[[], None]:
        def write() -> None:
            parsed = InsertIn.model_validate_json(body)
            operation = uuid4()
            points = [each.point(number, operation) for number, each in enumerate(parsed.points)]
            index.upsert(_TENANTS[0], "ours", points)  # type: ignore[arg-type]  # the same fields

        return write

    beneath = _BATCH / _seconds(raw)
    text, binary = _BATCH / _seconds(through(as_json)), _BATCH / _seconds(through(as_base64))
    compared = {"unit": "vectors/s", "compared_with": "raw upsert", "compared_value": beneath, "runs": _RUNS}
    return [
        {"measure": "insert, JSON, 100 x 1,536", "value": text, "at_least": 0.6, **compared},
        {"measure": "insert, vector_b64, 100 x 1,536", "value": binary, "at_least": 0.85, **compared},
    ]


def _searches(client: QdrantClient, index: QdrantIndex) -> list[dict[str, Any]]:
    number = 100_000 if os.environ.get("FULL") else 10_000
    size = 768
    index.prepare(Collection("searched", size, Distance.EUCLID, quantized=True))
    centres = [[random.gauss(0, 1) for _ in range(size)] for _ in range(50)]

    def near() -> list[float]:
        centre = random.choice(centres)
        return [value + random.gauss(0, 0.2) for value in centre]

    for start in range(0, number, 500):
        tenant = _TENANTS[(start // 500) % len(_TENANTS)]
        points = [
            models.PointStruct(
                id=str(engine_id(tenant, "searched", start + each)),
                vector=near(),
                payload={"tenant_id": str(tenant), "_id": start + each},
            )
            for each in range(500)
        ]
        client.upsert("searched", points, wait=True)
    queries = [near() for _ in range(200)]
    tenant = _TENANTS[3]
    wanted = models.Filter(must=[models.FieldCondition(key="tenant_id", match=models.MatchValue(value=str(tenant)))])
    params = models.SearchParams(quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0))

    def raw(query: list[float]) -> set[Any]:
        found = client.query_points("searched", query, query_filter=wanted, limit=10, search_params=params)
        return {hit.payload["_id"] for hit in found.points if hit.payload}

    def ours(query: list[float], *, exact: bool = False) -> set[Any]:
        return {hit.id for hit in index.search(tenant, "searched", Search(query, 10, Filter(), exact=exact))}

    raw(queries[0])
    ours(queries[0])
    beneath, through = _percentile(raw, queries), _percentile(ours, queries)
    recall = statistics.mean(len(ours(each) & ours(each, exact=True)) / 10 for each in queries[:100])
    of = f"{number:,} x 768, one tenant of ten"
    return [
        {"measure": f"search p95, {of}", "value": through, "unit": "ms", "compared_with": "raw query",
         "compared_value": beneath, "runs": len(queries)},
        {"measure": "… more than the raw one", "value": through - beneath, "unit": "ms", "compared_with": "",
         "compared_value": None, "at_most": 3.0, "runs": len(queries)},
        {"measure": f"recall@10, {of}", "value": recall, "unit": "", "compared_with": "", "compared_value": None,
         "at_least": 0.95, "runs": 100},
    ]  # fmt: skip


def _seconds(work: Callable[[], None]) -> float:
    work()
    times = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _percentile(search: Callable[[list[float]], set[Any]], queries: list[list[float]]) -> float:
    times = []
    for query in queries:
        started = time.perf_counter()
        search(query)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.quantiles(times, n=20)[-1]
