"""The action event.publish: publish a custom event of the tenant."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from email_sender.coordination.tenant_events import build_tenant_event
from email_sender.kit.system_clock import now
from email_sender.kit.tasks.call import TaskCall
from workflows_lambda.bootstrap import workflow_units


class PublishIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(min_length=1, max_length=128)]
    data: dict[str, Any] = Field(default_factory=dict)


def publish(call: TaskCall) -> Mapping[str, Any]:
    arguments = call.parse(PublishIn)
    event = build_tenant_event(
        call.idempotency_key(),
        call.tenant_id,
        "workflow",
        arguments.type,
        arguments.data,
        now(),
        correlation_id=str(call.run_id),
    )
    with workflow_units()(call.tenant_id) as unit:
        unit.emit(event)
        unit.commit()
    return {"event_id": str(event.id)}
