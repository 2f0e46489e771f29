"""Exports and migrations: what a job is, and what it needs of the world."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.events import Event
from email_sender.errors import NotFound
from email_sender.vectors.serving import Served


class JobKind(StrEnum):
    EXPORT = "export"
    MIGRATION = "migration"


class JobStatus(StrEnum):
    """
    running ──> completed                                      an export
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


# In these the state machine is at work.
WORKING = frozenset({JobStatus.RUNNING, JobStatus.ROLLING_BACK, JobStatus.FINISHING})


class SourceKind(StrEnum):
    """`current` is what is served now, `qdrant` a collection of another engine, `export` an export of ours."""

    CURRENT = "current"
    QDRANT = "qdrant"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Source:
    """Where points come from.

    `text_key` names the payload's key that holds a point's text, to be embedded anew. Of `qdrant`: `tenant_id` set
    means that all its points become that tenant's, under their own ids; else they must be ours, with their tenants.
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
    """`served` is what was served when it began, `target` what a migration makes; an export's target is the same.

    `discard`: a rollback leaves behind what was written since the switch. `report` tells what was counted and compared.
    """

    id: UUID
    kind: JobKind
    status: JobStatus
    collection: str
    source: Source
    served: Served
    target: Served
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


@dataclass(frozen=True, slots=True)
class PartDone:
    """How far one part of a job is. `position` is the last point that was done, by the engine's id."""

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
        """Raises Conflict where a migration of the collection is not over."""

    def get(self, job_id: UUID, *, lock: bool = False) -> Job | None: ...

    def save(self, changed: Job) -> None: ...

    def list(self, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[Job]:
        """The newest first."""

    def working(self) -> Sequence[Job]:
        """Those that a machine should be at for half a minute now."""

    def part(self, job_id: UUID, phase: Phase, ordinal: int) -> PartDone: ...

    def save_part(self, job_id: UUID, phase: Phase, part: PartDone) -> None: ...

    def parts(self, job_id: UUID, phase: Phase) -> Sequence[PartDone]: ...

    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class JobUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[JobUnit]: ...


class JobMachine(Protocol):
    def start_job(self, job: Job, tenant_id: UUID) -> str:
        """Start the machine for what the job's status asks for; its execution. Started already: the same."""

    def is_running(self, execution: str) -> bool: ...


def existing_job(unit: JobUnit, job_id: UUID, *, lock: bool = False) -> Job:
    found = unit.get(job_id, lock=lock)
    if found is None:
        raise NotFound("There is no such job.")
    return found
