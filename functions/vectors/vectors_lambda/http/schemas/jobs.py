"""Request and response bodies of exports, migrations and repairs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool

from email_sender.vectors.jobs.model import Job, PartProgress, Phase, Source, SourceKind
from email_sender.vectors.jobs.service import ARCHIVE_COLLECTION, TargetOverrides
from email_sender.vectors.model import Distance
from vectors_lambda.http.schemas.points import VectorsBody

_Name = Annotated[str, Field(min_length=1, max_length=255)]
_Key = Annotated[str, Field(min_length=1, max_length=255, description="The payload key that holds a point's text")]


class ExportIn(VectorsBody):
    collection: _Name


class RepairIn(VectorsBody):
    collection: _Name = ARCHIVE_COLLECTION


class CurrentSource(VectorsBody):
    """The collection that is served now."""

    type: Literal["current"] = "current"
    text_key: _Key | None = None

    def source(self) -> Source:
        return Source(text_key=self.text_key)


class QdrantSource(VectorsBody):
    """A collection of another Qdrant. If `tenant_id` is set, all points become that tenant's, and keep their ids."""

    type: Literal["qdrant"]
    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:\[\]-]+$")]
    port: Annotated[int, Field(ge=1, le=65_535)] = 6334
    tls: StrictBool = True
    collection: _Name
    secret: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=100,
            pattern=r"^[\w/+=.@-]+$",
            description="The name of the secret that holds the API key",
        ),
    ] = None
    tenant_id: UUID | None = None
    text_key: _Key | None = None

    def source(self) -> Source:
        return Source(
            SourceKind.QDRANT, self.text_key, None, self.host, self.port, self.tls, self.collection, self.secret,
            self.tenant_id,
        )  # fmt: skip


class ExportSource(VectorsBody):
    """An export in the bucket of this deployment, named by the id of its job."""

    type: Literal["export"]
    export_id: UUID
    text_key: _Key | None = None

    def source(self) -> Source:
        return Source(SourceKind.EXPORT, self.text_key, self.export_id)


class TargetIn(VectorsBody):
    """The settings in which the new collection differs from the served one."""

    size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    distance: Distance | None = None
    model: Annotated[str, Field(min_length=1, max_length=255)] | None = None

    def overrides(self) -> TargetOverrides:
        return TargetOverrides(self.size, self.distance, self.model)


class MigrationIn(VectorsBody):
    collection: _Name
    source: Annotated[CurrentSource | QdrantSource | ExportSource, Field(discriminator="type")] = Field(
        default_factory=CurrentSource
    )
    target: TargetIn = Field(default_factory=TargetIn)


class RollbackIn(VectorsBody):
    """`discard_changes` drops the changes since the switch, for example if they cannot be copied back."""

    discard_changes: StrictBool = False


class SideOut(BaseModel):
    stored_as: str
    size: int
    distance: str
    model: str | None


class PhaseOut(BaseModel):
    """The progress of a phase. `failed` counts the points that could not be converted or that differ."""

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
    def of(cls, job: Job, phases: Mapping[Phase, PartProgress] | None = None) -> Self:
        served_side, target_side = (
            SideOut(stored_as=side.stored_as, size=side.size, distance=side.distance, model=side.model)
            for side in (job.served, job.target)
        )
        return cls(
            job_id=job.id,
            kind=job.kind,
            status=job.status,
            collection=job.collection,
            served=served_side,
            target=target_side if job.target != job.served else None,
            phases={
                phase: PhaseOut(done=progress.done, points=progress.points, failed=progress.failed)
                for phase, progress in (phases or {}).items()
                if progress.ordinal
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
