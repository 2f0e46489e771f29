"""A workflow's triggers, and what posts to a webhook reach."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute
from email_sender.kit.provided import provided
from email_sender.security.permissions import Permission
from email_sender.workflows.definitions import WorkflowService
from email_sender.workflows.hooks import HookService
from email_sender.workflows.triggering import TriggerService
from workflows.bootstrap import hook_service, trigger_service, workflow_service
from workflows.schemas import Listing
from workflows.trigger_schemas import HookResultOut, HookRunOut, SecretOut, TriggerOut

router = APIRouter(prefix="/workflows/{workflow_id}/triggers", tags=["workflows"], route_class=IdempotentRoute)
hooks = APIRouter(prefix="/hooks", tags=["hooks"])
Reader = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_WRITE))]
Workflows = Annotated[WorkflowService, provided(workflow_service)]
Triggers = Annotated[TriggerService, provided(trigger_service)]
Hooks = Annotated[HookService, provided(hook_service)]


@router.get("")
async def page(workflow_id: UUID, caller: Reader, workflows: Workflows, triggers: Triggers) -> Listing[TriggerOut]:
    """What starts the workflow by itself, whether it is in place, and what came of its last start."""
    workflows.get(caller.tenant_id, workflow_id)
    return Listing(items=[TriggerOut.of(each, caller.tenant_id) for each in triggers.of(caller.tenant_id, workflow_id)])


@router.post("/{trigger_id}/secret", status_code=201)
async def secret(workflow_id: UUID, trigger_id: UUID, caller: Writer, service: Hooks) -> SecretOut:
    """A new secret of a webhook, shown this once. The one before signs for another day."""
    return SecretOut.of(service.renew(caller.tenant_id, workflow_id, trigger_id))


@hooks.post("/{token}", status_code=202)
async def receive(token: str, request: Request, service: Hooks) -> HookRunOut:
    """Start a run with the body as its inputs, signed as Standard Webhooks says. The same webhook-id, the same run."""
    run = service.receive(token, request.headers, await request.body())
    return HookRunOut.of(run, token)


@hooks.get("/{token}/runs/{run_id}")
async def result(token: str, run_id: UUID, request: Request, service: Hooks) -> HookResultOut:
    """What became of a run that this webhook started: signed too, over an empty body."""
    return HookResultOut.of_run(service.result(token, request.headers, run_id), token)
