"""Lambda task: the steps of an import that use only PostgreSQL and the bucket: plan, finish and fail."""

from typing import Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender.errors import DomainError
from email_sender.kit.tasks import readable_cause, state_machine_error
from email_sender.kit.telemetry import logger
from vectors_lambda.bootstrap.core import import_steps


class Step(BaseModel):
    """The input from statemachines/mailbox_import.asl.yaml and statemachines/vectors_import.asl.yaml."""

    step: Literal["plan", "finish", "fail"]
    tenant_id: UUID
    import_id: UUID
    reason: str = ""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    step = Step.model_validate(event)
    logger.append_keys(import_id=str(step.import_id))
    work = import_steps()
    try:
        if step.step == "plan":
            chunks = work.plan(step.tenant_id, step.import_id)
            return {
                "chunks": [
                    {"ordinal": chunk.ordinal, "offset": chunk.offset, "length": chunk.length, "first": chunk.first}
                    for chunk in chunks
                ]
            }
        if step.step == "finish":
            return {"messages": work.finish(step.tenant_id, step.import_id).messages}
        work.fail(step.tenant_id, step.import_id, readable_cause(step.reason))
    except DomainError as error:
        raise state_machine_error(error) from error
    return {}
