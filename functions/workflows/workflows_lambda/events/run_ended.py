"""Record the end of a run. A run's state machine calls this function in its last states."""

from typing import Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.errors import NotFound
from email_sender.kit.tasks.errors import readable_cause
from email_sender.kit.telemetry import logger
from email_sender.workflows.model import RunStatus, StepStatus
from workflows_lambda.bootstrap import run_service


class RunEnd(BaseModel):
    """The payload of the state machine's last states (see workflows.compiler.compiler)."""

    tenant_id: UUID
    run_id: UUID
    status: Literal["succeeded", "failed"]
    step: str | None = None
    error: str | None = None
    cause: str | None = None
    result: dict[str, Any] = Field(default_factory=dict)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    run_end = RunEnd.model_validate(event)
    logger.append_keys(run_id=str(run_end.run_id))
    error = None
    if run_end.status == "failed":
        error = {"step": run_end.step, "name": run_end.error or "failed", "message": readable_cause(run_end.cause)}
    statuses: dict[str, str] = run_end.result.get("steps", {})
    inline = {step: StepStatus(status) for step, status in statuses.items() if status in set(StepStatus)}
    try:
        run_service().end(run_end.tenant_id, run_end.run_id, RunStatus(run_end.status), error, inline=inline)
    except NotFound:
        # A retry would not find the run either, so the hook succeeds and the state machine does not retry it.
        logger.warning("The run that ended does not exist")
    return {}
