"""Lambda task: back up parts of a collection (the points step of statemachines/backup.asl.json)."""

from typing import Annotated, Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.backups.model import backup_id_for
from email_sender.kit.tasks.platform_step import has_time_left, platform_step
from email_sender.kit.telemetry import logger
from email_sender.vectors.jobs.transfer import PART_COUNT

# The longest time that a page may take. An invocation with less time left ends, and the state machine calls again.
_PAGE_MILLISECONDS = 120_000


class PartsTask(BaseModel):
    execution: str
    collection: str
    parts: Annotated[list[Annotated[int, Field(ge=0, lt=PART_COUNT)]], Field(min_length=1)]


@platform_step(PartsTask)
def handler(task: PartsTask, context: LambdaContext) -> dict[str, Any]:
    # Imported late, because the module loads Qdrant's gRPC protocol.
    from vectors_lambda.bootstrap.jobs import points_backup

    backup_id = backup_id_for(task.execution)
    logger.append_keys(backup_id=str(backup_id), collection=task.collection)
    has_time = has_time_left(context, _PAGE_MILLISECONDS)
    return {"done": points_backup().copy_parts(backup_id, task.collection, task.parts, has_time)}
