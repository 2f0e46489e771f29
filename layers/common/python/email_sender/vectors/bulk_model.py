"""Bulk imports of vectors: what a file of embeddings is made of, and what reads it."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from email_sender.errors import InvalidInput
from email_sender.vectors.import_model import Import, ImportUnit, Progress, Uploads
from email_sender.vectors.model import ClientId, Collection
from email_sender.vectors.validation import is_reserved

# A part is read into memory whole: this, a row beyond it, and the points of one batch are what a worker holds.
PART_BYTES = 16 * 1024 * 1024
# A distributed Map of Step Functions takes 10,000 items without a special word.
MAX_PARTS = 10_000
# A line of JSON with its payload. 4,096 floats in words have 90 KB.
MAX_LINE_BYTES = 1024 * 1024
# What is listed of an import's bad rows, shared evenly by its parts; all of them are counted.
MAX_LISTED_ERRORS = 10_000

_MAX_ID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Part:
    """What one worker does at a time.

    `offset` and `length` are bytes; of Parquet, `offset` is the row group. `first` is the number of its first row in
    the file (unknown and 0 in NDJSON, which is cut unread), `rows` how many there are. `payloads_offset` and
    `payloads_length` are the bytes of the same rows in the second file.
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
    """`number` counts the part's rows from 0; `place` is what a missing id is made of: the same at every reading."""

    number: int
    place: int
    id: ClientId | None
    vector: "array[float]"
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    number: int
    reason: str


class RangedFile:
    """An uploaded file of `size` bytes, pinned to one version, read in ranges."""

    def __init__(self, uploads: Uploads, key: str, version: str | None, size: int) -> None:
        self._uploads, self._key, self._version, self.size = uploads, key, version, size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length), less where the file ends before."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        data = b"".join(self._uploads.read(self._key, self._version, offset, length))
        if len(data) != length:
            raise InvalidInput(f"The file ends at byte {offset + len(data)}; {self.size} were announced.")
        return data

    def stream(self) -> Iterable[bytes]:
        return self._uploads.read(self._key, self._version)


@dataclass(frozen=True, slots=True)
class PointFile:
    vectors: RangedFile
    payloads: RangedFile | None = None

    @classmethod
    def of(cls, known: Import, uploads: Uploads) -> "PointFile":
        vectors = RangedFile(uploads, known.object_key, known.object_version, known.size_bytes)
        if known.payloads_bytes is None:
            return cls(vectors)
        return cls(vectors, RangedFile(uploads, known.payloads_key, known.payloads_version, known.payloads_bytes))


class PointReader(Protocol):
    """One format."""

    def plan(self, file: PointFile, collection: Collection) -> Sequence[Part]:
        """Cut the file, reading as little of it as its format allows.

        Raises:
            InvalidInput: a sentence that says why nothing of the file can be taken.
        """

    def rows(self, file: PointFile, part: Part, collection: Collection) -> Iterable[Row | BadRow]:
        """Every row of the part once, in order, with a vector of the collection's size whose numbers are finite.

        Raises:
            InvalidInput: the part cannot be read on.
        """


class BulkUnit(ImportUnit, Protocol):
    def chunk(self, import_id: UUID, ordinal: int) -> Progress | None:
        """What a chunk that is done has done."""


class BulkUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[BulkUnit]: ...


class PlanStore(Protocol):
    def write(self, key: str, content: bytes) -> None: ...


def checked_row(number: int, place: int, client_id: object, vector: "array[float]", payload: object) -> Row | BadRow:
    """A row whose vector is right; its id and payload are looked at here, alike for every format."""
    if client_id is not None:
        made = _client_id(client_id)
        if made is None:
            return BadRow(number, "An id is a UUID or an integer from 0 to 2^64 - 1.")
        client_id = made
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        return BadRow(number, "A payload is a JSON object.")
    for key in payload:
        if is_reserved(key):
            return BadRow(number, f"The payload's key {key[:100]} is reserved.")
    return Row(number, place, client_id, vector, payload)


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
