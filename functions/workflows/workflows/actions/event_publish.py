"""The action event.publish: an event of the tenant's own on the bus."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from email_sender.coordination.publishing import own_event
from email_sender.kit.ambient import now
from email_sender.kit.tasks import TaskCall
from workflows.bootstrap import workflow_units


class PublishIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(min_length=1, max_length=128)]
    data: dict[str, Any] = Field(default_factory=dict)


def publish(call: TaskCall) -> Mapping[str, Any]:
    asked = call.parse(PublishIn)
    event = own_event(
        call.key(), call.tenant_id, "workflow", asked.type, asked.data, now(), correlation_id=str(call.run_id)
    )
    with workflow_units()(call.tenant_id) as unit:
        unit.emit(event)
        unit.commit()
    return {"event_id": str(event.id)}
