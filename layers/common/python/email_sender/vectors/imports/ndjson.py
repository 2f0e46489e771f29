"""Points as lines of JSON: `{"id", "vector" | "vector_b64", "payload"}`. The file is split without reading it.

A part has the lines that begin within its bytes. Its reader skips the end of a line that began before the part, and
reads past the part to the end of its last line. So each line is read exactly once.
"""

from array import array
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from email_sender.errors import InvalidInput
from email_sender.vectors.imports.point_files import (
    MAX_LINE_BYTES,
    PART_BYTES,
    BadRow,
    Part,
    PointFile,
    RangedFile,
    Row,
    build_row,
)
from email_sender.vectors.model import Collection
from email_sender.vectors.validation import is_finite

_BOM = b"\xef\xbb\xbf"
_READ_AHEAD_BYTES = 256 * 1024
_KEYS = {"id", "vector", "vector_b64", "payload"}
_COMPRESSION_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_OTHER_FORMAT_MAGIC = {b"\x93NUMPY": "npy", b"PAR1": "parquet"}

# Parses the JSON of one line. Raises ValueError.
type Parse = Callable[[bytes], Any]


class NdjsonPoints:
    def __init__(self, parse: Parse, part_bytes: int = PART_BYTES, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._parse, self._part_bytes, self._max_line = parse, part_bytes, max_line_bytes

    def plan(self, file: PointFile, collection: Collection) -> Sequence[Part]:
        head = file.vectors.read(0, self._max_line)
        check_text(head)
        self._check_first_line(head, collection)
        size, step = file.vectors.size, self._part_bytes
        return [Part(number, at, min(step, size - at)) for number, at in enumerate(range(0, size, step))]

    def rows(self, file: PointFile, part: Part, collection: Collection) -> Iterator[Row | BadRow]:
        for number, (offset, line) in enumerate(read_lines(file.vectors, part.offset, part.length, self._max_line)):
            if line is None:
                yield BadRow(number, f"The line is longer than {self._max_line} bytes.")
            else:
                yield self._row(number, offset, line, collection)

    def _row(self, number: int, offset: int, line: bytes, collection: Collection) -> Row | BadRow:
        entry = parse_object(self._parse, line)
        if isinstance(entry, str):
            return BadRow(number, entry)
        if unknown := entry.keys() - _KEYS:
            return BadRow(
                number, f"Unknown key {min(unknown)[:100]}. A point may have id, vector or vector_b64, and payload."
            )
        vector = _parse_vector(entry, collection)
        if isinstance(vector, str):
            return BadRow(number, vector)
        return build_row(number, offset, entry.get("id"), vector, entry.get("payload"))

    def _check_first_line(self, head: bytes, collection: Collection) -> None:
        """Raises InvalidInput if the first vector has the wrong size, since every row would be rejected."""
        entry = parse_object(self._parse, head.removeprefix(_BOM).split(b"\n", 1)[0])
        if isinstance(entry, str):
            return
        vector = _parse_vector(entry, collection)
        if isinstance(vector, str) and vector.startswith(collection.name):
            raise InvalidInput(vector)


def read_lines(
    file: RangedFile, offset: int, length: int, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, bytes | None]]:
    """Yield (offset, line without its end) of the lines that begin in [offset, offset + length).

    The line is None if it is too long.
    """
    overlap = 1 if offset else 0
    start, end = offset - overlap, offset + length
    data = file.read(start, length + overlap)
    at = 0
    if overlap:
        at = data.find(b"\n") + 1
        if not at:
            return
    while start + at < min(end, file.size):
        stop = data.find(b"\n", at)
        if stop < 0:
            # This is the last line: it ends beyond this part, or with the file.
            yield start + at, _read_rest_of_line(file, data[at:], start + len(data), max_line_bytes)
            return
        line = data[at:stop]
        yield start + at, line if len(line) <= max_line_bytes else None
        at = stop + 1


def _read_rest_of_line(file: RangedFile, line_start: bytes, at: int, max_line_bytes: int) -> bytes | None:
    """Return the complete line that starts with `line_start`, or None if it is too long. `at` is the next offset.

    Memory is bounded: reading stops soon after `max_line_bytes`.
    """
    pieces, size = [line_start], len(line_start)
    while at < file.size and size <= max_line_bytes:
        block = file.read(at, _READ_AHEAD_BYTES)
        stop = block.find(b"\n")
        pieces.append(block if stop < 0 else block[:stop])
        size += len(pieces[-1])
        at += len(block)
        if stop >= 0:
            break
    return b"".join(pieces) if size <= max_line_bytes else None


def check_text(head: bytes) -> None:
    """Raises InvalidInput if these first bytes of a file are not NDJSON. The message says how to fix the file."""
    for magic, name in _COMPRESSION_MAGIC.items():
        if head.startswith(magic):
            raise InvalidInput(f"The file is {name}-compressed. Upload the uncompressed file.")
    for magic, name in _OTHER_FORMAT_MAGIC.items():
        if head.startswith(magic):
            raise InvalidInput(f"The file is not NDJSON. Create the import with the format {name}.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]:
        raise InvalidInput("The file is encoded as UTF-16 or UTF-32. Encode it as UTF-8.")
    text = head.removeprefix(_BOM).lstrip()
    if not text:
        raise InvalidInput("The file is empty.")
    if text.startswith(b"["):
        raise InvalidInput("The file is one JSON array. Write one JSON object per line.")
    if not text.startswith(b"{"):
        raise InvalidInput("The file is not NDJSON. Its first line does not begin with a JSON object.")


def parse_object(parse: Parse, line: bytes) -> dict[str, Any] | str:
    """Return the JSON object of a line, or an error message."""
    line = line.removeprefix(_BOM).strip()
    if not line:
        return "The line is empty."
    try:
        value = parse(line)
    except ValueError:
        return "The line is not JSON."
    return value if isinstance(value, dict) else "The line is not a JSON object."


def _parse_vector(entry: dict[str, Any], collection: Collection) -> "array[float] | str":
    numbers, encoded = entry.get("vector"), entry.get("vector_b64")
    if (numbers is None) == (encoded is None):
        return "A point must have exactly one of vector and vector_b64."
    vector = _vector_from_base64(encoded) if numbers is None else _vector_from_list(numbers)
    if isinstance(vector, str):
        return vector
    if len(vector) != collection.size:
        return f"{collection.name} holds vectors of {collection.size} dimensions, but this vector has {len(vector)}."
    return vector if is_finite(vector) else "All numbers of a vector must be finite as float32."


def _vector_from_list(numbers: object) -> "array[float] | str":
    if not isinstance(numbers, list):
        return "A vector must be a list of numbers."
    try:
        return array("f", numbers)
    except TypeError:
        return "A vector must be a list of numbers."
    except OverflowError:
        return "All numbers of a vector must be finite as float32."


def _vector_from_base64(encoded: object) -> "array[float] | str":
    try:
        raw = b64decode(encoded, validate=True) if isinstance(encoded, str) else None
    except ValueError:
        raw = None
    if raw is None:
        return "vector_b64 is not valid base64."
    return array("f", raw) if len(raw) % 4 == 0 else "The bytes of vector_b64 are not a whole number of float32 values."
