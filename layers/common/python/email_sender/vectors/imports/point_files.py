"""Bulk imports of vectors: the model of an uploaded file of embeddings, and the port of its readers."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from email_sender.errors import InvalidInput
from email_sender.vectors.imports.model import Import, ImportUnit, Progress, Uploads
from email_sender.vectors.model import ClientId, Collection
from email_sender.vectors.validation import is_reserved

# A worker reads a part into memory at once. It also holds the row that ends beyond the part, and one batch of points.
PART_BYTES = 16 * 1024 * 1024
# The default limit of items in a distributed Map of Step Functions.
MAX_PARTS = 10_000
# One JSON line with its payload. 4,096 floats as text take about 90 KB.
MAX_LINE_BYTES = 1024 * 1024
# How many bad rows of an import are listed, shared equally among its parts. All bad rows are counted.
MAX_LISTED_ERRORS = 10_000

_MAX_ID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Part:
    """The unit of work of one worker.

    `offset` and `length` are bytes; for Parquet, `offset` is the number of the row group. `first` is the number of the
    part's first row in the file, and `rows` the number of its rows; both are unknown and 0 for NDJSON.
    `payloads_offset` and `payloads_length` are the bytes of the same rows in the payloads file.
    """

    ordinal: int
    offset: int
    length: int
    first: int = 0
    rows: int = 0
    payloads_offset: int = 0
    payloads_length: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A valid row. `number` counts the rows of the part from 0. A missing id is derived from `position`.

    `position` is the same each time the file is read.
    """

    number: int
    position: int
    id: ClientId | None
    vector: "array[float]"
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be imported. `number` counts the rows of the part from 0."""

    number: int
    reason: str


class RangedFile:
    """An uploaded file of `size` bytes, pinned to one object version and read in ranges."""

    def __init__(self, uploads: Uploads, key: str, version: str | None, size: int) -> None:
        self._uploads, self._key, self._version, self.size = uploads, key, version, size

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes [offset, offset + length), or fewer at the end of the file.

        Raises:
            InvalidInput: the object is shorter than `size`.
        """
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        data = b"".join(self._uploads.read(self._key, self._version, offset, length))
        if len(data) != length:
            raise InvalidInput(
                f"The file ends at byte {offset + len(data)}, but {self.size} bytes were announced. Upload it again."
            )
        return data

    def stream(self) -> Iterable[bytes]:
        return self._uploads.read(self._key, self._version)


@dataclass(frozen=True, slots=True)
class PointFile:
    """The file of vectors, and the payloads file if the import has one."""

    vectors: RangedFile
    payloads: RangedFile | None = None

    @classmethod
    def for_import(cls, import_record: Import, uploads: Uploads) -> "PointFile":
        vectors = RangedFile(uploads, import_record.object_key, import_record.object_version, import_record.size_bytes)
        if import_record.payloads_bytes is None:
            return cls(vectors)
        return cls(
            vectors,
            RangedFile(
                uploads, import_record.payloads_key, import_record.payloads_version, import_record.payloads_bytes
            ),
        )


class PointReader(Protocol):
    """Reads one file format."""

    def plan(self, file: PointFile, collection: Collection) -> Sequence[Part]:
        """Split the file into parts, reading as little of it as the format allows.

        Raises:
            InvalidInput: the file cannot be imported. The message says why.
        """

    def rows(self, file: PointFile, part: Part, collection: Collection) -> Iterable[Row | BadRow]:
        """Yield each row of the part once, in order. Vectors have the collection's size and only finite numbers.

        Raises:
            InvalidInput: the rest of the part cannot be read.
        """


class BulkUnit(ImportUnit, Protocol):
    def chunk(self, import_id: UUID, ordinal: int) -> Progress | None:
        """Return the progress of a finished part, or None if the part is not finished."""


class BulkUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[BulkUnit]: ...


class PlanStore(Protocol):
    def write(self, key: str, content: bytes) -> None: ...


def build_row(number: int, position: int, client_id: object, vector: "array[float]", payload: object) -> Row | BadRow:
    """Return a row for a valid vector, or a BadRow if the id or the payload is invalid. Used by all formats."""
    if client_id is not None:
        parsed_id = _client_id(client_id)
        if parsed_id is None:
            return BadRow(number, "An id must be a UUID or an integer from 0 to 2^64 - 1.")
        client_id = parsed_id
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        return BadRow(number, "A payload must be a JSON object.")
    for key in payload:
        if is_reserved(key):
            return BadRow(number, f"The payload key {key[:100]} is reserved.")
    return Row(number, position, client_id, vector, payload)


def _client_id(value: object) -> ClientId | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= _MAX_ID else None
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None
