"""Lambda task: the steps of an import that use only PostgreSQL and the bucket: plan, finish and fail."""

from dataclasses import asdict
from typing import Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender.kit.tasks.errors import readable_cause
from email_sender.kit.tasks.platform_step import platform_step
from email_sender.kit.telemetry import logger
from vectors_lambda.bootstrap.core import import_steps


class Step(BaseModel):
    """The input from statemachines/mailbox_import.asl.json and statemachines/vectors_import.asl.json."""

    step: Literal["plan", "finish", "fail"]
    tenant_id: UUID
    import_id: UUID
    reason: str = ""


@platform_step(Step)
def handler(step: Step, _context: LambdaContext) -> dict[str, Any]:
    logger.append_keys(import_id=str(step.import_id))
    work = import_steps()
    match step.step:
        case "plan":
            return {"chunks": [asdict(chunk) for chunk in work.plan(step.tenant_id, step.import_id)]}
        case "finish":
            return {"messages": work.finish(step.tenant_id, step.import_id).messages}
        case "fail":
            work.fail(step.tenant_id, step.import_id, readable_cause(step.reason))
    return {}
