"""Rings of triggers, by way of a queue: an event that a rule matched, or a schedule's time."""

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from email_sender.adapters.postgres.directory import Directory
from email_sender.adapters.postgres.events import PostgresEventLog
from email_sender.coordination.events import StoredEvent
from email_sender.coordination.recording import Owners
from email_sender.errors import NotFound
from email_sender.kit.envelopes import Envelope
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from email_sender.workflows.triggering import Ring
from workflows.bootstrap import trigger_service


class Rung(BaseModel):
    """What adapters.bells has rules and schedules send."""

    trigger_id: UUID
    event: Envelope | None = None
    scheduled_time: AwareDatetime | None = None


@cache
def _directory() -> Directory:
    return Directory(platform_database())


@cache
def _owners() -> Owners:
    return Owners(PostgresEventLog(platform_database()))


def start(rung: Rung) -> None:
    tenant_id = _directory().tenant_of_trigger(rung.trigger_id)
    if tenant_id is None:
        logger.warning("a ring of no trigger", trigger_id=str(rung.trigger_id))
        return
    if rung.event is None:
        ring = _time(rung.scheduled_time)
    else:
        event, ours = _owners().of(rung.event.event())
        if event.tenant_id != tenant_id:
            # Its rule pins the tenant; an event may still say of itself what is not so.
            logger.warning("an event that is not the tenant's", trigger_id=str(rung.trigger_id))
            return
        ring = _heard(event, event.payload["data"] if ours else event.payload)
    try:
        trigger_service().fire(tenant_id, rung.trigger_id, ring)
    except NotFound:
        logger.info("a trigger that is no more", trigger_id=str(rung.trigger_id))


def _time(scheduled: datetime | None) -> Ring:
    time = scheduled.isoformat() if scheduled else ""
    return Ring(time, {"schedule": {"time": time}})


def _heard(event: StoredEvent, data: Any) -> Ring:
    told = {
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "time": event.occurred_at.isoformat(),
        "data": data,
    }
    return Ring(str(event.id), {"event": told}, event.correlation_id)


handler = queue_handler(Rung, start)
