"""Lambda task: back up parts of a collection (the points step of statemachines/backup.asl.yaml)."""

from typing import Annotated, Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.backups.model import backup_id_for
from email_sender.errors import DomainError
from email_sender.kit.tasks import state_machine_error
from email_sender.kit.telemetry import logger
from email_sender.vectors.jobs.transfer import PART_COUNT

# The longest time that a page may take. An invocation with less time left ends, and the state machine calls again.
_PAGE_MILLISECONDS = 120_000


class PartsTask(BaseModel):
    execution: str
    collection: str
    parts: Annotated[list[Annotated[int, Field(ge=0, lt=PART_COUNT)]], Field(min_length=1)]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    task = PartsTask.model_validate(event)
    backup_id = backup_id_for(task.execution)
    logger.append_keys(backup_id=str(backup_id), collection=task.collection)
    try:
        # Imported late, because it loads Qdrant's gRPC protocol.
        from vectors_lambda.bootstrap.jobs import points_backup

        is_done = points_backup().copy_parts(
            backup_id, task.collection, task.parts, lambda: context.get_remaining_time_in_millis() > _PAGE_MILLISECONDS
        )
    except DomainError as error:
        raise state_machine_error(error) from error
    return {"done": is_done}
