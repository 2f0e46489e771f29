"""Workflow actions that are about the run itself: approval, event.publish."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from email_sender.coordination.publishing import own_event
from email_sender.errors import InvalidInput
from email_sender.kit.ambient import new_id, now
from email_sender.kit.tasks import Action, TaskCall, task_handler
from email_sender.security.permissions import Permission
from email_sender.workflows.durations import parse_duration
from email_sender.workflows.model import ShownDraft
from workflows.bootstrap import approval_service, engine, workflow_units


class _Draft(BaseModel):
    draft_id: UUID
    sha256: str


class ApprovalIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=200)]
    drafts: list[_Draft] = Field(default_factory=list)
    timeout: str = "P3D"
    on_timeout: Literal["approved", "denied"] = "denied"

    @field_validator("drafts", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        # JSONata makes a single thing of a list of one, and a skipped step gives null.
        listed = value if isinstance(value, list) else [value]
        return [each for each in listed if each is not None]


class PublishIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(min_length=1, max_length=128)]
    data: dict[str, Any] = Field(default_factory=dict)


def ask(call: TaskCall) -> Mapping[str, Any]:
    asked = call.parse(ApprovalIn)
    if call.task_token is None:
        raise InvalidInput("An approval needs a task token.")
    approval = approval_service().request(
        call.tenant_id,
        run_id=call.run_id,
        step=call.step,
        title=asked.title,
        drafts=[ShownDraft(each.draft_id, each.sha256) for each in asked.drafts],
        task_token=call.task_token,
        timeout=timedelta(seconds=parse_duration(asked.timeout)),
    )
    return {"approval_id": str(approval.id)}


def publish(call: TaskCall) -> Mapping[str, Any]:
    asked = call.parse(PublishIn)
    event = own_event(
        new_id(), call.tenant_id, "workflow", asked.type, asked.data, now(), correlation_id=str(call.run_id)
    )
    with workflow_units()(call.tenant_id) as unit:
        unit.emit(event)
        unit.commit()
    return {"event_id": str(event.id)}


handler = task_handler(
    {
        "approval": Action(ask, None, waits=True),
        "event.publish": Action(publish, Permission.EVENTS_PUBLISH),
    },
    workflow_units,
    lambda token, error, message: engine().refuse(token, error, message),
)
