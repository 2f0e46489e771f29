"""The HTTP contract of vectors: points, collections, imports."""

import binascii
from array import array
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID, uuid5

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)

from email_sender.vectors.import_model import Format, Import, ImportKind, Progress, Refused
from email_sender.vectors.imports import VectorFile
from email_sender.vectors.model import MAX_POINTS, ClientId
from email_sender.vectors.service import CollectionInfo
from email_sender.vectors.validation import NewPoint

_MAX_TEXT = 100_000
_MAX_SIZE = 65_536

Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
FileName = Annotated[str, Field(min_length=1, max_length=255)]
FileSize = Annotated[int, Field(ge=1)]


def _client_id(value: object) -> ClientId:
    """One answer to a wrong id, where a union would give one a member, each with a pointer of its own."""
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64):
        return value
    with suppress(ValueError):
        if isinstance(value, str):
            return UUID(value)
    raise ValueError("A point's id is a UUID or an unsigned 64-bit integer.")


ClientIdIn = Annotated[
    UUID | int,
    PlainValidator(_client_id),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "uuid"}, {"type": "integer", "minimum": 0}]}),
]


def _floats(value: object) -> array[float]:
    """A JSON list as float32, in one pass: this is most of what an insert costs us.

    A number too large for float32 becomes infinity, which the service refuses.
    """
    if not isinstance(value, list):
        raise ValueError("A vector is a list of numbers.")
    try:
        return array("f", value)
    except TypeError:
        wrong = next(place for place, each in enumerate(value) if not isinstance(each, int | float))
        raise ValueError(f"A vector is a list of numbers; number {wrong} is none.") from None
    except OverflowError:
        raise ValueError("A vector's numbers are finite.") from None


def _decoded(value: object) -> array[float]:
    """Base64 of little-endian float32, which never becomes a Python float."""
    try:
        raw = b64decode(value, validate=True) if isinstance(value, str) else b"?"
    except (binascii.Error, ValueError):
        raise ValueError("This is not base64.") from None
    if not raw or len(raw) % 4:
        raise ValueError("These bytes are no whole number of float32.")
    return array("f", raw)


Vector = Annotated[
    Any,
    PlainValidator(_floats),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": _MAX_SIZE}),
]
EncodedVector = Annotated[
    Any,
    PlainValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "little-endian float32"}),
]


class Body(BaseModel):
    """An unknown key is a mistake to hear of, and a tenant id in a body is never used."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class PointIn(Body):
    id: ClientIdIn | None = None
    vector: Vector = None
    vector_b64: EncodedVector = None
    text: Text | None = None
    payload: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(each is not None for each in (self.vector, self.vector_b64, self.text)) != 1:
            raise ValueError("A point has exactly one of vector, vector_b64 and text.")
        return self

    def point(self, number: int, operation: UUID) -> NewPoint:
        """A point without an id gets one made of the operation's, so that a repeat of the request is the same write."""
        point_id = self.id if self.id is not None else uuid5(operation, str(number))
        vector: Sequence[float] | None = self.vector if self.vector is not None else self.vector_b64
        return NewPoint(point_id, vector, self.text, self.payload)


class InsertIn(Body):
    collection: str
    points: Annotated[list[PointIn], Field(min_length=1, max_length=MAX_POINTS)]


class InsertOut(BaseModel):
    collection: str
    inserted: int
    ids: list[UUID | int]


class CollectionOut(BaseModel):
    name: str
    size: int
    distance: str
    model: str | None
    count: int

    @classmethod
    def of(cls, info: CollectionInfo) -> Self:
        collection = info.collection
        return cls(
            name=collection.name,
            size=collection.size,
            distance=collection.distance,
            model=collection.model,
            count=info.count,
        )


class CollectionsOut(BaseModel):
    items: list[CollectionOut]
    next_cursor: None = None


class MailboxImportIn(Body):
    """A mailbox (mbox)."""

    kind: Literal["mailbox"] = "mailbox"
    file_name: FileName
    size_bytes: FileSize


class PayloadsIn(Body):
    """A second file: one line of `{"id", "payload"}` for each row of an npy array, in their order."""

    size_bytes: FileSize


class VectorsImportIn(Body):
    """A file of vectors: NDJSON of points, an npy array of two dimensions, or Parquet with a column `vector`."""

    kind: Literal["vectors"]
    collection: str
    format: Format
    file_name: FileName
    size_bytes: FileSize
    payloads: PayloadsIn | None = None

    def target(self) -> VectorFile:
        return VectorFile(self.collection, self.format, self.payloads.size_bytes if self.payloads else None)


def _kind(body: Any) -> str:
    """A mailbox unless it says otherwise."""
    found = body.get("kind", "mailbox") if isinstance(body, dict) else getattr(body, "kind", "mailbox")
    return found if isinstance(found, str) else ""


ImportIn = Annotated[
    Annotated[MailboxImportIn, Tag("mailbox")] | Annotated[VectorsImportIn, Tag("vectors")], Discriminator(_kind)
]


class UploadOut(BaseModel):
    """PUT exactly `size_bytes` bytes to `url` before it expires."""

    method: str = "PUT"
    url: str
    expires_in: int


class ImportCreated(BaseModel):
    job_id: UUID
    status_url: str
    upload: UploadOut
    payloads_upload: UploadOut | None = None


class ProgressOut(BaseModel):
    """`messages` (of vectors: rows) = stored + duplicates + failed."""

    chunks: int | None
    chunks_done: int
    messages: int
    stored: int
    duplicates: int
    failed: int


class RefusedOut(BaseModel):
    """`message` counts a mailbox's messages from 0, `row` the rows of vectors: null until the parts before are done."""

    message: int | None = None
    row: int | None = None
    reason: str

    @classmethod
    def of(cls, kind: ImportKind, refused: Refused) -> Self:
        if kind is ImportKind.VECTORS:
            return cls(row=refused.row, reason=refused.reason)
        return cls(message=refused.ordinal, reason=refused.reason)


class ImportErrors(BaseModel):
    items: list[RefusedOut]
    next_cursor: str | None


class ImportOut(BaseModel):
    """`collection` and `format` are of vectors' imports; there `messages` are rows."""

    id: UUID
    kind: str
    collection: str | None
    format: str | None
    status: str
    file_name: str
    size_bytes: int
    progress: ProgressOut
    error: str | None
    errors: ImportErrors
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Import, progress: Progress, errors: Sequence[Refused], next_cursor: str | None) -> Self:
        return cls(
            id=found.id,
            kind=found.kind,
            collection=found.collection,
            format=found.format,
            status=found.status,
            file_name=found.file_name,
            size_bytes=found.size_bytes,
            progress=ProgressOut(
                chunks=found.chunks,
                chunks_done=progress.chunks_done,
                messages=progress.messages,
                stored=progress.stored,
                duplicates=progress.duplicates,
                failed=progress.failed,
            ),
            error=found.error,
            errors=ImportErrors(
                items=[RefusedOut.of(found.kind, each) for each in errors],
                next_cursor=next_cursor,
            ),
            created_at=found.created_at,
            started_at=found.started_at,
            finished_at=found.finished_at,
        )
