"""Arrays as numpy.save writes them, with ids and payloads in a second file or without.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.lib import format as npy

from email_sender.errors import InvalidInput
from email_sender.vectors.bulk_model import PART_BYTES, BadRow, Part, PointFile, RangedFile, Row, checked_row
from email_sender.vectors.bulk_ndjson import Parse, check_text
from email_sender.vectors.bulk_payloads import cut_with_payloads, payload_lines
from email_sender.vectors.model import Collection

_MAGIC = b"\x93NUMPY"
# Of version 1.0, which is all that an array of numbers needs: 10 bytes and a length of two.
_MAX_HEADER = 10 + 65_535
_TYPES = (np.dtype("f2"), np.dtype("f4"), np.dtype("f8"))


@dataclass(frozen=True, slots=True)
class _Header:
    rows: int
    columns: int
    dtype: "np.dtype[Any]"
    data_offset: int

    @property
    def row_bytes(self) -> int:
        return self.columns * self.dtype.itemsize


class NpyPoints:
    def __init__(self, parse: Parse, part_bytes: int = PART_BYTES) -> None:
        self._parse, self._part_bytes = parse, part_bytes

    def plan(self, file: PointFile, collection: Collection) -> Sequence[Part]:
        header = _header(file.vectors)
        if header.columns != collection.size:
            raise InvalidInput(
                f"{collection.name} holds vectors of {collection.size}; this array has {header.columns}."
            )
        expected = header.data_offset + header.rows * header.row_bytes
        if file.vectors.size < expected:
            raise InvalidInput(f"The array is cut off: {expected} bytes are missing {expected - file.vectors.size}.")
        if file.vectors.size > expected:
            raise InvalidInput(f"After the array's {expected} bytes there are {file.vectors.size - expected} more.")
        step = max(1, self._part_bytes // header.row_bytes)
        parts = [
            Part(number, header.data_offset + first * header.row_bytes, rows * header.row_bytes, first, rows)
            for number, first in enumerate(range(0, header.rows, step))
            for rows in [min(step, header.rows - first)]
        ]
        if file.payloads is None:
            return parts
        check_text(file.payloads.read(0, 4096))
        return list(cut_with_payloads(file.payloads.stream(), parts, self._part_bytes))

    def rows(self, file: PointFile, part: Part, collection: Collection) -> Iterator[Row | BadRow]:
        dtype = _header(file.vectors).dtype
        data = file.vectors.read(part.offset, part.length)
        block = np.frombuffer(data, dtype).reshape(part.rows, collection.size)
        with np.errstate(over="ignore", invalid="ignore"):
            block = block.astype("<f4", copy=False)
        finite = np.isfinite(block).all(axis=1).tolist()
        named = payload_lines(file.payloads, part, self._parse) if file.payloads else iter([{}] * part.rows)
        for number, (beside, fine) in enumerate(zip(named, finite, strict=True)):
            if isinstance(beside, BadRow):
                yield beside
            elif not fine:
                yield BadRow(number, "A vector's numbers are finite, as float32.")
            else:
                vector = array("f", block[number].tobytes())
                yield checked_row(number, part.first + number, beside.get("id"), vector, beside.get("payload"))


def _header(file: RangedFile) -> _Header:
    head = file.read(0, _MAX_HEADER)
    if not head.startswith(_MAGIC):
        raise InvalidInput("The file is not an npy array: numpy.save writes one (savez and pickles are none).")
    stream = BytesIO(head)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_column, dtype = read(stream)
    except ValueError:
        raise InvalidInput("The array's header cannot be read: is the file whole?") from None
    if dtype.newbyteorder("=") not in _TYPES:
        raise InvalidInput(f"The array is of {dtype}; float16, float32 and float64 are taken.")
    if len(shape) != 2:
        raise InvalidInput(f"The array has {len(shape)} dimensions; a row a vector makes two.")
    if by_column and min(shape) > 1:
        raise InvalidInput("The array is stored by column: save numpy.ascontiguousarray of it.")
    if not all(shape):
        raise InvalidInput("The array is empty.")
    return _Header(int(shape[0]), int(shape[1]), dtype, stream.tell())
