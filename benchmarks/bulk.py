"""Benchmark the bulk import worker, which reads a file part by part, against the raw client's upload."""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import numpy as np

from benchmarks.vector_setup import COLLECTIONS, TENANT, VectorBench, vector_bench
from email_sender.adapters.files import readers
from email_sender.adapters.postgres.imports import PostgresImportUnits
from email_sender.archive.mailbox_import import ImportSteps
from email_sender.kit.system_clock import new_id, now
from email_sender.vectors.imports.model import Format, Import, ImportKind, ImportStatus, ImportUnits
from email_sender.vectors.imports.point_files import BulkUnits, Part
from email_sender.vectors.imports.steps import BulkPlan, BulkWork
from email_sender.vectors.model import Collection

_NUMBER = 20_000
_RUNS = 3
_COLLECTION = COLLECTIONS["bulk"]
_RESTING = COLLECTIONS["resting"]


class LocalBucket:
    """A bucket as local files. The benchmark leaves out the latency of S3."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def upload_url(self, key: str, size: int, seconds: int) -> str:
        raise NotImplementedError("The benchmark uploads no files.")

    def read(
        self,
        key: str,
        version: str | None,  # noqa: ARG002  # a file has one version
        offset: int = 0,
        length: int | None = None,
    ) -> Iterable[bytes]:
        with (self._folder / key).open("rb") as file:
            file.seek(offset)
            yield file.read(-1 if length is None else length)

    def write(self, key: str, content: bytes) -> None:
        (self._folder / key).parent.mkdir(exist_ok=True)
        (self._folder / key).write_bytes(content)


def measure(scratch: Path) -> list[dict[str, Any]]:
    vectors = np.random.default_rng(7).normal(size=(_NUMBER, _COLLECTION.size)).astype("<f4")
    bucket = scratch / "bucket"
    bucket.mkdir()
    np.save(bucket / "file.npy", vectors)
    with (bucket / "file.ndjson").open("w") as file:
        for row in vectors:
            file.write(json.dumps({"vector": row.tolist()}) + "\n")
    with vector_bench(scratch) as bench:
        return _measure_imports(bench, vectors, LocalBucket(bucket), bucket)


def _measure_imports(bench: VectorBench, vectors: Any, files: LocalBucket, bucket: Path) -> list[dict[str, Any]]:
    def upload_raw() -> None:
        # The same points as the import: a payload holds the tenant and the client's own id.
        ids = [str(uuid4()) for _ in range(_NUMBER)]
        payloads = [{"tenant_id": str(TENANT), "_id": f"UUID:{point_id}"} for point_id in ids]
        bench.raw_client.upload_collection(_COLLECTION.name, vectors, payloads, ids, batch_size=500, wait=True)

    imports: dict[str, Callable[[], None]] = {
        "raw": upload_raw,
        "npy": lambda: run_import(bench, files, bucket / "file.npy", Format.NPY),
        "ndjson": lambda: run_import(bench, files, bucket / "file.ndjson", Format.NDJSON),
    }
    times: dict[str, list[float]] = {name: [] for name in imports}
    for _ in range(_RUNS):
        for name, work in imports.items():
            # Every upload starts with an empty collection.
            bench.recreate(_COLLECTION)
            started = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - started)
    rate = {name: _NUMBER / statistics.median(seconds) for name, seconds in times.items()}
    common = {
        "unit": "vectors/s",
        "runs": _RUNS,
        "compared_with": "raw client's upload",
        "compared_value": rate["raw"],
    }
    size_label = f"{_NUMBER:,} x {_COLLECTION.size}"
    return [
        {"measure": f"bulk import worker, npy, {size_label}", "value": rate["npy"], "at_least": 1.3, **common},
        {"measure": f"… NDJSON of JSON lists, {size_label}", "value": rate["ndjson"], "at_least": 0.9, **common},
    ]


def measure_memory(scratch: Path) -> list[dict[str, Any]]:
    """Measure the engine's resident memory after a bulk import, once its index is built."""
    number = 100_000 if os.environ.get("FULL") else 10_000
    bucket = scratch / "bucket"
    bucket.mkdir()
    vectors = np.random.default_rng(7).normal(size=(number, _RESTING.size)).astype("<f4")
    np.save(bucket / "file.npy", vectors)
    del vectors
    with vector_bench(scratch) as bench:
        run_import(bench, LocalBucket(bucket), bucket / "file.npy", Format.NPY, _RESTING)
        bench.wait_until_indexed(_RESTING)
        return [
            {"measure": f"memory of the engine at rest, {number:,} x {_RESTING.size:,}", "value": bench.resident_mb(),
             "unit": "MB", "at_most": 1000.0, "runs": 1, "compared_with": "", "compared_value": None},
        ]  # fmt: skip


def run_import(
    bench: VectorBench, files: LocalBucket, file: Path, kind: Format, collection: Collection = _COLLECTION
) -> None:
    """Import a file with one worker, part by part, with the import's rows in PostgreSQL."""
    collections, units = {collection.name: collection}, PostgresImportUnits(bench.database, None)
    import_id = new_id()
    with units(TENANT) as unit:
        row = Import(
            import_id, ImportStatus.PROCESSING, file.name, file.stat().st_size, file.name, "bench", now(),
            kind=ImportKind.VECTORS, collection=collection.name, format=kind,
        )  # fmt: skip
        unit.add(row)
        unit.commit()
    steps = ImportSteps(cast("ImportUnits", units), files, None, now, new_id)
    key = BulkPlan(cast("ImportUnits", units), files, files, collections, readers()).plan(TENANT, import_id)
    work = BulkWork(cast("BulkUnits", units), files, bench.writer, collections, readers(), steps)
    for part in json.loads(b"".join(files.read(key, None))):
        work.work(TENANT, import_id, Part(**part))
    finished_import = steps.finish(TENANT, import_id)
    if finished_import.failed or not finished_import.stored:
        raise RuntimeError(f"Only {finished_import.stored} of {finished_import.messages} rows were stored.")
