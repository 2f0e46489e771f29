"""Benchmark the vectors function against the raw client on one engine, in turns so that both see the same load."""

import asyncio
import json
import os
import random
import statistics
import time
from array import array
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from qdrant_client import models

from benchmarks.vector_setup import COLLECTIONS, TENANT, VectorBench, discard_output, vector_bench
from email_sender.adapters.qdrant.queries import SEARCH_EF
from email_sender.vectors.model import Nearest, Search, engine_id
from local.database import TENANTS

_BATCH = 100
_RUNS = 15
_QUERIES = 300
_IN_FLIGHT = 20
_TENANTS = [TENANT, TENANTS[1].id, *(UUID(int=number + 1) for number in range(8))]


def measure(scratch: Path) -> list[dict[str, Any]]:
    with vector_bench(scratch) as bench:
        return [*_inserts(bench), *_searches(bench)]


def _inserts(bench: VectorBench) -> list[dict[str, Any]]:
    """Measure whole requests: decode, validate, write, record the event, respond. The raw client starts from lists."""
    size = COLLECTIONS["inserted"].size
    vectors = [[random.random() for _ in range(size)] for _ in range(_BATCH)]
    encoded = [b64encode(array("f", vector).tobytes()).decode() for vector in vectors]
    as_json = json.dumps({"collection": "inserted", "points": [{"vector": vector} for vector in vectors]}).encode()
    as_base64 = json.dumps({"collection": "inserted", "points": [{"vector_b64": text} for text in encoded]}).encode()

    def upsert_raw() -> None:
        points = [models.PointStruct(id=str(uuid4()), vector=vector, payload={}) for vector in vectors]
        bench.raw_client.upsert("inserted", points, wait=True)

    median_seconds = _in_turns(
        {
            "raw": upsert_raw,
            "json": lambda: bench.call("/api/v1/vectors/insert", as_json),
            "b64": lambda: bench.call("/api/v1/vectors/insert", as_base64),
        }
    )
    rate = {name: _BATCH / seconds for name, seconds in median_seconds.items()}
    size_label = f"{_BATCH} x {size:,}"
    common = {"unit": "vectors/s", "runs": _RUNS}
    against_raw = {**common, "compared_with": "raw upsert", "compared_value": rate["raw"]}
    return [
        {
            "measure": f"insert through the function, JSON, {size_label}",
            "value": rate["json"],
            "at_least": 0.85,
            **against_raw,
        },
        {"measure": f"… vector_b64, {size_label}", "value": rate["b64"], "at_least": 1.4, **against_raw},
        {
            "measure": f"… vector_b64, {size_label}",
            "value": rate["b64"],
            "at_least": 2.0,
            **common,
            "compared_with": "our JSON",
            "compared_value": rate["json"],
        },
    ]


def _searches(bench: VectorBench) -> list[dict[str, Any]]:
    number = int(os.environ.get("POINTS", "100000" if os.environ.get("FULL") else "10000"))
    centres = [[random.gauss(0, 1) for _ in range(COLLECTIONS["searched"].size)] for _ in range(50)]

    def random_query() -> list[float]:
        centre = random.choice(centres)
        return [value + random.gauss(0, 0.2) for value in centre]

    _fill(bench, number, random_query)
    # The second half is for the searches in flight: a repeated search would come from the cache.
    queries = [random_query() for _ in range(2 * _QUERIES + 2 * _IN_FLIGHT)]
    tenant = _TENANTS[3]
    tenant_filter = models.Filter(
        must=[models.FieldCondition(key="tenant_id", match=models.MatchValue(value=str(tenant)))]
    )
    params = models.SearchParams(
        hnsw_ef=SEARCH_EF, quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0)
    )
    bodies = [
        json.dumps({"collection": "searched", "vector_b64": b64encode(array("f", query).tobytes()).decode()}).encode()
        for query in queries
    ]

    def search_raw(index: int) -> None:
        bench.raw_client.query_points(
            "searched", queries[index], query_filter=tenant_filter, limit=10, search_params=params
        )

    def search_through_function(index: int) -> None:
        bench.call("/api/v1/vectors/search", bodies[index], tenant)

    for index in range(20):
        search_raw(index)
        search_through_function(index)
    raw_ms, function_ms = [], []
    for index in range(_QUERIES):
        raw_ms.append(_milliseconds(lambda: search_raw(index)))  # noqa: B023
        function_ms.append(_milliseconds(lambda: search_through_function(index)))  # noqa: B023
    raw_p95, p95 = statistics.quantiles(raw_ms, n=20)[-1], statistics.quantiles(function_ms, n=20)[-1]
    qps = 1000 / statistics.mean(function_ms), 1000 / statistics.mean(raw_ms)
    in_flight = {
        name: _rate_in_flight(search) for name, search in (("function", search_through_function), ("raw", search_raw))
    }
    size_label = f"{number:,} x 768, one tenant of ten"
    no_comparison = {"compared_with": "", "compared_value": None}
    return [
        {
            "measure": f"search through the function, p95, {size_label}",
            "value": p95,
            "unit": "ms",
            "at_most": 10.0,
            "runs": _QUERIES,
            **no_comparison,
        },
        {
            "measure": "… more than the raw client",
            "value": p95 - raw_p95,
            "unit": "ms",
            "at_most": 0.6,
            "runs": _QUERIES,
            **no_comparison,
        },
        {
            "measure": "… one after the other",
            "value": qps[0],
            "unit": "searches/s",
            "at_least": 0.95,
            "compared_with": "raw client",
            "compared_value": qps[1],
            "runs": _QUERIES,
        },
        {
            "measure": f"… {_IN_FLIGHT} in flight",
            "value": in_flight["function"],
            "unit": "searches/s",
            "at_least": 0.7,
            "compared_with": f"raw client, {_IN_FLIGHT} in flight",
            "compared_value": in_flight["raw"],
            "runs": _QUERIES,
        },
        {
            "measure": f"recall@10, {size_label}",
            "value": _recall(bench, queries[:100], tenant),
            "unit": "",
            "at_least": 0.95,
            "runs": 100,
            **no_comparison,
        },
        {
            "measure": f"memory of the engine, {size_label}",
            "value": bench.resident_mb(),
            "unit": "MB",
            "at_most": 1000.0,
            "runs": 1,
            **no_comparison,
        },
    ]


def _rate_in_flight(search: Callable[[int], None]) -> float:
    """Return the searches per second of one process that always has 20 of them in flight."""
    event_loops: list[asyncio.AbstractEventLoop] = []

    def open_event_loop() -> None:
        # Mangum runs each request in the event loop of its thread.
        event_loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(event_loops[-1])

    with discard_output(), ThreadPoolExecutor(_IN_FLIGHT, initializer=open_event_loop) as threads:
        list(threads.map(search, range(2 * _QUERIES, 2 * _QUERIES + 2 * _IN_FLIGHT)))
        started = time.perf_counter()
        list(threads.map(search, range(_QUERIES, 2 * _QUERIES)))
        seconds = time.perf_counter() - started
    for event_loop in event_loops:
        event_loop.close()
    return _QUERIES / seconds


def _fill(bench: VectorBench, number: int, random_vector: Callable[[], list[float]]) -> None:
    for start in range(0, number, 500):
        tenant = _TENANTS[(start // 500) % len(_TENANTS)]
        points = [
            models.PointStruct(
                id=str(engine_id(tenant, "searched", start + offset)),
                vector=random_vector(),
                payload={"tenant_id": str(tenant), "_id": start + offset},
            )
            for offset in range(500)
        ]
        bench.raw_client.upsert("searched", points, wait=True)
    bench.wait_until_indexed(COLLECTIONS["searched"])


def _recall(bench: VectorBench, queries: list[list[float]], tenant: UUID) -> float:
    """Compare with the engine's own exact search, which compares the query with every vector."""

    def search_ids(query: list[float], *, exact: bool) -> set[Any]:
        return {hit.id for hit in bench.index.search(tenant, "searched", Search(Nearest(query), exact=exact))}

    return statistics.mean(
        len(search_ids(query, exact=False) & search_ids(query, exact=True)) / 10 for query in queries
    )


def _in_turns(works: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Run the functions in turns. Return the median seconds of each by name."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for run in range(_RUNS + 2):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if run >= 2:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _milliseconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
