"""Lambda task: split a file of vectors into parts, and store the list of parts for the import's state machine."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender.errors import DomainError
from email_sender.kit.tasks import own_manager, state_machine_error
from email_sender.kit.telemetry import logger
from vectors_lambda.bootstrap.core import gate
from vectors_lambda.bootstrap.settings import import_settings
from vectors_lambda.bootstrap.vectors_imports import bulk_plan


class PlanTask(BaseModel):
    """The input from statemachines/vectors_import.asl.yaml."""

    tenant_id: UUID
    import_id: UUID


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    task = PlanTask.model_validate(event)
    logger.append_keys(import_id=str(task.import_id))
    try:
        gate().check(own_manager())
        key = bulk_plan().plan(task.tenant_id, task.import_id)
    except DomainError as error:
        raise state_machine_error(error) from error
    return {"bucket": import_settings().uploads_bucket, "key": key}
