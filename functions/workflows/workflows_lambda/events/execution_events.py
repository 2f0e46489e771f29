"""Record runs whose executions ended, from Step Functions events that a queue delivers."""

from functools import cache
from uuid import UUID

from pydantic import BaseModel, Field

from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.tasks.errors import readable_cause
from email_sender.kit.telemetry import logger
from email_sender.workflows.ports import ExecutionStatus
from workflows_lambda.bootstrap import run_service


class _Detail(BaseModel):
    execution: str = Field(alias="executionArn")
    name: str
    status: str
    error: str | None = None
    cause: str | None = None


class StatusChanged(BaseModel):
    """The EventBridge event "Step Functions Execution Status Change"."""

    detail: _Detail


@cache
def _directory() -> TenantDirectory:
    return TenantDirectory(platform_database())


def record(event: StatusChanged) -> None:
    """Record the end of the execution's run. A run whose end is already recorded does not change."""
    try:
        run_id, status = UUID(event.detail.name), ExecutionStatus(event.detail.status.lower())
    except ValueError:
        logger.info("The execution is not a workflow run", status=event.detail.status)
        return
    tenant_id = _directory().tenant_of_run(run_id)
    if tenant_id is not None:
        cause = ": ".join(text for text in (event.detail.error, readable_cause(event.detail.cause)) if text)
        run_service().reconcile(tenant_id, run_id, status, cause)


handler = queue_handler(StatusChanged, record)
