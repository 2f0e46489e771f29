"""Vectors: the function against the raw client, on one engine, taking turns so that both see the same load."""

import json
import os
import random
import statistics
import time
from array import array
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from qdrant_client import models

from benchmarks.stage import COLLECTIONS, TENANT, Stage, stage
from email_sender.vectors.model import Nearest, Search, engine_id
from local.database import TENANTS

_BATCH = 100
_RUNS = 15
_QUERIES = 300
_TENANTS = [TENANT, TENANTS[1].id, *(UUID(int=number + 1) for number in range(8))]


def measure(scratch: Path) -> list[dict[str, Any]]:
    with stage(scratch) as on:
        return [*_inserts(on), *_searches(on)]


def _inserts(on: Stage) -> list[dict[str, Any]]:
    """The whole way: body in, decoded, validated, written, told of, answered. The raw client starts from lists."""
    size = COLLECTIONS["inserted"].size
    vectors = [[random.random() for _ in range(size)] for _ in range(_BATCH)]
    encoded = [b64encode(array("f", each).tobytes()).decode() for each in vectors]
    as_json = json.dumps({"collection": "inserted", "points": [{"vector": each} for each in vectors]}).encode()
    as_base64 = json.dumps({"collection": "inserted", "points": [{"vector_b64": each} for each in encoded]}).encode()

    def raw() -> None:
        points = [models.PointStruct(id=str(uuid4()), vector=each, payload={}) for each in vectors]
        on.raw.upsert("inserted", points, wait=True)

    took = _in_turns(
        {
            "raw": raw,
            "json": lambda: on.call("/api/v1/vectors/insert", as_json),
            "b64": lambda: on.call("/api/v1/vectors/insert", as_base64),
        }
    )
    rate = {name: _BATCH / seconds for name, seconds in took.items()}
    of = f"{_BATCH} x {size:,}"
    common = {"unit": "vectors/s", "runs": _RUNS}
    against_raw = {**common, "compared_with": "raw upsert", "compared_value": rate["raw"]}
    return [
        {"measure": f"insert through the function, JSON, {of}", "value": rate["json"], "at_least": 0.6, **against_raw},
        {"measure": f"… vector_b64, {of}", "value": rate["b64"], "at_least": 0.85, **against_raw},
        {"measure": f"… vector_b64, {of}", "value": rate["b64"], "at_least": 2.0, **common,
         "compared_with": "our JSON", "compared_value": rate["json"]},
    ]  # fmt: skip


def _searches(on: Stage) -> list[dict[str, Any]]:
    number = int(os.environ.get("POINTS", "100000" if os.environ.get("FULL") else "10000"))
    centres = [[random.gauss(0, 1) for _ in range(COLLECTIONS["searched"].size)] for _ in range(50)]

    def near() -> list[float]:
        centre = random.choice(centres)
        return [value + random.gauss(0, 0.2) for value in centre]

    _fill(on, number, near)
    queries = [near() for _ in range(_QUERIES)]
    tenant = _TENANTS[3]
    wanted = models.Filter(must=[models.FieldCondition(key="tenant_id", match=models.MatchValue(value=str(tenant)))])
    params = models.SearchParams(quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0))
    bodies = [
        json.dumps({"collection": "searched", "vector_b64": b64encode(array("f", each).tobytes()).decode()}).encode()
        for each in queries
    ]

    def raw(place: int) -> None:
        on.raw.query_points("searched", queries[place], query_filter=wanted, limit=10, search_params=params)

    def ours(place: int) -> None:
        on.call("/api/v1/vectors/search", bodies[place], tenant)

    for place in range(20):
        raw(place)
        ours(place)
    beneath, through = [], []
    for place in range(_QUERIES):
        beneath.append(_milliseconds(lambda: raw(place)))  # noqa: B023
        through.append(_milliseconds(lambda: ours(place)))  # noqa: B023
    theirs, p95 = statistics.quantiles(beneath, n=20)[-1], statistics.quantiles(through, n=20)[-1]
    qps = 1000 / statistics.mean(through), 1000 / statistics.mean(beneath)
    of = f"{number:,} x 768, one tenant of ten"
    alone = {"compared_with": "", "compared_value": None}
    return [
        {"measure": f"search through the function, p95, {of}", "value": p95, "unit": "ms", "at_most": 10.0,
         "runs": _QUERIES, **alone},
        {"measure": "… more than the raw client", "value": p95 - theirs, "unit": "ms", "at_most": 3.0,
         "runs": _QUERIES, **alone},
        {"measure": "… one after the other", "value": qps[0], "unit": "searches/s", "at_least": 0.5,
         "compared_with": "raw client", "compared_value": qps[1], "runs": _QUERIES},
        {"measure": f"recall@10, {of}", "value": _recall(on, queries[:100], tenant), "unit": "", "at_least": 0.95,
         "runs": 100, **alone},
        {"measure": f"memory of the engine, {of}", "value": on.resident_mb(), "unit": "MB",
         "at_most": 1000.0, "runs": 1, **alone},
    ]  # fmt: skip


def _fill(on: Stage, number: int, near: Callable[[], list[float]]) -> None:
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
        on.raw.upsert("searched", points, wait=True)
    on.settle(COLLECTIONS["searched"])


def _recall(on: Stage, queries: list[list[float]], tenant: UUID) -> float:
    """Against the engine's own exact search, which compares with every vector."""

    def found(query: list[float], *, exact: bool) -> set[Any]:
        return {hit.id for hit in on.index.search(tenant, "searched", Search(Nearest(query), exact=exact))}

    return statistics.mean(len(found(each, exact=False) & found(each, exact=True)) / 10 for each in queries)


def _in_turns(works: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for run in range(_RUNS + 2):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if run >= 2:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in times.items()}


def _milliseconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
