"""Exports and migrations over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool

from email_sender.vectors.job_model import Job, PartDone, Phase, Source, SourceKind
from email_sender.vectors.jobs import Wanted
from email_sender.vectors.model import Distance
from vectors.schemas import Body

_Name = Annotated[str, Field(min_length=1, max_length=255)]
_Key = Annotated[str, Field(min_length=1, max_length=255, description="The payload's key that holds a point's text")]


class ExportIn(Body):
    collection: _Name


class CurrentSource(Body):
    """What is served now."""

    type: Literal["current"] = "current"
    text_key: _Key | None = None

    def source(self) -> Source:
        return Source(text_key=self.text_key)


class QdrantSource(Body):
    """A collection of another Qdrant. With `tenant_id`, all its points become that tenant's, under their ids there."""

    type: Literal["qdrant"]
    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:\[\]-]+$")]
    port: Annotated[int, Field(ge=1, le=65_535)] = 6334
    tls: StrictBool = True
    collection: _Name
    secret: Annotated[
        str | None,
        Field(min_length=1, max_length=100, pattern=r"^[\w/+=.@-]+$", description="The secret with the API key"),
    ] = None
    tenant_id: UUID | None = None
    text_key: _Key | None = None

    def source(self) -> Source:
        return Source(
            SourceKind.QDRANT, self.text_key, None, self.host, self.port, self.tls, self.collection, self.secret,
            self.tenant_id,
        )  # fmt: skip


class ExportSource(Body):
    """An export of this deployment's bucket, by its job's id."""

    type: Literal["export"]
    export_id: UUID
    text_key: _Key | None = None

    def source(self) -> Source:
        return Source(SourceKind.EXPORT, self.text_key, self.export_id)


class TargetIn(Body):
    """What the new collection has otherwise than the one that is served."""

    size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    distance: Distance | None = None
    model: Annotated[str, Field(min_length=1, max_length=255)] | None = None

    def wanted(self) -> Wanted:
        return Wanted(self.size, self.distance, self.model)


class MigrationIn(Body):
    collection: _Name
    source: Annotated[CurrentSource | QdrantSource | ExportSource, Field(discriminator="type")] = Field(
        default_factory=CurrentSource
    )
    target: TargetIn = Field(default_factory=TargetIn)


class RollbackIn(Body):
    """`discard_changes` leaves behind what was written since the switch, where it cannot be brought back."""

    discard_changes: StrictBool = False


class SideOut(BaseModel):
    stored_as: str
    size: int
    distance: str
    model: str | None


class PhaseOut(BaseModel):
    """What a phase has done so far. `failed` points could not be made, or differ."""

    done: bool
    points: int
    failed: int


class JobOut(BaseModel):
    job_id: UUID
    kind: str
    status: str
    collection: str
    served: SideOut
    target: SideOut | None
    phases: dict[str, PhaseOut]
    report: dict[str, Any]
    error: str | None
    created_by: str
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job, phases: Mapping[Phase, PartDone] | None = None) -> Self:
        served, target = (
            SideOut(stored_as=each.stored_as, size=each.size, distance=each.distance, model=each.model)
            for each in (job.served, job.target)
        )
        return cls(
            job_id=job.id,
            kind=job.kind,
            status=job.status,
            collection=job.collection,
            served=served,
            target=target if job.target != job.served else None,
            phases={
                phase: PhaseOut(done=each.done, points=each.points, failed=each.failed)
                for phase, each in (phases or {}).items()
                if each.ordinal
            },
            report=dict(job.report),
            error=job.error,
            created_by=job.created_by,
            created_at=job.created_at,
            finished_at=job.finished_at,
        )


class JobsOut(BaseModel):
    items: list[JobOut]
    next_cursor: str | None
