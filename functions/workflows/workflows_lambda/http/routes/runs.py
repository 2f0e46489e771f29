"""HTTP routes of runs and approvals."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from email_sender.coordination.stories import Stories
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.query_parameters import Cursor, Limit, parse_id_cursor
from email_sender.kit.schemas import Listing
from email_sender.kit.story_schemas import StoryOut
from email_sender.security.permissions import Permission
from email_sender.workflows.model import Actor, Decision, RunStatus
from email_sender.workflows.runs.approvals import ApprovalService
from email_sender.workflows.runs.items import RunItems
from email_sender.workflows.runs.service import RunService
from workflows_lambda.bootstrap import approval_service, run_items, run_service, stories
from workflows_lambda.http.schemas.workflows import (
    ApprovalOut,
    DecisionIn,
    RetryIn,
    RunDetailOut,
    RunOut,
    StoredItemsOut,
)

router = APIRouter(tags=["runs"], route_class=IdempotentRoute)
Runs = Annotated[RunService, depends_on(run_service)]
Approvals = Annotated[ApprovalService, depends_on(approval_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_READ))]
Executor = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_EXECUTE))]
Approver = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_APPROVE))]


@router.get("/runs")
async def list_runs(
    caller: Reader, service: Runs, status: RunStatus | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Listing[RunOut]:
    """List the runs of all workflows. The newest come first. `status` restricts the list."""
    found = service.page_of_all(caller.tenant_id, status, parse_id_cursor(cursor), limit)
    return Listing(items=[RunOut.of(run) for run in found.items], next_cursor=found.next_cursor)


@router.get("/runs/{run_id}")
async def get_run(run_id: UUID, caller: Reader, service: Runs) -> RunDetailOut:
    """Get a run. The response has the attempts, times, results and errors of its steps."""
    return RunDetailOut.with_steps(service.get(caller.tenant_id, run_id))


@router.get("/runs/{run_id}/story")
async def get_run_story(run_id: UUID, caller: Reader, reader: Annotated[Stories, depends_on(stories)]) -> StoryOut:
    """Get the story of a run. Returns its steps, drafts, approvals, emails and replies in order."""
    return StoryOut.of(reader.of_run(caller.tenant_id, run_id))


@router.get("/runs/{run_id}/items/{items_id}")
async def list_stored_items(
    run_id: UUID,
    items_id: UUID,
    caller: Reader,
    reader: Annotated[RunItems, depends_on(run_items)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> StoredItemsOut:
    """List items that a step stored. The step's result has their id, as `stored_items`."""
    found = reader.page(caller.tenant_id, run_id, items_id, cursor, limit)
    return StoredItemsOut(items=[dict(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("/runs/{run_id}/cancel")
async def cancel_run(run_id: UUID, caller: Executor, service: Runs) -> RunOut:
    """Cancel a run. Finished steps are not undone."""
    return RunOut.of(service.cancel(caller.tenant_id, run_id, Actor(caller.subject, caller.role)))


@router.post("/runs/{run_id}/retry", status_code=202)
async def retry_run(
    request: Request, response: Response, run_id: UUID, body: RetryIn, caller: Executor, service: Runs
) -> RunOut:
    """Retry a run. Starts another run with the inputs of an ended run, on behalf of the caller: from the beginning, or
    from the failed step."""
    actor, new_id = Actor(caller.subject, caller.role), operation_id(request)
    newest, resume = body.version == "latest", body.beginning == "failed"
    run = service.retry(caller.tenant_id, new_id, run_id, actor, newest=newest, resume=resume)
    response.headers["location"] = f"/api/v1/runs/{run.id}"
    return RunOut.of(run)


@router.get("/approvals")
async def list_approvals(
    caller: Approver,
    service: Approvals,
    status: Annotated[Literal["pending", "approved", "denied", "expired"] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listing[ApprovalOut]:
    """List approvals."""
    approvals_page = service.page(
        caller.tenant_id, Decision(status) if status else None, parse_id_cursor(cursor), limit
    )
    return Listing(
        items=[ApprovalOut.of(approval) for approval in approvals_page.items], next_cursor=approvals_page.next_cursor
    )


@router.get("/approvals/{approval_id}")
async def get_approval(approval_id: UUID, caller: Approver, service: Approvals) -> ApprovalOut:
    """Get an approval."""
    return ApprovalOut.of(service.get(caller.tenant_id, approval_id))


@router.post("/approvals/{approval_id}")
async def decide_approval(approval_id: UUID, body: DecisionIn, caller: Approver, service: Approvals) -> ApprovalOut:
    """Decide an approval. Repeating the same decision has no effect; a different decision is a conflict. The emails of
    drafts that are left out are rejected. With `seen`, a draft that was edited meanwhile makes it a conflict."""
    approval = service.decide(
        caller.tenant_id,
        approval_id,
        Decision(body.decision),
        body.comment,
        Actor(caller.subject, caller.role),
        body.leave_out if body.decision == "approved" else (),
        body.seen,
    )
    return ApprovalOut.of(approval)
