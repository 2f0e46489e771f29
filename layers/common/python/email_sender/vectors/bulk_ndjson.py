"""Points as lines of JSON, `{"id", "vector" | "vector_b64", "payload"}`, cut anywhere.

A part has the lines that begin in its bytes. Its reader passes over the end of a line that began before, and reads on
past its own end to that of its last line; so a file is cut by arithmetic alone, and each line is read once.
"""

import math
from array import array
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from email_sender.errors import InvalidInput
from email_sender.vectors.bulk_model import MAX_LINE_BYTES, PART_BYTES, BadRow, Part, PointFile, RangedFile, Row
from email_sender.vectors.bulk_model import checked_row as checked
from email_sender.vectors.model import Collection

_BOM = b"\xef\xbb\xbf"
_AHEAD = 256 * 1024
_KEYS = {"id", "vector", "vector_b64", "payload"}
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_OTHERS = {b"\x93NUMPY": "npy", b"PAR1": "parquet"}

# One line's bytes to what they mean. Raises ValueError.
type Parse = Callable[[bytes], Any]


class NdjsonPoints:
    def __init__(self, parse: Parse, part_bytes: int = PART_BYTES, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._parse, self._part_bytes, self._max_line = parse, part_bytes, max_line_bytes

    def plan(self, file: PointFile, collection: Collection) -> Sequence[Part]:
        head = file.vectors.read(0, self._max_line)
        check_text(head)
        self._check_first(head, collection)
        size, step = file.vectors.size, self._part_bytes
        return [Part(number, at, min(step, size - at)) for number, at in enumerate(range(0, size, step))]

    def rows(self, file: PointFile, part: Part, collection: Collection) -> Iterator[Row | BadRow]:
        for number, (offset, line) in enumerate(lines(file.vectors, part.offset, part.length, self._max_line)):
            if line is None:
                yield BadRow(number, f"The line is longer than {self._max_line} bytes.")
            else:
                yield self._row(number, offset, line, collection)

    def _row(self, number: int, place: int, line: bytes, collection: Collection) -> Row | BadRow:
        found = parsed_object(self._parse, line)
        if isinstance(found, str):
            return BadRow(number, found)
        if unknown := found.keys() - _KEYS:
            return BadRow(
                number, f"There is no key {min(unknown)[:100]}: a point has id, vector or vector_b64, payload."
            )
        vector = _vector(found, collection)
        if isinstance(vector, str):
            return BadRow(number, vector)
        return checked(number, place, found.get("id"), vector, found.get("payload"))

    def _check_first(self, head: bytes, collection: Collection) -> None:
        """A collection of another size would refuse each row: better said once."""
        found = parsed_object(self._parse, head.removeprefix(_BOM).split(b"\n", 1)[0])
        if isinstance(found, str):
            return
        vector = _vector(found, collection)
        if isinstance(vector, str) and vector.startswith(collection.name):
            raise InvalidInput(vector)


def lines(
    file: RangedFile, offset: int, length: int, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, bytes | None]]:
    """(offset, line without its end) of the lines that begin in [offset, offset + length); None for one too long."""
    before = 1 if offset else 0
    start, end = offset - before, offset + length
    data = file.read(start, length + before)
    at = 0
    if before:
        at = data.find(b"\n") + 1
        if not at:
            return
    while start + at < min(end, file.size):
        stop = data.find(b"\n", at)
        if stop < 0:
            # Only the last line: it ends beyond this part, or with the file.
            yield start + at, _finished(file, data[at:], start + len(data), max_line_bytes)
            return
        line = data[at:stop]
        yield start + at, line if len(line) <= max_line_bytes else None
        at = stop + 1


def _finished(file: RangedFile, begun: bytes, at: int, max_line_bytes: int) -> bytes | None:
    """The line that began as `begun`, whose next byte is at `at`. What is kept in memory is bounded."""
    pieces, size = [begun], len(begun)
    while at < file.size and size <= max_line_bytes:
        more = file.read(at, _AHEAD)
        stop = more.find(b"\n")
        pieces.append(more if stop < 0 else more[:stop])
        size += len(pieces[-1])
        at += len(more)
        if stop >= 0:
            break
    return b"".join(pieces) if size <= max_line_bytes else None


def check_text(head: bytes) -> None:
    """Raises InvalidInput for what is no NDJSON, in words for whoever sent it."""
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise InvalidInput(f"The file is compressed ({name}): send it as it is.")
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise InvalidInput(f"The file is not NDJSON: announce it as {name}.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]:
        raise InvalidInput("The file is UTF-16 or UTF-32: send UTF-8.")
    text = head.removeprefix(_BOM).lstrip()
    if not text:
        raise InvalidInput("The file is empty.")
    if text.startswith(b"["):
        raise InvalidInput("The file is one JSON array: write one object a line.")
    if not text.startswith(b"{"):
        raise InvalidInput("The file is not NDJSON: its first line does not begin an object.")


def parsed_object(parse: Parse, line: bytes) -> dict[str, Any] | str:
    """The line's object, or what is wrong with it."""
    line = line.removeprefix(_BOM).strip()
    if not line:
        return "The line is empty."
    try:
        found = parse(line)
    except ValueError:
        return "The line is not JSON."
    return found if isinstance(found, dict) else "The line is not a JSON object."


def _vector(found: dict[str, Any], collection: Collection) -> "array[float] | str":
    given, encoded = found.get("vector"), found.get("vector_b64")
    if (given is None) == (encoded is None):
        return "A point has exactly one of vector and vector_b64."
    vector = _decoded(encoded) if given is None else _from_list(given)
    if isinstance(vector, str):
        return vector
    if len(vector) != collection.size:
        return f"{collection.name} holds vectors of {collection.size}; this has {len(vector)}."
    # NaN and infinity survive a sum of doubles, and no sum of finite float32 overflows one.
    return vector if math.isfinite(sum(vector)) else "A vector's numbers are finite, as float32."


def _from_list(given: object) -> "array[float] | str":
    if not isinstance(given, list):
        return "A vector is a list of numbers."
    try:
        return array("f", given)
    except TypeError:
        return "A vector is a list of numbers."
    except OverflowError:
        return "A vector's numbers are finite, as float32."


def _decoded(encoded: object) -> "array[float] | str":
    try:
        raw = b64decode(encoded, validate=True) if isinstance(encoded, str) else None
    except ValueError:
        raw = None
    if raw is None:
        return "vector_b64 is not base64."
    return array("f", raw) if len(raw) % 4 == 0 else "vector_b64 is no whole number of float32."
