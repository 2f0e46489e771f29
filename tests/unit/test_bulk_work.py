"""Parts of an import: done twice, killed anywhere, and what of it is counted."""

import json
from dataclasses import replace

import pytest

from email_sender.errors import InvalidInput, NotFound
from email_sender.vectors import bulk_work
from email_sender.vectors.bulk_model import MAX_LISTED_ERRORS, PART_BYTES, Part
from email_sender.vectors.import_model import Format, ImportStatus, Progress
from email_sender.vectors.model import Collection, Distance
from tests.fakes.bulk import Bulk


def lines(count: int, **changes: object) -> bytes:
    return b"".join(json.dumps({"vector": [number, 1, 2, 3]} | changes).encode() + b"\n" for number in range(count))


def parts_of(bulk: Bulk, count: int) -> list[Part]:
    """The same file in so many parts, wherever that cuts it."""
    step = -(-bulk.row.size_bytes // count)
    found = [Part(number, at, step) for number, at in enumerate(range(0, bulk.row.size_bytes, step))]
    bulk.store.imports[bulk.id] = replace(bulk.row, chunks=len(found))
    return found


def test_from_a_file_to_points() -> None:
    bulk = Bulk(lines(2_500, payload={"kind": "a"}), Format.NDJSON)
    assert bulk.run() == Progress(1, 2_500, 2_500, 0, 0)
    assert len(bulk.index.points) == 2_500
    assert bulk.row.status is ImportStatus.COMPLETED
    (event,) = bulk.store.events
    assert event.data == {
        "import_id": str(bulk.id), "messages": 2_500, "stored": 2_500, "duplicates": 0, "failed": 0,
    }  # fmt: skip


def test_a_part_done_twice_counts_once_and_is_not_read_again() -> None:
    bulk = Bulk(lines(100), Format.NDJSON)
    (part,) = bulk.plan()
    first = bulk.work(part)
    calls = bulk.index.calls
    assert bulk.work(part) == first
    assert bulk.index.calls == calls
    assert bulk.steps.finish(bulk.tenant, bulk.id).stored == 100


def test_two_workers_at_one_part_write_the_same_points_and_count_once() -> None:
    bulk = Bulk(lines(100), Format.NDJSON)
    (part,) = bulk.plan()
    bulk.work(part)
    points = dict(bulk.index.points)
    # The second began before the first was done.
    forgotten = bulk.store.chunks.copy()
    bulk.store.chunks.clear()
    bulk.work(part)
    bulk.store.chunks |= forgotten
    assert bulk.index.points == points
    assert bulk.steps.finish(bulk.tenant, bulk.id) == Progress(1, 100, 100, 0, 0)


def test_killed_between_the_points_and_the_mark_it_is_done_again_without_harm() -> None:
    bulk = Bulk(lines(50) + b"broken\n", Format.NDJSON)
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
def test_killed_at_any_batch_it_goes_on_without_harm(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_work, "_BATCH_POINTS", 10)
    bulk = Bulk(lines(50), Format.NDJSON)
    (part,) = bulk.plan()
    bulk.index.fails_at = batch
    with pytest.raises(RuntimeError, match="killed"):
        bulk.work(part)
    assert bulk.row.status is ImportStatus.PROCESSING
    assert bulk.run() == Progress(1, 50, 50, 0, 0)
    assert len(bulk.index.points) == 50


def test_a_part_of_an_import_that_ended_writes_nothing() -> None:
    bulk = Bulk(lines(5), Format.NDJSON)
    (part,) = bulk.plan()
    bulk.steps.fail(bulk.tenant, bulk.id, "somebody said so")
    assert bulk.work(part) == Progress()
    assert bulk.index.points == {}


def test_of_rows_with_one_id_in_a_part_the_last_stays() -> None:
    bulk = Bulk(lines(2_500, id=7), Format.NDJSON)
    assert bulk.run().stored == 2_500
    assert list(bulk.index.points) == [7]
    assert bulk.index.points[7].vector[0] == 2_499


def test_what_is_listed_of_bad_rows_is_bounded_and_all_are_counted() -> None:
    bulk = Bulk(b'{"vector": []}\n' + b"x\n" * 15_000, Format.NDJSON)
    parts = parts_of(bulk, 4)
    for part in parts:
        bulk.work(part)
    assert bulk.steps.finish(bulk.tenant, bulk.id) == Progress(4, 15_001, 0, 0, 15_001)
    assert len(bulk.store.refused) == MAX_LISTED_ERRORS


def test_a_batch_is_small_enough_for_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Collection("wide", 1_536, Distance.COSINE, quantized=False)
    content = (json.dumps({"vector": [0.5] * 1_536}) + "\n").encode() * 1_000
    bulk = Bulk(content, Format.NDJSON, collection=wide)
    assert bulk.run().stored == 1_000
    assert bulk.index.calls == 3


def test_a_file_that_cannot_be_taken_is_refused_at_the_plan() -> None:
    bulk = Bulk(b"PAR1 and no more", Format.PARQUET)
    with pytest.raises(InvalidInput, match="cut off"):
        bulk.plan()


def test_a_part_that_cannot_be_read_says_why_in_the_import() -> None:
    bulk = Bulk(lines(10), Format.NDJSON)
    (part,) = bulk.plan()
    bulk.uploads.files[bulk.row.object_key] = lines(5)
    with pytest.raises(InvalidInput, match="The file ends at byte"):
        bulk.work(part)
    assert bulk.row.status is ImportStatus.FAILED
    assert bulk.row.error is not None
    assert "The file ends at byte" in bulk.row.error


def test_a_collection_that_is_no_more_fails_the_import() -> None:
    bulk = Bulk(lines(10), Format.NDJSON)
    bulk.store.imports[bulk.id] = replace(bulk.row, collection="gone")
    with pytest.raises(InvalidInput, match="no collection gone"):
        bulk.plan()


def test_nobodys_import_is_not_found() -> None:
    bulk = Bulk(lines(1), Format.NDJSON)
    bulk.store.imports.clear()
    with pytest.raises(NotFound):
        bulk.work(Part(0, 0, 10))


def test_the_plan_twice_is_the_same_list() -> None:
    bulk = Bulk(b'{"vector": [1, 1, 1, 1]}\n' * 1_000_000, Format.NDJSON)
    first = bulk.plan()
    assert first == bulk.plan()
    assert len(first) == -(-bulk.row.size_bytes // PART_BYTES) == bulk.row.chunks
