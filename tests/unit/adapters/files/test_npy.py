"""Tests for reading npy arrays of vectors, with and without a payload file."""

import io
import json
from typing import Any
from uuid import uuid5

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_sender.adapters.files import parse_json
from email_sender.adapters.files.npy import NpyPoints
from email_sender.errors import InvalidInput
from email_sender.vectors.imports.model import Format
from email_sender.vectors.imports.point_files import BadRow, Row
from tests.fakes.vector_imports import SMALL, BulkImportScenario, point_file


def npy(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def numbered(count: int, dtype: str = "<f4") -> Any:
    return np.arange(count * 4).reshape(count, 4).astype(dtype)


def rows(content: bytes, payloads: bytes | None = None, part_bytes: int = 1_000) -> list[Row | BadRow]:
    reader, file = NpyPoints(parse_json, part_bytes), point_file(content, payloads)
    return [row for part in reader.plan(file, SMALL) for row in reader.rows(file, part, SMALL)]


def rejection_detail(content: bytes, payloads: bytes | None = None) -> str:
    with pytest.raises(InvalidInput) as caught:
        rows(content, payloads)
    return caught.value.detail


@settings(deadline=None)
@given(st.integers(1, 40), st.sampled_from(["<f2", "<f4", "<f8", ">f4", ">f8"]), st.integers(1, 300))
def test_each_row_is_read_once_wherever_the_parts_are_cut(count: int, dtype: str, part_bytes: int) -> None:
    rows_read = rows(npy(numbered(count, dtype)), None, part_bytes)
    assert [row.vector.tolist() for row in rows_read if isinstance(row, Row)] == numbered(count).tolist()
    assert [row.position for row in rows_read if isinstance(row, Row)] == list(range(count))


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=30), st.booleans(), st.integers(1, 200))
def test_payloads_stay_with_their_rows_wherever_the_parts_are_cut(
    lengths: list[int], ends_with_newline: bool, part_bytes: int
) -> None:
    payload_lines = [json.dumps({"id": at, "payload": {"x": "y" * size}}) for at, size in enumerate(lengths)]
    payloads = "\n".join(payload_lines).encode() + (b"\n" if ends_with_newline else b"")
    rows_read = rows(npy(numbered(len(lengths))), payloads, part_bytes)
    assert [(row.id, len(row.payload["x"])) for row in rows_read if isinstance(row, Row)] == list(enumerate(lengths))
    assert [row.vector[0] for row in rows_read if isinstance(row, Row)] == [4.0 * at for at in range(len(lengths))]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an npy array"),
        (b"PK\x03\x04 an npz", "not an npy array"),
        (npy(numbered(3))[:60], "header"),
        (npy(numbered(3))[:-1], "truncated"),
        (npy(numbered(3)) + b"\x00", "1 more"),
        (npy(numbered(3, "<i8")), "int64"),
        (npy(numbered(3).astype(complex)), "complex"),
        (npy(np.array([{}], dtype=object)), "object"),
        (npy(np.zeros(4, "<f4")), "1 dimensions"),
        (npy(np.zeros((2, 2, 4), "<f4")), "3 dimensions"),
        (npy(np.zeros((0, 4), "<f4")), "empty"),
        (npy(np.zeros((3, 5), "<f4")), "small holds vectors of 4 dimensions, but this array has 5"),
        (npy(np.asfortranarray(numbered(3))), "column order"),
    ],
)
def test_an_unreadable_array_is_rejected_with_a_reason(content: bytes, words: str) -> None:
    assert words in rejection_detail(content)


@pytest.mark.parametrize(
    ("payloads", "words"),
    [
        (b"{}\n{}\n", "has 2 lines"),
        (b"{}\n" * 4, "more lines"),
        (b"{}\n\n{}\n\n", "more lines"),
        (b"\x1f\x8b...", "gzip"),
        (b"{}\n" + b"x" * 1_100_000 + b"\n{}\n", "Line 2 of the payloads file is longer"),
    ],
)
def test_a_payload_file_that_does_not_match_the_array_is_rejected(payloads: bytes, words: str) -> None:
    assert words in rejection_detail(npy(numbered(3)), payloads)


def test_a_bad_row_does_not_stop_the_others() -> None:
    values = numbered(6, "<f8")
    values[1, 2], values[2, 0] = np.nan, 1e300
    payloads = b'{"id": 0}\n\n\n{"id": -1}\n{"id": 4, "vector": []}\n{"payload": {"_x": 1}}'
    rows_read = rows(npy(values), payloads)
    assert [type(row) for row in rows_read] == [Row, BadRow, BadRow, BadRow, BadRow, BadRow]
    reasons = [row.reason for row in rows_read if isinstance(row, BadRow)]
    for words, reason in zip(["finite", "finite", "An id", "Unknown key vector", "reserved"], reasons, strict=True):
        assert words in reason


def test_rows_without_ids_get_ids_from_the_import_and_the_row_number() -> None:
    bulk = BulkImportScenario(npy(numbered(3)), Format.NPY, b'{"payload": {"a": 1}}\n{"id": 9}\n{}\n')
    assert bulk.run().stored == 3
    assert list(bulk.index.points) == [uuid5(bulk.id, "0"), 9, uuid5(bulk.id, "2")]
    assert bulk.index.points[uuid5(bulk.id, "0")].payload == {"a": 1}
