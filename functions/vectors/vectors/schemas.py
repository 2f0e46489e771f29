"""The HTTP contract of vectors."""

import binascii
from array import array
from base64 import b64decode
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID, uuid5

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

from email_sender.errors import InvalidInput
from email_sender.vectors.import_model import Format, Import, ImportKind, Progress, Refused
from email_sender.vectors.imports import VectorFile
from email_sender.vectors.model import MAX_LIMIT, MAX_POINTS, Condition, Filter, Group, Hit, Search
from email_sender.vectors.service import CollectionInfo, NewPoint

_MAX_CONDITIONS = 50
_MAX_TEXT = 100_000

Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
FileName = Annotated[str, Field(min_length=1, max_length=255)]
FileSize = Annotated[int, Field(ge=1)]
ClientIdIn = Annotated[UUID, Field()] | Annotated[StrictInt, Field(ge=0, le=2**64 - 1)]


class Body(BaseModel):
    """An unknown key is a mistake to hear of, and a tenant id in a body is never used."""

    model_config = ConfigDict(extra="forbid")


def decode_vector(vector: list[float] | None, encoded: str | None, pointer: str) -> Sequence[float] | None:
    """`vector_b64` is little-endian float32."""
    if encoded is None:
        return vector
    try:
        raw = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput.at(f"{pointer}/vector_b64", "This is not base64.") from None
    if len(raw) % 4:
        raise InvalidInput.at(f"{pointer}/vector_b64", "These bytes are no whole number of float32.")
    return array("f", raw)


class PointIn(Body):
    id: ClientIdIn | None = None
    vector: list[float] | None = None
    vector_b64: str | None = None
    text: Text | None = None
    payload: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(each is not None for each in (self.vector, self.vector_b64, self.text)) != 1:
            raise ValueError("A point has exactly one of vector, vector_b64 and text.")
        return self

    def point(self, number: int, operation: UUID) -> NewPoint:
        """A point without an id gets one made of the operation's, so that a repeat of the request is the same write."""
        vector = decode_vector(self.vector, self.vector_b64, f"/points/{number}")
        point_id = self.id if self.id is not None else uuid5(operation, str(number))
        return NewPoint(point_id, vector, self.text, self.payload)


class InsertIn(Body):
    collection: str
    points: Annotated[list[PointIn], Field(min_length=1, max_length=MAX_POINTS)]


class InsertOut(BaseModel):
    collection: str
    inserted: int
    ids: list[UUID | int]


Scalar = StrictStr | StrictInt | StrictBool


class MatchIn(Body):
    value: Scalar | None = None
    any: Annotated[list[Scalar], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.any is None):
            raise ValueError("A match has exactly one of value and any.")
        return self


class RangeIn(Body):
    gt: float | datetime | None = None
    gte: float | datetime | None = None
    lt: float | datetime | None = None
    lte: float | datetime | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        bounds = [each for each in (self.gt, self.gte, self.lt, self.lte) if each is not None]
        if not bounds:
            raise ValueError("A range has at least one of gt, gte, lt and lte.")
        if len({isinstance(each, datetime) for each in bounds}) > 1:
            raise ValueError("A range's bounds are all numbers or all times.")
        return self


class ConditionIn(Body):
    key: Annotated[str, Field(min_length=1, max_length=200)]
    match: MatchIn | None = None
    range: RangeIn | None = None
    exists: StrictBool | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.match, self.range, self.exists)) != 1:
            raise ValueError("A condition has exactly one of match, range and exists.")
        return self

    def condition(self) -> Condition:
        if self.match is not None:
            return Condition(self.key, any_of=self.match.any or [self.match.value])  # type: ignore[list-item]
        if self.range is not None:
            return Condition(self.key, gt=self.range.gt, gte=self.range.gte, lt=self.range.lt, lte=self.range.lte)
        return Condition(self.key, exists=self.exists)


Conditions = Annotated[list[ConditionIn], Field(max_length=_MAX_CONDITIONS)]


class FilterIn(Body):
    must: Conditions = Field(default_factory=list)
    should: Conditions = Field(default_factory=list)
    must_not: Conditions = Field(default_factory=list)

    def filter(self) -> Filter:
        return Filter(
            [each.condition() for each in self.must],
            [each.condition() for each in self.should],
            [each.condition() for each in self.must_not],
        )


class SearchIn(Body):
    collection: str
    vector: list[float] | None = None
    vector_b64: str | None = None
    text: Text | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 10
    filter: FilterIn = Field(default_factory=FilterIn)
    group_by: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    group_size: Annotated[int, Field(ge=1, le=20)] = 3
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    with_payload: bool = True
    with_vector: bool = False
    exact: bool = False
    hnsw_ef: Annotated[int, Field(ge=1, le=4096)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(each is not None for each in (self.vector, self.vector_b64, self.text)) != 1:
            raise ValueError("A search has exactly one of vector, vector_b64 and text.")
        return self

    def search(self) -> Search:
        return Search(
            vector=decode_vector(self.vector, self.vector_b64, "") or (),
            limit=self.limit,
            filter=self.filter.filter(),
            group_by=self.group_by,
            group_size=self.group_size,
            score_threshold=self.score_threshold,
            with_payload=self.with_payload,
            with_vector=self.with_vector,
            exact=self.exact,
            hnsw_ef=self.hnsw_ef,
        )


class HitOut(BaseModel):
    id: UUID | int
    score: float
    payload: dict[str, Any] | None = None
    vector: list[float] | None = None

    @classmethod
    def of(cls, hit: Hit) -> Self:
        return cls(
            id=hit.id, score=hit.score, payload=dict(hit.payload), vector=list(hit.vector) if hit.vector else None
        )


class GroupOut(BaseModel):
    key: str | int
    score: float
    hits: list[HitOut]

    @classmethod
    def of(cls, group: Group) -> Self:
        return cls(key=group.key, score=group.score, hits=[HitOut.of(hit) for hit in group.hits])


class SearchOut(BaseModel):
    """`results`, or `groups` where the search has group_by."""

    results: list[HitOut] | None = None
    groups: list[GroupOut] | None = None
    count: int
    took_ms: float


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
