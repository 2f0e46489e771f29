"""Tests for the parts of a bulk import: repeated and killed workers, and the counts."""

import json
from dataclasses import replace

import pytest

from email_sender.errors import InvalidInput, NotFound
from email_sender.security.quotas import QuotaExceeded
from email_sender.vectors.imports import steps
from email_sender.vectors.imports.model import Format, ImportStatus, Progress
from email_sender.vectors.imports.point_files import MAX_LISTED_ERRORS, PART_BYTES, Part
from email_sender.vectors.model import Collection, Distance
from tests.fakes.vector_imports import BulkImportScenario


def lines(count: int, **changes: object) -> bytes:
    return b"".join(json.dumps({"vector": [number, 1, 2, 3]} | changes).encode() + b"\n" for number in range(count))


def parts_of(bulk: BulkImportScenario, count: int) -> list[Part]:
    """Split the file of `bulk` into `count` parts of the same size, wherever that cuts it."""
    step = -(-bulk.row.size_bytes // count)
    parts = [Part(number, at, step) for number, at in enumerate(range(0, bulk.row.size_bytes, step))]
    bulk.store.imports[bulk.id] = replace(bulk.row, chunks=len(parts))
    return parts


def test_an_import_stores_every_point_of_its_file() -> None:
    bulk = BulkImportScenario(lines(2_500, payload={"kind": "a"}), Format.NDJSON)
    assert bulk.run() == Progress(1, 2_500, 2_500, 0, 0)
    assert len(bulk.index.points) == 2_500
    assert bulk.row.status is ImportStatus.COMPLETED
    (event,) = bulk.store.events
    assert event.data == {
        "import_id": str(bulk.id), "messages": 2_500, "stored": 2_500, "duplicates": 0, "failed": 0,
    }  # fmt: skip


def test_a_repeated_part_counts_once_and_is_not_read_again() -> None:
    bulk = BulkImportScenario(lines(100), Format.NDJSON)
    (part,) = bulk.plan()
    first = bulk.work(part)
    calls = bulk.index.calls
    assert bulk.work(part) == first
    assert bulk.index.calls == calls
    assert bulk.steps.finish(bulk.tenant, bulk.id).stored == 100


def test_two_workers_on_one_part_write_the_same_points_and_count_once() -> None:
    bulk = BulkImportScenario(lines(100), Format.NDJSON)
    (part,) = bulk.plan()
    bulk.work(part)
    points = dict(bulk.index.points)
    # The second worker starts before the first one has recorded the part.
    recorded_chunks = bulk.store.chunks.copy()
    bulk.store.chunks.clear()
    bulk.work(part)
    bulk.store.chunks |= recorded_chunks
    assert bulk.index.points == points
    assert bulk.steps.finish(bulk.tenant, bulk.id) == Progress(1, 100, 100, 0, 0)


def test_a_part_killed_before_it_is_recorded_is_repeated_without_harm() -> None:
    bulk = BulkImportScenario(lines(50) + b"broken\n", Format.NDJSON)
    (part,) = bulk.plan()
    bulk.store.dies_at_commit = True
    with pytest.raises(RuntimeError, match="killed"):
        bulk.work(part)
    assert len(bulk.index.points) == 50
    assert bulk.store.chunks == {}
    before = dict(bulk.index.points)
    bulk.store.dies_at_commit = False
    assert bulk.work(part) == Progress(1, 51, 50, 0, 1)
    assert bulk.index.points == before
    assert bulk.reasons == [(50, "The line is not JSON.")]


@pytest.mark.parametrize("batch", range(1, 6))
def test_a_part_killed_at_any_batch_is_repeated_without_harm(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_BATCH_POINTS", 10)
    bulk = BulkImportScenario(lines(50), Format.NDJSON)
    (part,) = bulk.plan()
    bulk.index.fails_at = batch
    with pytest.raises(RuntimeError, match="killed"):
        bulk.work(part)
    assert bulk.row.status is ImportStatus.PROCESSING
    assert bulk.run() == Progress(1, 50, 50, 0, 0)
    assert len(bulk.index.points) == 50


def test_a_part_of_an_ended_import_writes_nothing() -> None:
    bulk = BulkImportScenario(lines(5), Format.NDJSON)
    (part,) = bulk.plan()
    bulk.steps.fail(bulk.tenant, bulk.id, "An operator failed the import.")
    assert bulk.work(part) == Progress()
    assert bulk.index.points == {}


def test_the_last_of_several_rows_with_the_same_id_wins() -> None:
    bulk = BulkImportScenario(lines(2_500, id=7), Format.NDJSON)
    assert bulk.run().stored == 2_500
    assert list(bulk.index.points) == [7]
    assert bulk.index.points[7].vector[0] == 2_499


def test_listed_bad_rows_are_limited_but_all_are_counted() -> None:
    bulk = BulkImportScenario(b'{"vector": []}\n' + b"x\n" * 15_000, Format.NDJSON)
    parts = parts_of(bulk, 4)
    for part in parts:
        bulk.work(part)
    assert bulk.steps.finish(bulk.tenant, bulk.id) == Progress(4, 15_001, 0, 0, 15_001)
    assert len(bulk.store.rejected_rows) == MAX_LISTED_ERRORS


def test_batches_are_small_enough_for_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Collection("wide", 1_536, Distance.COSINE, quantized=False)
    content = (json.dumps({"vector": [0.5] * 1_536}) + "\n").encode() * 1_000
    bulk = BulkImportScenario(content, Format.NDJSON, collection=wide)
    assert bulk.run().stored == 1_000
    assert bulk.index.calls == 3


def test_an_unreadable_file_is_rejected_when_the_import_is_planned() -> None:
    bulk = BulkImportScenario(b"PAR1 and no more", Format.PARQUET)
    with pytest.raises(InvalidInput, match="truncated"):
        bulk.plan()


def test_a_part_that_cannot_be_read_fails_the_import_with_the_reason() -> None:
    bulk = BulkImportScenario(lines(10), Format.NDJSON)
    (part,) = bulk.plan()
    bulk.uploads.files[bulk.row.object_key] = lines(5)
    with pytest.raises(InvalidInput, match="The file ends at byte"):
        bulk.work(part)
    assert bulk.row.status is ImportStatus.FAILED
    assert bulk.row.error is not None
    assert "The file ends at byte" in bulk.row.error


def test_an_import_into_a_missing_collection_fails() -> None:
    bulk = BulkImportScenario(lines(10), Format.NDJSON)
    bulk.store.imports[bulk.id] = replace(bulk.row, collection="gone")
    with pytest.raises(InvalidInput, match="The collection gone no longer exists"):
        bulk.plan()


def test_a_part_of_an_unknown_import_is_not_found() -> None:
    bulk = BulkImportScenario(lines(1), Format.NDJSON)
    bulk.store.imports.clear()
    with pytest.raises(NotFound):
        bulk.work(Part(0, 0, 10))


def test_planning_twice_returns_the_same_parts() -> None:
    bulk = BulkImportScenario(b'{"vector": [1, 1, 1, 1]}\n' * 1_000_000, Format.NDJSON)
    first = bulk.plan()
    assert first == bulk.plan()
    assert len(first) == -(-bulk.row.size_bytes // PART_BYTES) == bulk.row.chunks


def test_an_import_beyond_the_quota_ends_with_that_reason() -> None:
    bulk = BulkImportScenario(lines(3), Format.NDJSON)
    bulk.index.refusal = QuotaExceeded("The tenant may store 5 vectors.", 3600)
    (part,) = bulk.plan()
    with pytest.raises(InvalidInput):
        bulk.work(part)
    assert (bulk.row.status, bulk.row.error) == (ImportStatus.FAILED, "The tenant may store 5 vectors.")
