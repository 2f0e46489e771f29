"""Reader of npy arrays, as numpy.save writes them, with an optional payloads file of ids and payloads.

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
from email_sender.vectors.imports.ndjson import Parse, check_text
from email_sender.vectors.imports.payloads import payload_lines, split_with_payloads
from email_sender.vectors.imports.point_files import PART_BYTES, BadRow, Part, PointFile, RangedFile, Row, build_row
from email_sender.vectors.model import Collection

_MAGIC = b"\x93NUMPY"
# The header of version 1.0, the only version that an array of numbers needs: 10 bytes and at most 65,535 more.
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
        header = _read_header(file.vectors)
        if header.columns != collection.size:
            raise InvalidInput(
                f"{collection.name} holds vectors of {collection.size} dimensions, but this array has {header.columns} "
                "columns."
            )
        expected_size = header.data_offset + header.rows * header.row_bytes
        if file.vectors.size < expected_size:
            missing = expected_size - file.vectors.size
            raise InvalidInput(f"The array is truncated: {missing} of its {expected_size} bytes are missing.")
        if file.vectors.size > expected_size:
            extra = file.vectors.size - expected_size
            raise InvalidInput(f"The file has {extra} more bytes after the {expected_size} bytes of the array.")
        step = max(1, self._part_bytes // header.row_bytes)
        parts = [
            Part(number, header.data_offset + first * header.row_bytes, rows * header.row_bytes, first, rows)
            for number, first in enumerate(range(0, header.rows, step))
            for rows in [min(step, header.rows - first)]
        ]
        if file.payloads is None:
            return parts
        check_text(file.payloads.read(0, 4096))
        return list(split_with_payloads(file.payloads.stream(), parts, self._part_bytes))

    def rows(self, file: PointFile, part: Part, collection: Collection) -> Iterator[Row | BadRow]:
        dtype = _read_header(file.vectors).dtype
        data = file.vectors.read(part.offset, part.length)
        block = np.frombuffer(data, dtype).reshape(part.rows, collection.size)
        with np.errstate(over="ignore", invalid="ignore"):
            block = block.astype("<f4", copy=False)
        finite = np.isfinite(block).all(axis=1).tolist()
        entries = payload_lines(file.payloads, part, self._parse) if file.payloads else iter([{}] * part.rows)
        for number, (entry, is_finite) in enumerate(zip(entries, finite, strict=True)):
            if isinstance(entry, BadRow):
                yield entry
            elif not is_finite:
                yield BadRow(number, "All numbers of a vector must be finite as float32.")
            else:
                vector = array("f", block[number].tobytes())
                yield build_row(number, part.first + number, entry.get("id"), vector, entry.get("payload"))


def _read_header(file: RangedFile) -> _Header:
    head = file.read(0, _MAX_HEADER)
    if not head.startswith(_MAGIC):
        raise InvalidInput("The file is not an npy array. Write it with numpy.save, not with savez or pickle.")
    stream = BytesIO(head)
    try:
        version = npy.read_magic(stream)
        parse_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_column, dtype = parse_header(stream)
    except ValueError:
        raise InvalidInput("The header of the array cannot be read. Check that the file is complete.") from None
    if dtype.newbyteorder("=") not in _TYPES:
        raise InvalidInput(f"The array has the type {dtype}. Supported types are float16, float32 and float64.")
    if len(shape) != 2:
        raise InvalidInput(f"The array has {len(shape)} dimensions. It must have 2: one row per vector.")
    if by_column and min(shape) > 1:
        raise InvalidInput("The array is stored in column order. Save numpy.ascontiguousarray of it.")
    if not all(shape):
        raise InvalidInput("The array is empty.")
    return _Header(int(shape[0]), int(shape[1]), dtype, stream.tell())
