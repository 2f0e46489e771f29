"""A bulk import's worker, reading a file part by part, against the raw client's upload of the same vectors."""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import numpy as np

from benchmarks.stage import COLLECTIONS, TENANT, Stage, stage
from email_sender.adapters.point_files import readers
from email_sender.adapters.postgres.imports import PostgresImportUnits
from email_sender.kit.ambient import new_id, now
from email_sender.vectors.bulk_model import BulkUnits, Part
from email_sender.vectors.bulk_work import BulkPlan, BulkWork
from email_sender.vectors.import_model import Format, Import, ImportKind, ImportStatus, ImportUnits
from email_sender.vectors.import_work import ImportSteps
from email_sender.vectors.model import Collection

_NUMBER = 20_000
_RUNS = 3
_COLLECTION = COLLECTIONS["bulk"]
_RESTING = COLLECTIONS["resting"]


class Files:
    """The bucket, as files: what S3 takes to answer is S3's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def upload_url(self, key: str, size: int, seconds: int) -> str:
        raise NotImplementedError("nothing is uploaded in a bench")

    def read(
        self,
        key: str,
        version: str | None,  # noqa: ARG002  # there is one
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
    with stage(scratch) as on:
        return _measured(on, vectors, Files(bucket), bucket)


def _measured(on: Stage, vectors: Any, files: Files, bucket: Path) -> list[dict[str, Any]]:
    def raw() -> None:
        # The same points: what is in a payload is the tenant and the client's own id.
        ids = [str(uuid4()) for _ in range(_NUMBER)]
        payloads = [{"tenant_id": str(TENANT), "_id": f"UUID:{each}"} for each in ids]
        on.raw.upload_collection(_COLLECTION.name, vectors, payloads, ids, batch_size=500, wait=True)

    works: dict[str, Callable[[], None]] = {
        "raw": raw,
        "npy": lambda: _import(on, files, bucket / "file.npy", Format.NPY),
        "ndjson": lambda: _import(on, files, bucket / "file.ndjson", Format.NDJSON),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(_RUNS):
        for name, work in works.items():
            # Each into an empty collection, as the first of them is.
            on.empty(_COLLECTION)
            started = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - started)
    rate = {name: _NUMBER / statistics.median(each) for name, each in times.items()}
    common = {
        "unit": "vectors/s",
        "runs": _RUNS,
        "compared_with": "raw client's upload",
        "compared_value": rate["raw"],
    }
    of = f"{_NUMBER:,} x {_COLLECTION.size}"
    return [
        {"measure": f"bulk import worker, npy, {of}", "value": rate["npy"], "at_least": 0.9, **common},
        {"measure": f"… NDJSON of JSON lists, {of}", "value": rate["ndjson"], **common},
    ]


def measure_memory(scratch: Path) -> list[dict[str, Any]]:
    """What the engine holds of 100,000 vectors that came through the bulk path, once its index is made."""
    number = 100_000 if os.environ.get("FULL") else 10_000
    bucket = scratch / "bucket"
    bucket.mkdir()
    made = np.random.default_rng(7).normal(size=(number, _RESTING.size)).astype("<f4")
    np.save(bucket / "file.npy", made)
    del made
    with stage(scratch) as on:
        _import(on, Files(bucket), bucket / "file.npy", Format.NPY, _RESTING)
        on.settle(_RESTING)
        return [
            {"measure": f"memory of the engine at rest, {number:,} x {_RESTING.size:,}", "value": on.resident_mb(),
             "unit": "MB", "at_most": 1000.0, "runs": 1, "compared_with": "", "compared_value": None},
        ]  # fmt: skip


def _import(on: Stage, files: Files, file: Path, kind: Format, collection: Collection = _COLLECTION) -> None:
    """One worker, one part after the other, with its rows in PostgreSQL."""
    known, units = {collection.name: collection}, PostgresImportUnits(on.database, None)
    import_id = new_id()
    with units(TENANT) as unit:
        row = Import(
            import_id, ImportStatus.PROCESSING, file.name, file.stat().st_size, file.name, "bench", now(),
            kind=ImportKind.VECTORS, collection=collection.name, format=kind,
        )  # fmt: skip
        unit.add(row)
        unit.commit()
    steps = ImportSteps(cast("ImportUnits", units), files, now, new_id)
    key = BulkPlan(cast("ImportUnits", units), files, files, known, readers()).plan(TENANT, import_id)
    work = BulkWork(cast("BulkUnits", units), files, on.gated, known, readers(), steps)
    for part in json.loads(b"".join(files.read(key, None))):
        work.work(TENANT, import_id, Part(**part))
    done = steps.finish(TENANT, import_id)
    if done.failed or not done.stored:
        raise RuntimeError(f"of {done.messages} rows {done.stored} were stored")
