"""Workflow actions of mail that send nothing: template.render, contacts.select."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from email_sender.kit.tasks import Action, TaskCall, task_handler
from email_sender.security.permissions import Permission
from messaging.bootstrap import contact_service, template_service, workflow_units


class RenderIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    template: Annotated[str, Field(min_length=1, max_length=200)]
    contact: UUID
    evidence: Annotated[list[UUID], Field(max_length=100)] = Field(default_factory=list)
    variables: dict[str, Any] = Field(default_factory=dict)

    @field_validator("evidence", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        # JSONata makes a single thing of a list of one.
        return value if isinstance(value, list) else [] if value is None else [value]


class SelectIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200)] = 50


def render(call: TaskCall) -> Mapping[str, Any]:
    asked = call.parse(RenderIn)
    draft = template_service().draft(
        call.tenant_id,
        run_id=call.run_id,
        step=call.step,
        item=call.item,
        template=asked.template,
        contact_id=asked.contact,
        evidence=asked.evidence,
        variables=asked.variables,
    )
    return {"draft_id": str(draft.id), "contact_id": str(draft.contact_id), "sha256": draft.sha256}


def select(call: TaskCall) -> Mapping[str, Any]:
    page = contact_service().page(call.tenant_id, None, call.parse(SelectIn).limit)
    return {"contacts": [{"id": str(each.id)} for each in page.items]}


handler = task_handler(
    {
        "template.render": Action(render, Permission.MESSAGING_WRITE),
        "contacts.select": Action(select, Permission.MESSAGING_READ),
    },
    workflow_units,
)
