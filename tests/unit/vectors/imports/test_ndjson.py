"""Tests for reading NDJSON point files that are split into parts at arbitrary bytes."""

import base64
import json
from array import array
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_sender.adapters.files import parse_json
from email_sender.errors import InvalidInput
from email_sender.vectors.imports.model import Format
from email_sender.vectors.imports.ndjson import NdjsonPoints, read_lines
from email_sender.vectors.imports.point_files import BadRow, Part, Row
from tests.fakes.vector_imports import SMALL, BulkImportScenario, point_file


def line(number: int, **changes: object) -> bytes:
    return json.dumps({"id": number, "vector": [number, 1, 2, 3], "payload": {"n": number}} | changes).encode()


def rows(content: bytes, part_bytes: int = 10_000, max_line: int = 1_000) -> list[Row | BadRow]:
    reader, file = NdjsonPoints(parse_json, part_bytes, max_line), point_file(content)
    return [row for part in reader.plan(file, SMALL) for row in reader.rows(file, part, SMALL)]


def rejection_detail(content: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        NdjsonPoints(parse_json).plan(point_file(content), SMALL)
    return caught.value.detail


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b" ")), max_size=12),
    st.booleans(),
    st.integers(1, 40),
)
def test_each_line_is_read_once_wherever_the_parts_are_cut(
    texts: list[bytes], ends_with_newline: bool, step: int
) -> None:
    content = b"\n".join(texts) + (b"\n" if ends_with_newline and texts else b"")
    file = point_file(content).vectors
    entries = [entry for at in range(0, len(content), step) for entry in read_lines(file, at, step)]
    expected_lines = content.split(b"\n")
    if expected_lines[-1] == b"":
        expected_lines.pop()
    assert [text for _, text in entries] == expected_lines
    assert [content[at : at + len(text or b"")] for at, text in entries] == expected_lines


@settings(deadline=None)
@given(st.integers(1, 400))
def test_each_point_keeps_its_id_wherever_the_parts_are_cut(step: int) -> None:
    content = b"\n".join(line(number, id=None) for number in range(7))
    rows_read = rows(content, step)
    assert [row.position for row in rows_read if isinstance(row, Row)] == [
        row.position for row in rows(content) if isinstance(row, Row)
    ]
    assert [row.payload["n"] for row in rows_read if isinstance(row, Row)] == list(range(7))


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(0, 3))
def test_an_overlong_line_is_one_bad_row_wherever_the_parts_are_cut(step: int, position: int) -> None:
    input_lines = [line(number) for number in range(3)]
    input_lines.insert(position, b'{"vector": "' + b"x" * 500 + b'"}')
    rows_read = rows(b"\n".join(input_lines) + b"\n", step, max_line=200)
    assert [isinstance(row, BadRow) for row in rows_read] == [number == position for number in range(4)]
    assert "longer than 200" in next(row.reason for row in rows_read if isinstance(row, BadRow))


def test_only_a_small_part_of_an_overlong_line_is_read() -> None:
    content = line(0) + b"\n" + b"x" * 5_000_000 + b"\n" + line(1)
    file = point_file(content)
    part = Part(0, 0, 100)
    rows_read = list(NdjsonPoints(parse_json, 100, 1_000).rows(file, part, SMALL))
    assert [type(row) for row in rows_read] == [Row, BadRow]
    assert file.vectors._uploads.read_bytes < 300_000  # type: ignore[attr-defined]  # the fake counts


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n\n  \n", "empty"),
        (b"\x1f\x8b\x08\x00rest", "gzip-compressed"),
        (b"\x28\xb5\x2f\xfdrest", "zstd-compressed"),
        (line(0).decode().encode("utf-16"), "UTF-16"),
        (line(0).decode().encode("utf-16-le"), "UTF-16"),
        (b"\x93NUMPY\x01\x00", "with the format npy"),
        (b"PAR1....PAR1", "with the format parquet"),
        (b"[" + line(0) + b"]", "one JSON array"),
        (b"id,vector\n1,2\n", "not NDJSON"),
        (json.dumps({"vector": [1, 2, 3]}).encode(), "small holds vectors of 4 dimensions, but this vector has 3"),
    ],
)
def test_an_unreadable_file_is_rejected_with_a_reason(content: bytes, words: str) -> None:
    assert words in rejection_detail(content)


@pytest.mark.parametrize(
    ("bad_line", "words"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"vector": [NaN, 1, 2, 3]}', "not JSON"),
        (line(1, vector=[1e39, 0, 0, 0]), "finite"),
        (line(1, vector=[1, 2, 3]), "this vector has 3"),
        (line(1, vector=["1", 2, 3, 4]), "list of numbers"),
        (line(1, vector=[[1], 2, 3, 4]), "list of numbers"),
        (line(1, vector="abc"), "list of numbers"),
        (line(1, vector=None), "exactly one"),
        (line(1, vector_b64="AAAA"), "exactly one"),
        (line(1, vector=None, vector_b64="*"), "base64"),
        (line(1, vector=None, vector_b64="AAAA"), "whole number"),
        (line(1, vector=None, vector_b64=base64.b64encode(array("f", [float("nan")] * 4)).decode()), "finite"),
        (line(1, id=-1), "An id must be"),
        (line(1, id=2**64), "An id must be"),
        (line(1, id=True), "An id must be"),
        (line(1, id="17"), "An id must be"),
        (line(1, id=1.5), "An id must be"),
        (line(1, payload=[1]), "JSON object"),
        (line(1, payload={"tenant_id": "x"}), "tenant_id is reserved"),
        (line(1, payload={"_id": 1}), "_id is reserved"),
        (line(1, extra=1), "Unknown key extra"),
    ],
)
def test_a_bad_row_is_reported_with_a_reason_and_does_not_stop_the_others(bad_line: bytes, words: str) -> None:
    rows_read = rows(line(0) + b"\n" + bad_line + b"\r\n" + line(2))
    assert [type(row) for row in rows_read] == [Row, BadRow, Row]
    assert isinstance(rows_read[1], BadRow)
    assert words in rows_read[1].reason


def test_an_import_reads_a_point_as_the_insert_endpoint_does() -> None:
    point_id = UUID(int=7)
    packed = base64.b64encode(array("f", [1, 2, 3, 4])).decode()
    (row,) = rows(b"\xef\xbb\xbf" + json.dumps({"id": str(point_id), "vector_b64": packed}).encode() + b"\r\n")
    assert row == Row(0, 0, point_id, array("f", [1, 2, 3, 4]), {})


def test_a_row_without_an_id_gets_an_id_from_the_import_and_its_offset() -> None:
    bulk = BulkImportScenario(line(0, id=None) + b"\n" + line(1, id=None), Format.NDJSON)
    bulk.run()
    assert set(bulk.index.points) == {uuid5(bulk.id, "0"), uuid5(bulk.id, str(len(line(0, id=None)) + 1))}


def test_planning_reads_only_the_beginning_of_the_file() -> None:
    bulk = BulkImportScenario(b"\n".join(line(number) for number in range(60_000)), Format.NDJSON)
    bulk.plan()
    assert bulk.uploads.read_bytes <= 1024 * 1024 < bulk.row.size_bytes
