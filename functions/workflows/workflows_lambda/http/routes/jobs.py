"""Read any long-running job by its id."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from email_sender.adapters.postgres.long_running_work import JobSummary, PostgresJobsIndex
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.security.permissions import Permission
from workflows_lambda.bootstrap import jobs_index

router = APIRouter(prefix="/jobs", tags=["jobs"])
Reader = Annotated[Principal, Depends(Requires(Permission.EVENTS_READ))]
JobsIndex = Annotated[PostgresJobsIndex, depends_on(jobs_index)]

_PATHS = {"run": "/runs", "mailbox import": "/vectors/imports", "vectors import": "/vectors/imports"}


class AnyJobOut(BaseModel):
    """`kind` is run, mailbox import, vectors import, vectors export or vectors migration. `path` has all details."""

    id: UUID
    kind: str
    status: str
    error: str | None
    path: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: JobSummary) -> Self:
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
async def get_job(job_id: UUID, caller: Reader, index: JobsIndex) -> AnyJobOut:
    """Get a job. A job is a run, an import, an export or a migration; `path` leads to its details."""
    return AnyJobOut.of(index.find(caller.tenant_id, job_id))
