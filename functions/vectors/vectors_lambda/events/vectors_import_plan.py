"""Lambda task: split a file of vectors into parts, and store the list of parts for the import's state machine."""

from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender.kit.tasks.platform_step import platform_step
from email_sender.kit.telemetry import logger
from vectors_lambda.bootstrap.core import gate
from vectors_lambda.bootstrap.settings import import_settings
from vectors_lambda.bootstrap.vectors_imports import bulk_plan


class PlanTask(BaseModel):
    """The input from statemachines/vectors_import.asl.json."""

    tenant_id: UUID
    import_id: UUID


@platform_step(PlanTask, gate)
def handler(task: PlanTask, _context: LambdaContext) -> dict[str, str]:
    logger.append_keys(import_id=str(task.import_id))
    key = bulk_plan().plan(task.tenant_id, task.import_id)
    return {"bucket": import_settings().uploads_bucket, "key": key}
