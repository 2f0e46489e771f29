"""The actions email.wait_for_reply, workflow.call and http.wait_for_callback."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from email_sender.errors import Conflict, DomainError, InvalidInput, RateLimited, Unavailable
from email_sender.kit.system_clock import new_id
from email_sender.kit.tasks.call import TaskCall
from email_sender.workflows.definition.durations import parse_duration
from email_sender.workflows.model import Wait, WaitKind
from workflows_lambda.actions.http_request import HttpRequestIn, SecretHeaders, send_request
from workflows_lambda.actions.step_items import loaded
from workflows_lambda.bootstrap import callback_service, engine, run_service, wait_service


class ReplyIn(BaseModel):
    """`from: anyone` also accepts an answer of a person who is not the contact."""

    model_config = ConfigDict(extra="forbid")

    email: UUID
    timeout: str = "P3D"
    sender: Annotated[Literal["contact", "anyone"], Field(alias="from")] = "contact"


class CallIn(BaseModel):
    """`workflow` is the name or the id of a workflow."""

    model_config = ConfigDict(extra="forbid")

    workflow: Annotated[str, Field(min_length=1, max_length=255)]
    inputs: dict[str, Any] = Field(default_factory=dict)
    wait: bool = True
    timeout: str = "P7D"


class CallbackIn(BaseModel):
    """The answer of the request itself may take 30 seconds, and is not used."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(min_length=1, max_length=4_096)]
    headers: Annotated[dict[str, str], Field(max_length=50)] = Field(default_factory=dict)
    secret_headers: SecretHeaders = Field(default_factory=dict)
    body: dict[str, JsonValue] = Field(default_factory=dict)
    timeout: str = "P1D"

    def request(self, callback_id: UUID) -> dict[str, Any]:
        headers = {"idempotency-key": str(callback_id)} | {name.lower(): value for name, value in self.headers.items()}
        return {"url": self.url, "headers": headers, "secret_headers": self.secret_headers}


def wait_for_reply(call: TaskCall) -> Mapping[str, Any]:
    """Wait for a reply. The email of another tenant is not visible to this one, so that wait can only time out."""
    arguments = call.parse(ReplyIn)
    accepts_others = arguments.sender == "anyone"
    _register_wait(call, WaitKind.REPLY, arguments.email, arguments.timeout, accepts_others=accepts_others)
    wait_service().settle(call.tenant_id, arguments.email)
    return {"email": str(arguments.email)}


def call_workflow(call: TaskCall) -> Mapping[str, Any]:
    """Call a workflow. The wait is stored before the run starts, so that even a run that ends at once is noticed."""
    arguments = call.parse(CallIn)
    called_run_id = call.idempotency_key()
    if arguments.wait:
        _register_wait(call, WaitKind.RUN, called_run_id, arguments.timeout)
    run = run_service().call(call.tenant_id, called_run_id, arguments.workflow, arguments.inputs, call.run_id)
    if arguments.wait:
        wait_service().settle(call.tenant_id, called_run_id)
    else:
        engine().send_task_success(_require_task_token(call), {"run_id": str(run.id), "status": str(run.status)})
    return {"run_id": str(run.id)}


def wait_for_callback(call: TaskCall) -> Mapping[str, Any]:
    """Send a request with a callback URL, and wait for the answer there.

    The wait is stored before the request is sent, so that an answer that comes at once finds it. A retry sends the same
    URL and the same Idempotency-Key. If the first request got through and was answered, no second one is sent. Whoever
    takes the answer resumes the step.
    """
    arguments = call.parse(CallbackIn)
    wait = _register_wait(call, WaitKind.CALLBACK, new_id(), arguments.timeout)
    callback_id = wait.subject
    if not wait_service().settle(call.tenant_id, callback_id):
        body = {**loaded(call, arguments.body), "callback_url": callback_service().url(call.tenant_id, callback_id)}
        try:
            request = HttpRequestIn(**arguments.request(callback_id), method="POST", body=body)
            _require_acceptance(send_request(call, request, any_status=True))
        except DomainError:
            # The other system may have answered although its response to the request did not arrive.
            if wait_service().give_up(call.tenant_id, wait):
                raise
    return {"callback_id": str(callback_id)}


def _require_acceptance(response: Mapping[str, Any]) -> None:
    """Raise unless the other system took the request.

    A system that starts, or that wants a person to sign in, answers with a page, and some (n8n) say 200 or 404 to
    everything before their webhooks are there.
    """
    status, media_type = response["status"], str(response["headers"].get("content-type", ""))
    if status == 429:
        raise RateLimited("The server responded with 429.")
    if status == 404 or status >= 500:
        raise Unavailable(f"The server responded with {status}.")
    if media_type.startswith("text/html"):
        raise Unavailable(f"The server responded with {status} and a page: it may be starting, or want a sign-in.")
    if not 200 <= status < 300:
        raise Conflict(f"The server responded with {status}. Redirects are not followed.")


def _register_wait(
    call: TaskCall, kind: WaitKind, subject: UUID, timeout: str, *, accepts_others: bool = False
) -> Wait:
    return wait_service().register_wait(
        call.tenant_id,
        run_id=call.run_id,
        step=call.step,
        item=call.item,
        kind=kind,
        subject=subject,
        task_token=_require_task_token(call),
        timeout=timedelta(seconds=parse_duration(timeout)),
        accepts_others=accepts_others,
    )


def _require_task_token(call: TaskCall) -> str:
    if call.task_token is None:
        raise InvalidInput("A step that waits needs a task token.")
    return call.task_token
