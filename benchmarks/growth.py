"""`make bench-growth`: measure at 1, 10 and 100 times the data, and print how each measure grows.

The exponent is log(t100 / t1) / log(100): 0 means that the time stays the same, 1 that it grows as fast as the data.
With SMALLEST=10000, the default, there are up to 1,000,000 points, 10,000,000 events and 100,000 runs.
"""

import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import numpy as np
import psycopg
from qdrant_client import models
from rich.console import Console
from rich.table import Table

from benchmarks import events, steps
from benchmarks.bulk import LocalBucket, run_import
from benchmarks.vector_setup import TENANT, VectorBench, vector_bench
from email_sender.vectors.imports.model import Format
from email_sender.vectors.model import Collection, Distance, Nearest, Point, Search
from local.client import ApiClient
from local.cloud import LocalCloud
from local.layout import Layout

_SMALLEST = int(os.environ.get("SMALLEST", "10000"))
_FACTORS = (1, 10, 100)
_COLLECTION = Collection("grown", 256, Distance.COSINE, quantized=True)
_CALLS = 50


@dataclass
class Growth:
    """The times of one measure in milliseconds, at each factor, and of the same in the software below it."""

    measure: str
    milliseconds: list[float]
    compared_with: str = ""
    compared: Sequence[float] = ()


def measure_vectors(scratch: Path, report: Callable[[str], None]) -> list[Growth]:
    random = np.random.default_rng(7)
    growths = [
        Growth("bulk import of all points", [], "raw client's upload", []),
        Growth("insert of 100 points", [], "raw upsert", []),
        Growth("search, p50", [], "raw client", []),
    ]
    with vector_bench(scratch, _COLLECTION) as bench:
        for factor in _FACTORS:
            report(f"{_SMALLEST * factor:,} points")
            vectors = random.normal(size=(_SMALLEST * factor, _COLLECTION.size)).astype("<f4")
            for growth, pair in zip(growths, _measure_at(bench, vectors, scratch), strict=True):
                growth.milliseconds.append(pair[0])
                growth.compared = [*growth.compared, pair[1]]
    return growths


def _measure_at(bench: VectorBench, vectors: Any, scratch: Path) -> list[tuple[float, float]]:
    np.save(scratch / "file.npy", vectors)
    bench.recreate(_COLLECTION)
    raw_ms = _milliseconds(lambda: _upload_raw(bench, vectors))
    bench.recreate(_COLLECTION)
    import_ms = _milliseconds(
        lambda: run_import(bench, LocalBucket(scratch), scratch / "file.npy", Format.NPY, _COLLECTION)
    )
    bench.wait_until_indexed(_COLLECTION)
    batches = [vectors[:100] + np.float32(number) for number in range(_CALLS)]
    tenant_filter = models.Filter(
        must=[models.FieldCondition(key="tenant_id", match=models.MatchValue(value=str(TENANT)))]
    )
    params = models.SearchParams(quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0))
    return [
        (import_ms, raw_ms),
        _in_turns(
            lambda number: bench.writer.upsert(TENANT, "grown", [Point(uuid4(), row, {}) for row in batches[number]]),
            lambda number: bench.raw_client.upsert(
                "grown",
                [models.PointStruct(id=str(uuid4()), vector=row.tolist(), payload={}) for row in batches[number]],
                wait=True,
            ),
        ),
        _in_turns(
            lambda number: bench.index.search(TENANT, "grown", Search(Nearest(vectors[number].tolist()))),
            lambda number: bench.raw_client.query_points(
                "grown", vectors[number].tolist(), query_filter=tenant_filter, limit=10, search_params=params
            ),
        ),
    ]


def _upload_raw(bench: VectorBench, vectors: Any) -> None:
    ids = [str(uuid4()) for _ in range(len(vectors))]
    payloads = [{"tenant_id": str(TENANT), "_id": f"UUID:{point_id}"} for point_id in ids]
    bench.raw_client.upload_collection("grown", vectors, payloads, ids, batch_size=500, wait=True)


def measure_recorder(scratch: Path, report: Callable[[str], None]) -> list[Growth]:
    growth = Growth("recorder, a batch of 1,000 events", [], "COPY of the same rows", [])
    with events.recorder_bench(scratch) as bench:
        stored = 0
        for factor in _FACTORS:
            wanted = _SMALLEST * factor * 10
            report(f"{wanted:,} events")
            _generate(bench.owner, _EVENTS, wanted - stored)
            stored = wanted
            ours, copies = bench.run(_RECORDER_RUNS)
            growth.milliseconds.append(statistics.median(ours[1:]) * 1000)
            growth.compared = [*growth.compared, statistics.median(copies[1:]) * 1000]
    return [growth]


_RECORDER_RUNS = 8
_EVENTS: LiteralString = """
insert into events (id, type, payload, source, tenant_id, aggregate_id, sequence, occurred_at)
select gen_random_uuid(), 'vectors.inserted', '{"data": {"count": 1}}', 'email-sender.vectors', %(tenant)s, 'grown', n,
       now() - n * interval '100 milliseconds'
from generate_series(1, %(number)s) as n
"""
_WORKFLOW_RUNS: LiteralString = """
insert into runs (id, tenant_id, workflow_id, version, status, inputs, started_by, role, created_at, started_at,
                  finished_at)
select gen_random_uuid(), tenant_id, workflow_id, version, status, inputs, started_by, role,
       created_at - n * interval '1 second', started_at, finished_at
from (select * from runs where tenant_id = %(tenant)s and status = 'succeeded' limit 1) as run,
     generate_series(1, %(number)s) as n
"""


def measure_runs(scratch: Path, report: Callable[[str], None]) -> list[Growth]:
    growth = Growth("start of a run, through the API", [])
    with LocalCloud(Layout(scratch), lambda _line: None, steps.PORTS, limited=False) as cloud:
        cloud.start()
        client = steps.sign_in(cloud)
        workflow = steps.create_workflow(client, 1)
        for _ in range(5):
            steps.run(client, workflow)
        stored = 0
        with psycopg.connect(
            cloud.database_url, autocommit=True, options="-c search_path=email_sender,public"
        ) as owner:
            for factor in _FACTORS:
                wanted = _SMALLEST * factor // 10
                report(f"{wanted:,} runs")
                _generate(owner, _WORKFLOW_RUNS, wanted - stored)
                stored = wanted
                growth.milliseconds.append(
                    statistics.median(_milliseconds(lambda: _start(client, workflow)) for _ in range(_CALLS))
                )
        client.close()
    return [growth]


def _start(client: ApiClient, workflow: str) -> None:
    client.post(f"/workflows/{workflow}/execute", {"inputs": {}})


def _generate(owner: psycopg.Connection[Any], statement: LiteralString, number: int) -> None:
    """Insert generated rows, in steps that one transaction holds easily, and update the planner's statistics."""
    for start in range(0, number, 1_000_000):
        owner.execute(statement, {"tenant": TENANT, "number": min(1_000_000, number - start)})
    owner.execute("analyze")


def _in_turns(work: Callable[[int], object], compared: Callable[[int], object]) -> tuple[float, float]:
    pairs = [
        (_milliseconds(partial(work, number)), _milliseconds(partial(compared, number))) for number in range(_CALLS)
    ]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _exponent(milliseconds: Sequence[float]) -> str:
    if not milliseconds:
        return ""
    return f"{math.log(milliseconds[-1] / milliseconds[0]) / math.log(_FACTORS[-1]):.2f}"


def main() -> int:
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
    console = Console(width=150)
    growths: list[Growth] = []
    with tempfile.TemporaryDirectory() as folder:
        for measure in (measure_vectors, measure_recorder, measure_runs):
            scratch = Path(folder) / measure.__name__
            scratch.mkdir()
            with console.status(measure.__name__) as status:
                growths += measure(scratch, lambda line: status.update(f"Measuring with {line} …"))
    table = Table(
        "measure", *(f"{factor} times, ms" for factor in _FACTORS), "exponent", "compared with", "its exponent"
    )
    for growth in growths:
        times = (f"{one:,.3g}" if one < 1000 else f"{one:,.0f}" for one in growth.milliseconds)
        table.add_row(
            growth.measure, *times, _exponent(growth.milliseconds), growth.compared_with, _exponent(growth.compared)
        )
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
