"""HTTP routes of triggers and webhooks."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute
from email_sender.kit.schemas import Listing
from email_sender.security.permissions import Permission
from email_sender.workflows.runs.callbacks import CallbackService
from email_sender.workflows.service import WorkflowService
from email_sender.workflows.triggers.hook_requests import HookRequest
from email_sender.workflows.triggers.service import TriggerService
from email_sender.workflows.triggers.webhooks import WebhookService
from workflows_lambda.bootstrap import callback_service, trigger_service, webhook_service, workflow_service
from workflows_lambda.http.schemas.triggers import CallbackAnswerIn, HookResultOut, HookRunOut, SecretOut, TriggerOut

router = APIRouter(prefix="/workflows/{workflow_id}/triggers", tags=["workflows"], route_class=IdempotentRoute)
webhook_router = APIRouter(prefix="/hooks", tags=["hooks"])

_SECRET = {
    "name": "secret",
    "in": "query",
    "required": False,
    "description": "The webhook's secret, if it has `auth: secret`",
    "schema": {"type": "string"},
}
# The signature covers the body as it arrives, so that the routes read it themselves.
_SIGNED = {
    "parameters": [
        {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}
        for name, description in (
            ("webhook-id", "The same for every attempt"),
            ("webhook-timestamp", "Seconds since 1970"),
            ("webhook-signature", "Of Standard Webhooks"),
        )
    ]
    + [_SECRET]
}
_STARTS = _SIGNED | {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
Reader = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_WRITE))]
Workflows = Annotated[WorkflowService, depends_on(workflow_service)]
Triggers = Annotated[TriggerService, depends_on(trigger_service)]
Callbacks = Annotated[CallbackService, depends_on(callback_service)]
Webhooks = Annotated[WebhookService, depends_on(webhook_service)]


@router.get("")
async def list_triggers(
    workflow_id: UUID, caller: Reader, workflows: Workflows, triggers: Triggers
) -> Listing[TriggerOut]:
    """List the triggers of a workflow. Each trigger has its state and the outcome of its last start."""
    workflows.get(caller.tenant_id, workflow_id)
    return Listing(
        items=[
            TriggerOut.of(trigger, caller.tenant_id)
            for trigger in triggers.list_for_workflow(caller.tenant_id, workflow_id)
        ]
    )


@router.post("/{trigger_id}/secret", status_code=201)
async def rotate_trigger_secret(workflow_id: UUID, trigger_id: UUID, caller: Writer, service: Webhooks) -> SecretOut:
    """Create a new secret for a webhook. It is shown only once; the previous secret stays valid for one day."""
    return SecretOut.of(service.renew_secret(caller.tenant_id, workflow_id, trigger_id, caller.role))


@webhook_router.post("/{token}", status_code=202, response_model=HookRunOut, openapi_extra=_STARTS)
async def start_run_by_hook(token: str, request: Request, service: Webhooks, response: Response) -> Any:
    """Start a run through a webhook. The body is the run's inputs, signed as Standard Webhooks specifies.

    A webhook with `auth: secret` takes its secret instead: as a bearer token, as the password of Basic authentication,
    or as the parameter `secret`. The inputs are then `{method, query, headers, body}`. Repeating a webhook-id returns
    the same run. If the workflow answers its callers, the answer is what it says.
    """
    outcome = service.answer(token, service.receive(token, await _hook_request(request)))
    if outcome.answer is not None:
        return Response(outcome.answer.content, outcome.answer.status, outcome.answer.headers)
    if outcome.failed:
        response.status_code = 500
    return HookRunOut.of(outcome.run, token)


@webhook_router.get("/{token}", status_code=202, response_model=HookRunOut, openapi_extra={"parameters": [_SECRET]})
async def start_run_by_get(token: str, request: Request, service: Webhooks, response: Response) -> Any:
    """Start a run through a webhook with `auth: secret`, by a request without a body."""
    return await start_run_by_hook(token, request, service, response)


@webhook_router.post("/callbacks/{token}", status_code=204)
async def answer_callback(token: str, body: CallbackAnswerIn, service: Callbacks) -> None:
    """Answer a step that waits at this callback URL.

    The step has the action http.wait_for_callback. The URL itself is the key: it is signed, and only the first answer
    counts. A repeated answer changes nothing.
    """
    service.answer(token, body.model_dump())


@webhook_router.get("/{token}/runs/{run_id}", openapi_extra=_SIGNED)
async def get_hook_result(token: str, run_id: UUID, request: Request, service: Webhooks) -> HookResultOut:
    """Get the result of a run that a webhook started. The request is signed over an empty body, or has the secret."""
    return HookResultOut.of_run(service.result(token, await _hook_request(request), run_id), token)


async def _hook_request(request: Request) -> HookRequest:
    return HookRequest(request.method, dict(request.headers), request.url.query, await request.body())
