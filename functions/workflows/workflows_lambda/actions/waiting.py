"""The actions email.wait_for_reply and workflow.call: the step waits for a reply, or for the end of another run."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.errors import InvalidInput
from email_sender.kit.tasks.call import TaskCall
from email_sender.workflows.definition.durations import parse_duration
from email_sender.workflows.model import WaitKind
from workflows_lambda.bootstrap import engine, run_service, wait_service


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


def _register_wait(
    call: TaskCall, kind: WaitKind, subject: UUID, timeout: str, *, accepts_others: bool = False
) -> None:
    wait_service().register_wait(
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
