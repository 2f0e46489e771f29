"""The action approval: a person approves or denies."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.errors import InvalidInput
from email_sender.kit.tasks.call import JsonataList, TaskCall
from email_sender.workflows.definition.durations import parse_duration
from email_sender.workflows.model import ShownDraft
from workflows_lambda.bootstrap import approval_service


class _Draft(BaseModel):
    draft_id: UUID
    sha256: str


class ApprovalIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=200)]
    drafts: Annotated[list[_Draft], JsonataList] = Field(default_factory=list)
    timeout: str = "P3D"
    on_timeout: Literal["approved", "denied"] = "denied"


def request_approval(call: TaskCall) -> Mapping[str, Any]:
    arguments = call.parse(ApprovalIn)
    if call.task_token is None:
        raise InvalidInput("An approval needs a task token.")
    approval = approval_service().request(
        call.tenant_id,
        run_id=call.run_id,
        step=call.step,
        title=arguments.title,
        drafts=[ShownDraft(draft.draft_id, draft.sha256) for draft in arguments.drafts],
        task_token=call.task_token,
        timeout=timedelta(seconds=parse_duration(arguments.timeout)),
    )
    return {"approval_id": str(approval.id)}
