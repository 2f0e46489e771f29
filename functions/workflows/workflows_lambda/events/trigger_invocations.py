"""Start runs for trigger invocations from a queue: events that matched a rule, and schedules' times."""

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from email_sender.adapters.postgres.event_log import PostgresEventLog
from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.coordination.event_recorder import EventOwnership
from email_sender.coordination.events import StoredEvent
from email_sender.errors import NotFound
from email_sender.kit.eventbridge_envelopes import Envelope
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from email_sender.workflows.triggers.service import TriggerInvocation
from workflows_lambda.bootstrap import trigger_service


class TriggerMessage(BaseModel):
    """The message that triggers' EventBridge rules and schedules send to the queue."""

    trigger_id: UUID
    event: Envelope | None = None
    scheduled_time: AwareDatetime | None = None


@cache
def _directory() -> TenantDirectory:
    return TenantDirectory(platform_database())


@cache
def _owners() -> EventOwnership:
    return EventOwnership(PostgresEventLog(platform_database()))


def start(message: TriggerMessage) -> None:
    tenant_id = _directory().tenant_of_trigger(message.trigger_id)
    if tenant_id is None:
        logger.warning("The trigger does not exist", trigger_id=str(message.trigger_id))
        return
    if message.event is None:
        invocation = _schedule_invocation(message.scheduled_time)
    else:
        event, is_platform_event = _owners().resolve(message.event.to_bus_event())
        if event.tenant_id != tenant_id:
            # The rule filters by tenant, but an event can contain a false tenant id.
            logger.warning("The event belongs to another tenant than the trigger", trigger_id=str(message.trigger_id))
            return
        invocation = _event_invocation(event, event.payload["data"] if is_platform_event else event.payload)
    try:
        trigger_service().fire(tenant_id, message.trigger_id, invocation)
    except NotFound:
        logger.info("The trigger is no longer active", trigger_id=str(message.trigger_id))


def _schedule_invocation(scheduled_time: datetime | None) -> TriggerInvocation:
    time = scheduled_time.isoformat() if scheduled_time else ""
    return TriggerInvocation(time, {"schedule": {"time": time}})


def _event_invocation(event: StoredEvent, data: Any) -> TriggerInvocation:
    event_inputs = {
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "time": event.occurred_at.isoformat(),
        "data": data,
    }
    return TriggerInvocation(str(event.id), {"event": event_inputs}, event.correlation_id)


handler = queue_handler(TriggerMessage, start)
