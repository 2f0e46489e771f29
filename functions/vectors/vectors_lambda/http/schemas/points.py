"""Request and response bodies of points, collections and imports."""

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

from email_sender.kit.schemas import RequestBody
from email_sender.vectors.imports.model import Format, Import, ImportKind, Progress, RejectedRecord
from email_sender.vectors.imports.service import VectorFile
from email_sender.vectors.model import MAX_POINTS, ClientId
from email_sender.vectors.service import CollectionInfo
from email_sender.vectors.validation import NewPoint

_MAX_TEXT = 100_000
_MAX_SIZE = 65_536

Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
FileName = Annotated[str, Field(min_length=1, max_length=255)]
FileSize = Annotated[int, Field(strict=True, ge=1)]


def _validate_client_id(value: object) -> ClientId:
    """Validate an id and report one error. A pydantic union would report an error with its own pointer per member."""
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64):
        return value
    with suppress(ValueError):
        if isinstance(value, str):
            return UUID(value)
    raise ValueError("A point's id must be a UUID or an unsigned 64-bit integer.")


ClientIdIn = Annotated[
    UUID | int,
    PlainValidator(_validate_client_id),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "uuid"}, {"type": "integer", "minimum": 0}]}),
]


def _validate_floats(value: object) -> array[float]:
    """Convert a JSON list to float32 in one pass. This conversion takes most of an insert's CPU time.

    A number too large for float32 becomes infinity, which the service rejects.
    """
    if not isinstance(value, list):
        raise ValueError("A vector must be a list of numbers.")
    try:
        return array("f", value)
    except TypeError:
        bad_index = next(index for index, number in enumerate(value) if not isinstance(number, int | float))
        raise ValueError(
            f"A vector must be a list of numbers. The element at index {bad_index} is not a number."
        ) from None
    except OverflowError:
        raise ValueError("All numbers of a vector must be finite as float32.") from None


def _decode_vector(value: object) -> array[float]:
    """Decode base64 of little-endian float32 values, without creating Python floats."""
    try:
        raw = b64decode(value, validate=True) if isinstance(value, str) else b"?"
    except (binascii.Error, ValueError):
        raise ValueError("The vector is not valid base64.") from None
    if not raw or len(raw) % 4:
        raise ValueError("The bytes of the vector are not a whole number of float32 values.")
    return array("f", raw)


Vector = Annotated[
    Any,
    PlainValidator(_validate_floats),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": _MAX_SIZE}),
]
EncodedVector = Annotated[
    Any,
    PlainValidator(_decode_vector),
    WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64",
            # A whole number of groups of four bytes.
            "pattern": "^([A-Za-z0-9+/]{16})*([A-Za-z0-9+/]{6}==|[A-Za-z0-9+/]{11}=|[A-Za-z0-9+/]{16})$",
            "description": "little-endian float32",
        }
    ),
]


class VectorsBody(RequestBody):
    """A request body that can contain vectors (array.array)."""

    model_config = ConfigDict(arbitrary_types_allowed=True)


class PointIn(VectorsBody):
    id: ClientIdIn | None = None
    vector: Vector = None
    vector_b64: EncodedVector = None
    text: Text | None = None
    payload: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if sum(source is not None for source in (self.vector, self.vector_b64, self.text)) != 1:
            raise ValueError("A point must have exactly one of vector, vector_b64 and text.")
        return self

    def point(self, number: int, operation: UUID) -> NewPoint:
        """Return the point. A missing id is derived from the operation id, so a repeat writes the same point."""
        point_id = self.id if self.id is not None else uuid5(operation, str(number))
        vector: Sequence[float] | None = self.vector if self.vector is not None else self.vector_b64
        return NewPoint(point_id, vector, self.text, self.payload)


class InsertIn(VectorsBody):
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


class MailboxImportIn(VectorsBody):
    """Import a mailbox file (mbox)."""

    kind: Literal["mailbox"] = "mailbox"
    file_name: FileName
    size_bytes: FileSize


class PayloadsIn(VectorsBody):
    """The payloads file of an npy import: one JSON line of `{"id", "payload"}` for each row of the array, in order."""

    size_bytes: FileSize


class VectorsImportIn(VectorsBody):
    """Import a file of vectors: NDJSON of points, a two-dimensional npy array, or Parquet with a column `vector`."""

    kind: Literal["vectors"]
    collection: str
    format: Format
    file_name: FileName
    size_bytes: FileSize
    payloads: PayloadsIn | None = None

    def target(self) -> VectorFile:
        return VectorFile(self.collection, self.format, self.payloads.size_bytes if self.payloads else None)


def _import_kind(body: Any) -> str:
    """Return the kind of import, which is a mailbox by default."""
    kind = body.get("kind", "mailbox") if isinstance(body, dict) else getattr(body, "kind", "mailbox")
    return kind if isinstance(kind, str) else ""


ImportIn = Annotated[
    Annotated[MailboxImportIn, Tag("mailbox")] | Annotated[VectorsImportIn, Tag("vectors")], Discriminator(_import_kind)
]


class UploadOut(BaseModel):
    """Where to upload a file. PUT exactly the announced number of bytes to `url` before it expires."""

    method: str = "PUT"
    url: str
    expires_in: int


class ImportCreated(BaseModel):
    job_id: UUID
    status_url: str
    upload: UploadOut
    payloads_upload: UploadOut | None = None


class ProgressOut(BaseModel):
    """`messages` = stored + duplicates + failed. For an import of vectors, a message is a row."""

    chunks: int | None
    chunks_done: int
    messages: int
    stored: int
    duplicates: int
    failed: int


class RefusedOut(BaseModel):
    """An item that could not be imported. Counted from 0: `message` in a mailbox, `row` in a file of vectors.

    `row` is null until the preceding parts of the file are done.
    """

    message: int | None = None
    row: int | None = None
    reason: str

    @classmethod
    def of(cls, kind: ImportKind, error: RejectedRecord) -> Self:
        if kind is ImportKind.VECTORS:
            return cls(row=error.row, reason=error.reason)
        return cls(message=error.ordinal, reason=error.reason)


class ImportErrors(BaseModel):
    items: list[RefusedOut]
    next_cursor: str | None


class ImportOut(BaseModel):
    """An import. `collection` and `format` are set only for imports of vectors, where `messages` are rows."""

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
    def of(
        cls, import_record: Import, progress: Progress, errors: Sequence[RejectedRecord], next_cursor: str | None
    ) -> Self:
        return cls(
            id=import_record.id,
            kind=import_record.kind,
            collection=import_record.collection,
            format=import_record.format,
            status=import_record.status,
            file_name=import_record.file_name,
            size_bytes=import_record.size_bytes,
            progress=ProgressOut(
                chunks=import_record.chunks,
                chunks_done=progress.chunks_done,
                messages=progress.messages,
                stored=progress.stored,
                duplicates=progress.duplicates,
                failed=progress.failed,
            ),
            error=import_record.error,
            errors=ImportErrors(
                items=[RefusedOut.of(import_record.kind, error) for error in errors],
                next_cursor=next_cursor,
            ),
            created_at=import_record.created_at,
            started_at=import_record.started_at,
            finished_at=import_record.finished_at,
        )
