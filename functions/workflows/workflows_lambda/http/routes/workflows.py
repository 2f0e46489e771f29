"""HTTP routes of workflows."""

from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from email_sender.errors import NotFound
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.live_settings import live_features
from email_sender.kit.query_parameters import Cursor, IfMatch, Limit, parse_id_cursor, parse_if_match
from email_sender.kit.schemas import Listing
from email_sender.security.features import Feature, Features, require_feature
from email_sender.security.permissions import Permission
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.drawing import mermaid, step_statuses, svg
from email_sender.workflows.model import Actor
from email_sender.workflows.runs.service import RunService
from email_sender.workflows.service import WorkflowService
from email_sender.workflows.triggers.service import TriggerService
from workflows_lambda.bootstrap import run_service, trigger_service, workflow_service
from workflows_lambda.http.definition_body import read_definition
from workflows_lambda.http.schemas.workflows import (
    ActionOut,
    DifferenceOut,
    ExecuteIn,
    ImportIn,
    ImportOut,
    RunOut,
    ValidOut,
    VersionOut,
    WorkflowIn,
    WorkflowOut,
)

router = APIRouter(prefix="/workflows", tags=["workflows"], route_class=IdempotentRoute)
Service = Annotated[WorkflowService, depends_on(workflow_service)]
Runs = Annotated[RunService, depends_on(run_service)]
Triggers = Annotated[TriggerService, depends_on(trigger_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_WRITE))]
_Version = Annotated[int, Query(ge=1)]
Executor = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_EXECUTE))]


@router.get("")
async def list_workflows(
    caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> Listing[WorkflowOut]:
    """List workflows. Oldest first."""
    workflows = service.page(caller.tenant_id, parse_id_cursor(cursor), limit)
    return Listing(items=[WorkflowOut.of(workflow) for workflow in workflows.items], next_cursor=workflows.next_cursor)


@router.get("/actions", response_model=Listing[ActionOut])
async def list_actions(_caller: Reader) -> Response:
    """List the actions of steps. Each action has the schemas of a step's `with` and of its result."""
    return Response(_actions_json(), media_type="application/json")


@cache
def _actions_json() -> bytes:
    """Return the list of actions, which is the same for all callers."""
    actions = Listing(items=[ActionOut.of(action) for action in ACTION_CATALOGUE])
    return actions.model_dump_json(by_alias=True).encode()


@router.post("", status_code=201)
async def create_workflow(
    request: Request, response: Response, body: WorkflowIn, caller: Writer, service: Service, triggers: Triggers
) -> WorkflowOut:
    """Create a workflow. If the definition has problems, each is reported with a pointer, and nothing is stored."""
    raw = read_definition(body.definition)
    workflow = service.create(caller.tenant_id, operation_id(request), raw, _actor(caller))
    triggers.apply_pending_changes(caller.tenant_id)
    response.headers["etag"] = f'"{workflow.version}"'
    return WorkflowOut.of(workflow)


@router.post("/validate")
async def validate_workflow(body: WorkflowIn, caller: Writer, service: Service) -> ValidOut:
    """Validate a definition. Nothing is stored."""
    return ValidOut.of(service.validate(read_definition(body.definition), _actor(caller)))


@router.post("/import")
async def import_n8n_workflow(
    body: ImportIn, caller: Writer, service: Service, features: Annotated[Features, depends_on(live_features)]
) -> ImportOut:
    """Convert an n8n workflow to a definition. The report shows how each node was converted; nothing is stored.

    Returns 403 if the feature `n8n_import` is not enabled for the tenant.
    """
    require_feature(features, Feature.N8N_IMPORT, caller.tenant_id)
    bridge = body.bridge.target() if body.bridge else None
    return ImportOut.of(service.convert_n8n(body.workflow, _actor(caller), bridge))


@router.get("/{workflow_id}")
async def get_workflow(workflow_id: UUID, response: Response, caller: Reader, service: Service) -> WorkflowOut:
    """Get a workflow at its newest version."""
    workflow = service.get(caller.tenant_id, workflow_id)
    response.headers["etag"] = f'"{workflow.version}"'
    return WorkflowOut.of(workflow)


@router.put("/{workflow_id}")
async def update_workflow(
    workflow_id: UUID,
    response: Response,
    body: WorkflowIn,
    caller: Writer,
    service: Service,
    triggers: Triggers,
    if_match: IfMatch = None,
) -> WorkflowOut:
    """Update a workflow. This creates a new version; existing runs keep theirs."""
    raw = read_definition(body.definition)
    workflow = service.update(caller.tenant_id, workflow_id, raw, parse_if_match(if_match), _actor(caller))
    triggers.apply_pending_changes(caller.tenant_id)
    response.headers["etag"] = f'"{workflow.version}"'
    return WorkflowOut.of(workflow)


@router.delete("/{workflow_id}", status_code=204)
async def archive_workflow(workflow_id: UUID, caller: Writer, service: Service, triggers: Triggers) -> Response:
    """Archive a workflow. No new runs start, and its triggers retire. Open runs continue."""
    service.archive(caller.tenant_id, workflow_id)
    triggers.apply_pending_changes(caller.tenant_id)
    return Response(status_code=204)


@router.post("/{workflow_id}/execute", status_code=202)
async def start_run(
    request: Request, response: Response, workflow_id: UUID, body: ExecuteIn, caller: Executor, runs: Runs
) -> RunOut:
    """Start a run of a workflow. It runs the newest version on behalf of the caller; follow it at /runs/{id}."""
    run = runs.start(caller.tenant_id, operation_id(request), workflow_id, body.inputs, _actor(caller))
    response.headers["location"] = f"/api/v1/runs/{run.id}"
    return RunOut.of(run)


@router.get("/{workflow_id}/runs")
async def list_workflow_runs(
    workflow_id: UUID, caller: Reader, runs: Runs, limit: Limit = 50, cursor: Cursor = None
) -> Listing[RunOut]:
    """List the runs of a workflow. Newest first."""
    runs_page = runs.page(caller.tenant_id, workflow_id, parse_id_cursor(cursor), limit)
    return Listing(items=[RunOut.of(run) for run in runs_page.items], next_cursor=runs_page.next_cursor)


@router.get("/{workflow_id}/versions")
async def list_workflow_versions(
    workflow_id: UUID,
    caller: Reader,
    service: Service,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, description="`next_cursor` of the previous page")] = None,
) -> Listing[VersionOut]:
    """List the published versions of a workflow. Newest first."""
    versions_page = service.versions(caller.tenant_id, workflow_id, cursor, limit)
    return Listing(
        items=[VersionOut.of(version) for version in versions_page.items], next_cursor=versions_page.next_cursor
    )


@router.get("/{workflow_id}/diff")
async def compare_workflow_versions(
    workflow_id: UUID, before: _Version, after: _Version, caller: Reader, service: Service
) -> DifferenceOut:
    """Compare two versions of a workflow."""
    return DifferenceOut.of(service.compare_versions(caller.tenant_id, workflow_id, before, after))


_TEXT = {"schema": {"type": "string"}}
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/svg+xml": _TEXT, "text/vnd.mermaid": _TEXT}}}


@router.get("/{workflow_id}/graph", response_class=Response, responses=_PICTURE)
async def get_workflow_graph(
    workflow_id: UUID,
    caller: Reader,
    service: Service,
    runs: Runs,
    format: Annotated[Literal["svg", "mermaid"], Query()] = "svg",
    run: Annotated[UUID | None, Query(description="Colour the steps by their status in this run")] = None,
) -> Response:
    """Get a picture of a workflow. With `run`, it shows that run's version."""
    version, statuses = None, {}
    if run is not None:
        detail = runs.get(caller.tenant_id, run)
        if detail.run.workflow_id != workflow_id:
            raise NotFound("This workflow has no run with this id.")
        version, statuses = detail.run.version, step_statuses(detail.steps)
    definition = service.get_definition(caller.tenant_id, workflow_id, version)
    if format == "mermaid":
        return Response(mermaid(definition, statuses), media_type="text/vnd.mermaid")
    # The SVG may be opened as a document of its own; this policy blocks scripts.
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(svg(definition, statuses), media_type="image/svg+xml", headers=headers)


def _actor(caller: Principal) -> Actor:
    return Actor(caller.subject, caller.role)
