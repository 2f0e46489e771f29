"""The footer of a Parquet file: its row groups, and a rewritten footer that names only one of them.

The readers that are small enough for a Lambda layer can only read a file from its first row to its last. With a footer
that names one row group, the same data bytes form a file of that row group alone. This module parses just enough of
Thrift's compact protocol to find the list of row groups:
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md,
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (FileMetaData)
"""

from collections.abc import Iterator
from dataclasses import dataclass

from email_sender.errors import InvalidInput
from email_sender.vectors.imports.point_files import RangedFile

_MAGIC = b"PAR1"
_MAX_FOOTER = 64 * 1024 * 1024
_MAX_DEPTH = 32

# Type ids of Thrift's compact protocol.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_NUMBERS = (4, 5, 6)


@dataclass(frozen=True, slots=True)
class Footer:
    """`at` is the file offset of the footer. `row_groups` are (number of rows, bytes of the group in the footer)."""

    at: int
    row_groups: tuple[tuple[int, bytes], ...]
    _before_rows: bytes
    _between: bytes
    _after: bytes

    @classmethod
    def of(cls, file: RangedFile) -> "Footer":
        """Read the footer of a file. Raises InvalidInput if the file is not a complete Parquet file."""
        if file.read(0, 4) != _MAGIC:
            raise InvalidInput("The file is not Parquet.")
        end = file.read(max(0, file.size - 8), 8)
        if end[4:] == b"PARE":
            raise InvalidInput("The Parquet file is encrypted.")
        length = int.from_bytes(end[:4], "little")
        at = file.size - 8 - length
        if end[4:] != _MAGIC or at < 4 or length > _MAX_FOOTER:
            raise InvalidInput("The Parquet file is truncated: its footer is missing.")
        try:
            return _parse(at, file.read(at, length))
        except (IndexError, ValueError, RecursionError):
            raise InvalidInput("The Parquet file's footer cannot be read.") from None

    def for_row_group(self, number: int) -> bytes:
        """Return the bytes that follow the data in a file with only this row group."""
        rows, group = self.row_groups[number]
        footer = self._before_rows + _zigzag(rows) + self._between + bytes([0x10 | _STRUCT]) + group + self._after
        return footer + len(footer).to_bytes(4, "little") + _MAGIC


def _parse(at: int, data: bytes) -> Footer:
    cursor = _Cursor(data)
    rows: tuple[int, int] | None = None
    groups: tuple[int, int] | None = None
    row_groups: list[tuple[int, bytes]] = []
    for number, kind in cursor.fields():
        begin = cursor.at
        if number == 4 and kind == _LIST:
            for _ in range(cursor.list_size(_STRUCT)):
                start = cursor.at
                row_groups.append((_row_count(cursor), data[start : cursor.at]))
            groups = (begin, cursor.at)
        else:
            cursor.skip(kind)
            if number == 3:
                rows = (begin, cursor.at)
    if rows is None or groups is None or rows > groups:
        raise ValueError
    return Footer(at, tuple(row_groups), data[: rows[0]], data[rows[1] : groups[0]], data[groups[1] :])


def _row_count(cursor: "_Cursor") -> int:
    """Skip a RowGroup and return its number of rows (field 3)."""
    rows = 0
    for number, kind in cursor.fields():
        if number == 3 and kind in _NUMBERS:
            rows = cursor.zigzag()
        else:
            cursor.skip(kind)
    if rows < 0:
        raise ValueError
    return rows


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield (number, type) of each field of a struct. The caller must read or skip each value before the next."""
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self.zigzag()
            yield number, kind

    def list_size(self, expected_type: int) -> int:
        size, kind = self._list_header()
        if size and kind != expected_type:
            raise ValueError
        return size

    def zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def skip(self, kind: int, depth: int = 0) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError
        if kind in _NUMBERS:
            self._varint()
        elif kind == _BYTE:
            self._byte()
        elif kind == _DOUBLE:
            self._advance(8)
        elif kind == _BINARY:
            self._advance(self._varint())
        elif kind in (_LIST, _SET):
            size, inner = self._list_header()
            for _ in range(size):
                self._skip_element(inner, depth + 1)
        elif kind == _MAP:
            size = self._varint()
            types = self._byte() if size else 0
            for _ in range(size):
                self._skip_element(types >> 4, depth + 1)
                self._skip_element(types & 15, depth + 1)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind not in (_TRUE, _FALSE):
            raise ValueError

    def _skip_element(self, kind: int, depth: int) -> None:
        # A boolean field is encoded in its type; a boolean element is one byte.
        self.skip(_BYTE if kind in (_TRUE, _FALSE) else kind, depth)

    def _list_header(self) -> tuple[int, int]:
        head = self._byte()
        size = head >> 4
        return (self._varint() if size == 15 else size), head & 15

    def _byte(self) -> int:
        self._advance(1)
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError

    def _advance(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise ValueError


def _zigzag(value: int) -> bytes:
    value <<= 1
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
