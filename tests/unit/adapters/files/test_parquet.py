"""Tests for reading Parquet files one row group at a time."""

import io
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid5

import arro3.core as arrow
import arro3.io as arrow_io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_sender.adapters.files.parquet import ParquetPoints
from email_sender.adapters.files.parquet_footer import Footer
from email_sender.errors import InvalidInput, Unavailable
from email_sender.vectors.imports.model import Format
from email_sender.vectors.imports.point_files import BadRow, Row
from tests.fakes.vector_imports import SMALL, BulkImportScenario, MemoryUploads, point_file

TYPES = arrow.DataType
KINDS = ("float32", "float64", "float16", "large", "fixed")


def lists(values: Sequence[Sequence[float | None] | None], kind: str = "float32") -> arrow.Array:
    """Build a column of lists of one of KINDS; None stands for a null row or a null number."""
    flat = [number for row in values for number in (row or ([0.0] * 4 if kind == "fixed" else []))]
    numbers = arrow.Array(flat, TYPES.float64() if kind == "float64" else TYPES.float32())
    if kind == "float16":
        numbers = arrow.Array.from_numpy(np.array(flat, np.float16))
    mask = arrow.Array([row is None for row in values], TYPES.bool())
    if kind == "fixed":
        return arrow.fixed_size_list_array(numbers, len(flat) // max(1, len(values)), mask=mask)
    ends = np.cumsum([0, *(len(row or []) for row in values)])
    offsets = arrow.Array.from_numpy(ends.astype(np.int64 if kind == "large" else np.int32))
    return arrow.list_array(offsets, numbers, mask=mask)


def vectors(count: int, kind: str = "float32") -> arrow.Array:
    return lists([[float(number), 1.0, 2.0, 3.0] for number in range(count)], kind)


def parquet(group: int = 1_000_000, compression: str = "zstd(1)", **columns: arrow.Array) -> bytes:
    table = arrow.Table.from_arrays(list(columns.values()), names=list(columns))
    stream = io.BytesIO()
    arrow_io.write_parquet(table, stream, max_row_group_size=group, compression=compression)
    return stream.getvalue()


def numbered(count: int, group: int = 1_000_000) -> bytes:
    return parquet(group, id=arrow.Array(list(range(count)), TYPES.int64()), vector=vectors(count))


def rows(content: bytes) -> list[Row | BadRow]:
    reader, file = ParquetPoints(), point_file(content)
    return [row for part in reader.plan(file, SMALL) for row in reader.rows(file, part, SMALL)]


def rejection_detail(content: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        rows(content)
    return caught.value.detail


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 20))
def test_each_row_is_read_once_for_any_row_group_size(count: int, group: int) -> None:
    content = numbered(count, group)
    assert len(Footer.of(point_file(content).vectors).row_groups) == -(-count // group)
    rows_read = [row for row in rows(content) if isinstance(row, Row)]
    assert [row.id for row in rows_read] == list(range(count))
    assert [row.position for row in rows_read] == list(range(count))
    assert [row.vector for row in rows_read] == [array("f", [number, 1, 2, 3]) for number in range(count)]


@pytest.mark.parametrize("compression", ["uncompressed", "snappy", "gzip(6)", "zstd(3)", "lz4_raw", "brotli(3)"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_float_list_is_read_as_a_vector(kind: str, compression: str) -> None:
    rows_read = rows(parquet(2, compression, vector=vectors(5, kind)))
    assert [row.vector.tolist() for row in rows_read if isinstance(row, Row)] == [[n, 1, 2, 3] for n in range(5)]


def test_other_columns_become_the_payload() -> None:
    when = np.datetime64("2026-11-21T05:00:00")
    content = parquet(
        id=arrow.Array([str(UUID(int=5)), None], TYPES.string()),
        vector=vectors(2),
        name=arrow.Array(["Ada", None], TYPES.string()),
        score=arrow.Array([0.5, 1.5], TYPES.float64()),
        at=arrow.Array.from_numpy(np.array([when, when], "datetime64[us]")),
        tags=arrow.list_array(arrow.Array([0, 2, 2], TYPES.int32()), arrow.Array(["a", "b"], TYPES.string())),
        good=arrow.Array([True, False], TYPES.bool()),
    )
    first, second = rows(content)
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.id, second.id) == (UUID(int=5), None)
    assert first.payload == {"name": "Ada", "score": 0.5, "at": "2026-11-21T05:00:00", "tags": ["a", "b"], "good": True}
    assert "name" not in second.payload


def test_the_row_index_of_a_data_frame_is_no_payload() -> None:
    """pandas and Dask write it as a column with a reserved name; a named index is an ordinary column."""
    numbers = arrow.Array([0, 1], TYPES.int64())
    content = parquet(vector=vectors(2), shelf=numbers, __index_level_0__=numbers, __null_dask_index__=numbers)
    assert [row.payload for row in rows(content) if isinstance(row, Row)] == [{"shelf": 0}, {"shelf": 1}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not Parquet"),
        (b"PAR1", "truncated"),
        (numbered(3)[:-1], "truncated"),
        (numbered(3)[:-4] + b"PARE", "encrypted"),
        (numbered(3)[:-8] + b"\xff\xff\xff\x7fPAR1", "truncated"),
        (numbered(3)[:-8] + b"\x05\x00\x00\x00PAR1", "footer cannot be read"),
        (parquet(id=arrow.Array([1], TYPES.int64())), "no column named vector"),
        (parquet(vector=arrow.Array([1.0], TYPES.float32())), "must be a list of floats"),
        (
            parquet(vector=arrow.list_array(arrow.Array([0, 1], TYPES.int32()), arrow.Array([1], TYPES.int64()))),
            "must be a list of floats",
        ),
        (parquet(vector=lists([[1.0] * 5], "fixed")), "holds vectors of 4 dimensions, but this vector has 5"),
        (parquet(vector=vectors(1), _id=arrow.Array([1], TYPES.int64())), "is reserved"),
        (parquet(vector=vectors(1), tenant_id=arrow.Array(["x"], TYPES.string())), "is reserved"),
        (parquet(vector=lists([])), "empty"),
        (parquet(vector=vectors(1), raw=arrow.Array([b"x"], TYPES.binary())), "column raw has the type <Binary>"),
    ],
)
def test_an_unreadable_file_is_rejected_with_a_reason(content: bytes, words: str) -> None:
    assert words in rejection_detail(content)


def test_a_corrupt_page_fails_its_row_group_with_a_reason() -> None:
    content = bytearray(numbered(500, 100))
    content[40:1_000] = b"\xff" * 960
    assert "cannot be read" in rejection_detail(bytes(content))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_footer_is_read_or_rejected(noise: bytes) -> None:
    content = b"PAR1" + noise + len(noise).to_bytes(4, "little") + b"PAR1"
    with suppress(InvalidInput):
        rows(content)


# The same damage in every run: the native reader can abort the whole process on some damaged files.
@settings(deadline=None, derandomize=True)
@given(st.data())
def test_a_damaged_file_is_read_or_rejected(data: st.DataObject) -> None:
    content = bytearray(numbered(20, 7))
    at = data.draw(st.integers(4, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    with suppress(InvalidInput):
        rows(bytes(content))


def test_a_footer_with_a_negative_row_count_is_rejected() -> None:
    row_group = bytes([0x19, 0x0C, 0x16, 0x00, 0x16, 0x0F, 0x00])  # no columns, 0 bytes, -8 rows
    footer = bytes([0x15, 0x04, 0x19, 0x0C, 0x16, 0x0E, 0x19, 0x1C]) + row_group + b"\x00"
    content = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    assert rejection_detail(content) == "The Parquet file's footer cannot be read."


def test_a_bad_row_does_not_stop_the_others() -> None:
    content = parquet(
        id=arrow.Array([0, 1, -2, 3, 4, 5], TYPES.int64()),
        vector=lists([[1.0] * 4, [1.0] * 3, [1.0] * 4, [1.0, float("nan"), 1.0, 1.0], [1.0] * 4, [1.0] * 4]),
        score=arrow.Array([0.0, 0.0, 0.0, 0.0, float("inf"), 1.0], TYPES.float64()),
    )
    rows_read = rows(content)
    assert [type(row) for row in rows_read] == [Row, BadRow, BadRow, BadRow, BadRow, Row]
    reasons = [row.reason for row in rows_read if isinstance(row, BadRow)]
    for words, reason in zip(["this vector has 3", "An id", "finite", "NaN or infinite"], reasons, strict=True):
        assert words in reason


@pytest.mark.parametrize("kind", ["float32", "float64", "large", "fixed"])
def test_a_null_is_a_bad_row(kind: str) -> None:
    rows_read = rows(parquet(vector=lists([[1.0] * 4, None, [1.0, None, 1.0, 1.0], [2.0] * 4], kind)))
    assert [type(row) for row in rows_read] == [Row, BadRow, BadRow, Row]


def test_an_unresponsive_bucket_is_not_reported_as_a_broken_file() -> None:
    class UnresponsiveUploads(MemoryUploads):
        def read(self, *_: Any, **__: Any) -> Any:
            raise Unavailable("The bucket did not answer.")

    file = point_file(numbered(3))
    reader = ParquetPoints()
    (part,) = reader.plan(file, SMALL)
    footer = Footer.of(file.vectors)
    assert footer.row_groups
    row_iterator = reader.rows(file, part, SMALL)
    next(row_iterator)
    file.vectors._uploads = UnresponsiveUploads()
    with pytest.raises(Unavailable):
        list(reader.rows(file, part, SMALL))


def test_a_row_group_is_read_without_the_others() -> None:
    count = 40_000
    random = np.random.default_rng(7).standard_normal(count * 4, dtype=np.float32)
    column = arrow.fixed_size_list_array(arrow.Array.from_numpy(random), 4)
    bulk = BulkImportScenario(parquet(1_000, "uncompressed", vector=column), Format.PARQUET)
    parts = bulk.plan()
    assert len(parts) == 40
    assert bulk.work(parts[3]).stored == 1_000
    assert set(bulk.index.points) == {uuid5(bulk.id, str(number)) for number in range(3_000, 4_000)}
