"""Workflows: store, version, validate, run."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from email_sender.errors import NotFound
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.live_settings import live_features
from email_sender.kit.params import Cursor, IfMatch, Limit, id_cursor, version_of
from email_sender.kit.provided import provided
from email_sender.security.features import Feature, Features, require_feature
from email_sender.security.permissions import Permission
from email_sender.workflows.catalogue import SPINE
from email_sender.workflows.definitions import Actor, WorkflowService
from email_sender.workflows.drawing import mermaid, states, svg
from email_sender.workflows.runs import RunService
from email_sender.workflows.triggering import TriggerService
from workflows.bootstrap import run_service, trigger_service, workflow_service
from workflows.definitions import read_definition
from workflows.schemas import (
    ActionOut,
    DifferenceOut,
    ExecuteIn,
    ImportIn,
    ImportOut,
    Listing,
    RunOut,
    ValidOut,
    VersionOut,
    WorkflowIn,
    WorkflowOut,
)

router = APIRouter(prefix="/workflows", tags=["workflows"], route_class=IdempotentRoute)
Service = Annotated[WorkflowService, provided(workflow_service)]
Runs = Annotated[RunService, provided(run_service)]
Triggers = Annotated[TriggerService, provided(trigger_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_WRITE))]
_Version = Annotated[int, Query(ge=1)]
Executor = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_EXECUTE))]


@router.get("")
async def page(caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None) -> Listing[WorkflowOut]:
    """Workflows, in the order they were made."""
    found = service.page(caller.tenant_id, id_cursor(cursor), limit)
    return Listing(items=[WorkflowOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.get("/actions")
async def actions(_caller: Reader) -> Listing[ActionOut]:
    """What a step may use, with the schemas of its `with` and its result."""
    return Listing(items=[ActionOut.of(action) for action in SPINE])


@router.post("", status_code=201)
async def create(
    request: Request, response: Response, body: WorkflowIn, caller: Writer, service: Service, triggers: Triggers
) -> WorkflowOut:
    """Store a workflow and register it with the engine. Every mistake is named by a pointer; nothing is stored then."""
    raw = read_definition(body.definition)
    created = service.create(caller.tenant_id, operation_id(request), raw, _actor(caller))
    triggers.settle(caller.tenant_id)
    response.headers["etag"] = f'"{created.version}"'
    return WorkflowOut.of(created)


@router.post("/validate")
async def validate(body: WorkflowIn, caller: Writer, service: Service) -> ValidOut:
    """Check a definition without storing it."""
    return ValidOut.of(service.validate(read_definition(body.definition), _actor(caller)))


@router.post("/import")
async def from_n8n(
    body: ImportIn, caller: Writer, service: Service, features: Annotated[Features, provided(live_features)]
) -> ImportOut:
    """A workflow of n8n as a definition, with what each of its nodes became. Nothing is stored.

    403 where the feature `n8n_import` is not enabled for the tenant.
    """
    require_feature(features, Feature.N8N_IMPORT, caller.tenant_id)
    return ImportOut.of(service.imported(body.workflow, _actor(caller)))


@router.get("/{workflow_id}")
async def read(workflow_id: UUID, response: Response, caller: Reader, service: Service) -> WorkflowOut:
    """A workflow at its newest version."""
    found = service.get(caller.tenant_id, workflow_id)
    response.headers["etag"] = f'"{found.version}"'
    return WorkflowOut.of(found)


@router.put("/{workflow_id}")
async def change(
    workflow_id: UUID,
    response: Response,
    body: WorkflowIn,
    caller: Writer,
    service: Service,
    triggers: Triggers,
    if_match: IfMatch = None,
) -> WorkflowOut:
    """Make a new version; runs keep theirs."""
    raw = read_definition(body.definition)
    changed = service.update(caller.tenant_id, workflow_id, raw, version_of(if_match), _actor(caller))
    triggers.settle(caller.tenant_id)
    response.headers["etag"] = f'"{changed.version}"'
    return WorkflowOut.of(changed)


@router.delete("/{workflow_id}", status_code=204)
async def archive(workflow_id: UUID, caller: Writer, service: Service, triggers: Triggers) -> Response:
    """Archive a workflow: no new runs, and its triggers retire. What runs goes on."""
    service.archive(caller.tenant_id, workflow_id)
    triggers.settle(caller.tenant_id)
    return Response(status_code=204)


@router.post("/{workflow_id}/execute", status_code=202)
async def execute(
    request: Request, response: Response, workflow_id: UUID, body: ExecuteIn, caller: Executor, runs: Runs
) -> RunOut:
    """Start a run of the newest version, for the caller. Follow it at /runs/{id}."""
    run = runs.start(caller.tenant_id, operation_id(request), workflow_id, body.inputs, _actor(caller))
    response.headers["location"] = f"/api/v1/runs/{run.id}"
    return RunOut.of(run)


@router.get("/{workflow_id}/runs")
async def runs_of(
    workflow_id: UUID, caller: Reader, runs: Runs, limit: Limit = 50, cursor: Cursor = None
) -> Listing[RunOut]:
    """Runs, newest first."""
    found = runs.page(caller.tenant_id, workflow_id, id_cursor(cursor), limit)
    return Listing(items=[RunOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.get("/{workflow_id}/versions")
async def versions(
    workflow_id: UUID,
    caller: Reader,
    service: Service,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, description="`next_cursor` of the page before")] = None,
) -> Listing[VersionOut]:
    """Every version that was published, the newest first."""
    found = service.versions(caller.tenant_id, workflow_id, cursor, limit)
    return Listing(items=[VersionOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.get("/{workflow_id}/diff")
async def diff(workflow_id: UUID, before: _Version, after: _Version, caller: Reader, service: Service) -> DifferenceOut:
    """What changed from one version to another."""
    return DifferenceOut.of(service.difference(caller.tenant_id, workflow_id, before, after))


@router.get("/{workflow_id}/graph", response_class=Response, responses={200: {"content": {"image/svg+xml": {}}}})
async def graph(
    workflow_id: UUID,
    caller: Reader,
    service: Service,
    runs: Runs,
    format: Annotated[Literal["svg", "mermaid"], Query()] = "svg",
    run: Annotated[UUID | None, Query(description="Colour the steps by what this run made of them")] = None,
) -> Response:
    """The workflow as a picture; of a run, the version that it runs."""
    version, coloured = None, {}
    if run is not None:
        detail = runs.get(caller.tenant_id, run)
        if detail.run.workflow_id != workflow_id:
            raise NotFound("There is no such run of this workflow.")
        version, coloured = detail.run.version, states(detail.steps)
    definition = service.drawn(caller.tenant_id, workflow_id, version)
    if format == "mermaid":
        return Response(mermaid(definition, coloured), media_type="text/vnd.mermaid")
    # As a document of its own it may run nothing.
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(svg(definition, coloured), media_type="image/svg+xml", headers=headers)


def _actor(caller: Principal) -> Actor:
    return Actor(caller.subject, caller.role)
