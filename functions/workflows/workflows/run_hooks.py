"""The end of a run, told by its machine; and by the engine, where the machine could not."""

from typing import Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.errors import NotFound
from email_sender.kit.tasks import words_of
from email_sender.kit.telemetry import logger
from email_sender.workflows.model import RunStatus, StepStatus
from workflows.bootstrap import run_service


class Ended(BaseModel):
    """What the compiler's last states send."""

    tenant_id: UUID
    run_id: UUID
    status: Literal["succeeded", "failed"]
    step: str | None = None
    error: str | None = None
    cause: str | None = None
    result: dict[str, Any] = Field(default_factory=dict)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    ended = Ended.model_validate(event)
    logger.append_keys(run_id=str(ended.run_id))
    error = None
    if ended.status == "failed":
        error = {"step": ended.step, "name": ended.error or "failed", "message": words_of(ended.cause)}
    statuses: dict[str, str] = ended.result.get("steps", {})
    inline = {step: StepStatus(status) for step, status in statuses.items() if status in set(StepStatus)}
    try:
        run_service().end(ended.tenant_id, ended.run_id, RunStatus(ended.status), error, inline=inline)
    except NotFound:
        # Asking again would find it no more: the machine tries hard, and should try for something.
        logger.warning("the run that ended is not there")
    return {}
