"""Whatever takes long, by its id alone."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from email_sender.adapters.postgres.jobs_index import AnyJob, PostgresJobsIndex
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.provided import provided
from email_sender.security.permissions import Permission
from workflows.bootstrap import jobs_index

router = APIRouter(prefix="/jobs", tags=["jobs"])
Reader = Annotated[Principal, Depends(Requires(Permission.EVENTS_READ))]
Index = Annotated[PostgresJobsIndex, provided(jobs_index)]

_PATHS = {"run": "/runs", "mailbox import": "/vectors/imports", "vectors import": "/vectors/imports"}


class AnyJobOut(BaseModel):
    """`kind`: run, mailbox import, vectors import, vectors export or vectors migration. `path` has all there is."""

    id: UUID
    kind: str
    status: str
    error: str | None
    path: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: AnyJob) -> Self:
        return cls(
            id=job.id,
            kind=job.kind,
            status=job.status,
            error=job.error,
            path=f"/api/v1{_PATHS.get(job.kind, '/vectors/jobs')}/{job.id}",
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )


@router.get("/{job_id}")
async def read(job_id: UUID, caller: Reader, index: Index) -> AnyJobOut:
    """A run, an import, an export or a migration: how far it is, and where its own page is."""
    return AnyJobOut.of(index.find(caller.tenant_id, job_id))
