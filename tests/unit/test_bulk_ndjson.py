"""Lines of JSON, cut anywhere."""

import base64
import json
from array import array
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_sender.adapters.point_files import parse_json
from email_sender.errors import InvalidInput
from email_sender.vectors.bulk_model import BadRow, Part, Row
from email_sender.vectors.bulk_ndjson import NdjsonPoints, lines
from email_sender.vectors.import_model import Format
from tests.fakes.bulk import SMALL, Bulk, point_file


def line(number: int, **changes: object) -> bytes:
    return json.dumps({"id": number, "vector": [number, 1, 2, 3], "payload": {"n": number}} | changes).encode()


def rows(content: bytes, part_bytes: int = 10_000, max_line: int = 1_000) -> list[Row | BadRow]:
    reader, file = NdjsonPoints(parse_json, part_bytes, max_line), point_file(content)
    return [row for part in reader.plan(file, SMALL) for row in reader.rows(file, part, SMALL)]


def refusal(content: bytes) -> str:
    with pytest.raises(InvalidInput) as refused:
        NdjsonPoints(parse_json).plan(point_file(content), SMALL)
    return refused.value.detail


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b" ")), max_size=12),
    st.booleans(),
    st.integers(1, 40),
)
def test_wherever_it_is_cut_each_line_is_read_once(texts: list[bytes], ended: bool, step: int) -> None:
    content = b"\n".join(texts) + (b"\n" if ended and texts else b"")
    file = point_file(content).vectors
    found = [each for at in range(0, len(content), step) for each in lines(file, at, step)]
    expected = content.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [text for _, text in found] == expected
    assert [content[at : at + len(text or b"")] for at, text in found] == expected


@settings(deadline=None)
@given(st.integers(1, 400))
def test_wherever_it_is_cut_each_point_is_read_once_under_the_same_id(step: int) -> None:
    content = b"\n".join(line(number, id=None) for number in range(7))
    found = rows(content, step)
    assert [row.place for row in found if isinstance(row, Row)] == [
        row.place for row in rows(content) if isinstance(row, Row)
    ]
    assert [row.payload["n"] for row in found if isinstance(row, Row)] == list(range(7))


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(0, 3))
def test_a_line_too_long_is_one_bad_row_wherever_it_is_cut(step: int, where: int) -> None:
    written = [line(number) for number in range(3)]
    written.insert(where, b'{"vector": "' + b"x" * 500 + b'"}')
    found = rows(b"\n".join(written) + b"\n", step, max_line=200)
    assert [isinstance(row, BadRow) for row in found] == [number == where for number in range(4)]
    assert "longer than 200" in next(row.reason for row in found if isinstance(row, BadRow))


def test_of_a_line_too_long_little_is_kept_and_read() -> None:
    content = line(0) + b"\n" + b"x" * 5_000_000 + b"\n" + line(1)
    file = point_file(content)
    part = Part(0, 0, 100)
    found = list(NdjsonPoints(parse_json, 100, 1_000).rows(file, part, SMALL))
    assert [type(row) for row in found] == [Row, BadRow]
    assert file.vectors._uploads.read_bytes < 300_000  # type: ignore[attr-defined]  # the fake counts


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n\n  \n", "empty"),
        (b"\x1f\x8b\x08\x00rest", "compressed (gzip)"),
        (b"\x28\xb5\x2f\xfdrest", "compressed (zstd)"),
        (line(0).decode().encode("utf-16"), "UTF-16"),
        (line(0).decode().encode("utf-16-le"), "UTF-16"),
        (b"\x93NUMPY\x01\x00", "announce it as npy"),
        (b"PAR1....PAR1", "announce it as parquet"),
        (b"[" + line(0) + b"]", "one JSON array"),
        (b"id,vector\n1,2\n", "not NDJSON"),
        (json.dumps({"vector": [1, 2, 3]}).encode(), "small holds vectors of 4; this has 3"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(content: bytes, words: str) -> None:
    assert words in refusal(content)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"vector": [NaN, 1, 2, 3]}', "not JSON"),
        (line(1, vector=[1e39, 0, 0, 0]), "finite"),
        (line(1, vector=[1, 2, 3]), "this has 3"),
        (line(1, vector=["1", 2, 3, 4]), "list of numbers"),
        (line(1, vector=[[1], 2, 3, 4]), "list of numbers"),
        (line(1, vector="abc"), "list of numbers"),
        (line(1, vector=None), "exactly one"),
        (line(1, vector_b64="AAAA"), "exactly one"),
        (line(1, vector=None, vector_b64="*"), "base64"),
        (line(1, vector=None, vector_b64="AAAA"), "whole number"),
        (line(1, vector=None, vector_b64=base64.b64encode(array("f", [float("nan")] * 4)).decode()), "finite"),
        (line(1, id=-1), "An id is"),
        (line(1, id=2**64), "An id is"),
        (line(1, id=True), "An id is"),
        (line(1, id="17"), "An id is"),
        (line(1, id=1.5), "An id is"),
        (line(1, payload=[1]), "JSON object"),
        (line(1, payload={"tenant_id": "x"}), "tenant_id is reserved"),
        (line(1, payload={"_id": 1}), "_id is reserved"),
        (line(1, extra=1), "no key extra"),
    ],
)
def test_a_bad_row_is_said_why_and_stops_none_of_the_others(bad: bytes, words: str) -> None:
    found = rows(line(0) + b"\n" + bad + b"\r\n" + line(2))
    assert [type(row) for row in found] == [Row, BadRow, Row]
    assert isinstance(found[1], BadRow)
    assert words in found[1].reason


def test_a_point_is_read_as_the_insert_reads_it() -> None:
    named = UUID(int=7)
    packed = base64.b64encode(array("f", [1, 2, 3, 4])).decode()
    (row,) = rows(b"\xef\xbb\xbf" + json.dumps({"id": str(named), "vector_b64": packed}).encode() + b"\r\n")
    assert row == Row(0, 0, named, array("f", [1, 2, 3, 4]), {})


def test_a_row_without_an_id_has_one_of_the_import_and_its_place() -> None:
    bulk = Bulk(line(0, id=None) + b"\n" + line(1, id=None), Format.NDJSON)
    bulk.run()
    assert set(bulk.index.points) == {uuid5(bulk.id, "0"), uuid5(bulk.id, str(len(line(0, id=None)) + 1))}


def test_the_plan_reads_the_beginning_alone() -> None:
    bulk = Bulk(b"\n".join(line(number) for number in range(60_000)), Format.NDJSON)
    bulk.plan()
    assert bulk.uploads.read_bytes <= 1024 * 1024 < bulk.row.size_bytes
