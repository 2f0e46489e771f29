"""The actions email.wait_for_reply and workflow.call: something of ours comes to its end, and the step goes on."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.errors import InvalidInput
from email_sender.kit.tasks import TaskCall
from email_sender.workflows.durations import parse_duration
from email_sender.workflows.model import WaitKind
from workflows.bootstrap import engine, run_service, wait_service


class ReplyIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: UUID
    timeout: str = "P3D"


class CallIn(BaseModel):
    """`workflow` is a name or an id."""

    model_config = ConfigDict(extra="forbid")

    workflow: Annotated[str, Field(min_length=1, max_length=255)]
    inputs: dict[str, Any] = Field(default_factory=dict)
    wait: bool = True
    timeout: str = "P7D"


def wait_for_reply(call: TaskCall) -> Mapping[str, Any]:
    """An email of another tenant is never answered, since nobody sees it: the wait ends with its time."""
    asked = call.parse(ReplyIn)
    _wait(call, WaitKind.REPLY, asked.email, asked.timeout)
    wait_service().settle(call.tenant_id, asked.email)
    return {"email": str(asked.email)}


def call_workflow(call: TaskCall) -> Mapping[str, Any]:
    """The wait is stored before the run begins: one that ends at once finds who waits for it."""
    asked = call.parse(CallIn)
    called = call.key()
    if asked.wait:
        _wait(call, WaitKind.RUN, called, asked.timeout)
    run = run_service().call(call.tenant_id, called, asked.workflow, asked.inputs, call.run_id)
    if asked.wait:
        wait_service().settle(call.tenant_id, called)
    else:
        engine().answer(_token(call), {"run_id": str(run.id), "status": str(run.status)})
    return {"run_id": str(run.id)}


def _wait(call: TaskCall, kind: WaitKind, subject: UUID, timeout: str) -> None:
    wait_service().ask(
        call.tenant_id,
        run_id=call.run_id,
        step=call.step,
        item=call.item,
        kind=kind,
        subject=subject,
        task_token=_token(call),
        timeout=timedelta(seconds=parse_duration(timeout)),
    )


def _token(call: TaskCall) -> str:
    if call.task_token is None:
        raise InvalidInput("A step that waits needs a task token.")
    return call.task_token
