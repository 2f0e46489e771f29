"""Exports, migrations and repairs: the model of a job, and the ports that jobs need."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.events import Event
from email_sender.errors import NotFound
from email_sender.vectors.served_collections import ServedCollection


class JobKind(StrEnum):
    EXPORT = "export"
    MIGRATION = "migration"
    REPAIR = "repair"


class JobStatus(StrEnum):
    """
    running ──> completed                                      an export or a repair
    running ──> switched ──> finishing ──> completed           a migration
       │            └──────> rolling_back ──> rolled_back
       └──> failed               └──> switched, with `error`
    """

    RUNNING = "running"
    SWITCHED = "switched"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    FINISHING = "finishing"
    COMPLETED = "completed"
    FAILED = "failed"


# In these statuses a state machine works on the job.
ACTIVE_STATUSES = frozenset({JobStatus.RUNNING, JobStatus.ROLLING_BACK, JobStatus.FINISHING})


class SourceKind(StrEnum):
    """`current`: the served collection. `qdrant`: a collection of another Qdrant. `export`: an export in our bucket."""

    CURRENT = "current"
    QDRANT = "qdrant"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a migration's points.

    `text_key` is the payload key that holds a point's text, which is then embedded again. For `qdrant`: if `tenant_id`
    is set, all points become that tenant's, under their own ids. Otherwise the points must come from another deployment
    of this platform and keep their tenants.
    """

    kind: SourceKind = SourceKind.CURRENT
    text_key: str | None = None
    export_id: UUID | None = None
    host: str | None = None
    port: int = 6334
    tls: bool = True
    collection: str | None = None
    secret: str | None = None
    tenant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """An export, a migration or a repair. `served` is the collection served when the job was created.

    `target` is the collection that a migration creates; otherwise it equals `served`. `discard`: a rollback drops
    the changes since the switch. `report` holds the counts, checksums and names that the steps found.
    """

    id: UUID
    kind: JobKind
    status: JobStatus
    collection: str
    source: Source
    served: ServedCollection
    target: ServedCollection
    created_by: str
    created_at: datetime
    discard: bool = False
    report: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    execution_arn: str | None = None
    finished_at: datetime | None = None


class Phase(StrEnum):
    EXPORT = "export"
    COPY = "copy"
    COMPARE = "compare"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class PartProgress:
    """The progress of one part of a job. `position` is the engine's id of the last processed point."""

    ordinal: int
    position: str | None = None
    done: bool = False
    points: int = 0
    checksum: int = 0
    sampled: int = 0
    failed: int = 0
    reason: str | None = None


class JobUnit(Protocol):
    """One transaction over jobs."""

    def add(self, new: Job) -> None:
        """Store a new job. Raises Conflict if the collection has an unfinished migration."""

    def get(self, job_id: UUID, *, lock: bool = False) -> Job | None: ...

    def save(self, changed: Job) -> None: ...

    def list(self, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[Job]:
        """Return jobs older than `before` (created_at, id), newest first."""

    def list_active(self) -> Sequence[Job]:
        """Return the active jobs created more than 30 seconds ago. Each should have a running state machine."""

    def part(self, job_id: UUID, phase: Phase, ordinal: int) -> PartProgress: ...

    def save_part(self, job_id: UUID, phase: Phase, part: PartProgress) -> None: ...

    def parts(self, job_id: UUID, phase: Phase) -> Sequence[PartProgress]: ...

    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class JobUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[JobUnit]: ...


class JobMachine(Protocol):
    def start_job(self, job: Job, tenant_id: UUID) -> str:
        """Start the state machine for the job's status, and return the execution's ARN.

        If the execution exists already, return its ARN.
        """

    def is_running(self, execution: str) -> bool: ...


def existing_job(unit: JobUnit, job_id: UUID, *, lock: bool = False) -> Job:
    job = unit.get(job_id, lock=lock)
    if job is None:
        raise NotFound("Job not found.")
    return job
