"""Routes of exports, migrations and repairs, for operators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from email_sender.errors import InvalidInput
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.query_parameters import Limit
from email_sender.security.permissions import Permission
from email_sender.vectors.jobs.service import JobService
from vectors_lambda.bootstrap.core import job_service
from vectors_lambda.http.schemas.jobs import ExportIn, JobOut, JobsOut, MigrationIn, RepairIn, RollbackIn

router = APIRouter(prefix="/vectors/jobs", tags=["vector jobs"], route_class=IdempotentRoute)
Service = Annotated[JobService, depends_on(job_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]


@router.post("/exports", status_code=202)
async def export_collection(request: Request, body: ExportIn, caller: Operator, service: Service) -> JobOut:
    """Export a collection.

    Writes all points of the collection to the bucket.
    """
    return JobOut.of(service.export(caller.tenant_id, operation_id(request), body.collection, caller.subject))


@router.post("/migrations", status_code=202)
async def migrate_collection(request: Request, body: MigrationIn, caller: Operator, service: Service) -> JobOut:
    """Migrate a collection.

    Copies the points into a new collection, compares both, and serves the new one instead of the old one.
    """
    overrides, source = body.target.overrides(), body.source.source()
    job = service.migrate(
        caller.tenant_id, operation_id(request), body.collection, source, overrides, caller.subject
    )  # fmt: skip
    return JobOut.of(job)


@router.post("/repairs", status_code=202)
async def repair_messages(request: Request, body: RepairIn, caller: Operator, service: Service) -> JobOut:
    """Repair the collection of messages.

    Removes the points whose messages no longer exist. The report counts the points that were read and removed.
    """
    return JobOut.of(service.repair(caller.tenant_id, operation_id(request), body.collection, caller.subject))


@router.get("")
async def list_vector_jobs(
    caller: Reader,
    service: Service,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=100, description="`next_cursor` of the previous page")] = None,
) -> JobsOut:
    """List vector jobs.

    The newest job comes first.
    """
    page = service.list(caller.tenant_id, _before(cursor), limit)
    return JobsOut(items=[JobOut.of(job_entry) for job_entry in page.items], next_cursor=page.next_cursor)


@router.get("/{job_id}")
async def get_vector_job(job_id: UUID, caller: Reader, service: Service) -> JobOut:
    """Get a vector job.

    Returns the progress of each phase and a report of the counts and comparisons.
    """
    return JobOut.of(*service.get(caller.tenant_id, job_id))


@router.post("/{job_id}/rollback", status_code=202)
async def roll_back_migration(job_id: UUID, body: RollbackIn, caller: Operator, service: Service) -> JobOut:
    """Roll back a migration.

    Serves the old collection again, with the changes since the switch.
    """
    return JobOut.of(service.roll_back(caller.tenant_id, job_id, discard=body.discard_changes))


@router.post("/{job_id}/finish", status_code=202)
async def finish_migration(job_id: UUID, caller: Operator, service: Service) -> JobOut:
    """Finish a migration.

    Drops the old collection. The migration can no longer be rolled back.
    """
    return JobOut.of(service.finish(caller.tenant_id, job_id))


def _before(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    at, _, job_id = cursor.partition("/")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("The time has no time zone.")
        return moment, UUID(job_id)
    except ValueError:
        raise InvalidInput.at("/cursor", "The cursor is invalid. Use `next_cursor` of the previous page.") from None
