"""The engine's own word on executions that ended: from the default bus, by way of a queue."""

from functools import cache
from uuid import UUID

from pydantic import BaseModel, Field

from email_sender.adapters.postgres.directory import Directory
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from email_sender.workflows.ports import ExecutionStatus
from workflows.bootstrap import run_service


class _Detail(BaseModel):
    execution: str = Field(alias="executionArn")
    name: str
    status: str


class StatusChanged(BaseModel):
    """ "Step Functions Execution Status Change"."""

    detail: _Detail


@cache
def _directory() -> Directory:
    return Directory(platform_database())


def record(event: StatusChanged) -> None:
    """A run that said itself how it ended stays as it said."""
    try:
        run_id, status = UUID(event.detail.name), ExecutionStatus(event.detail.status.lower())
    except ValueError:
        logger.info("an execution that is no run of ours", status=event.detail.status)
        return
    tenant_id = _directory().tenant_of_run(run_id)
    if tenant_id is not None:
        run_service().reconcile(tenant_id, run_id, status)


handler = queue_handler(StatusChanged, record)
