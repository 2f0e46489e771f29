"""Some parts of a collection for a backup: the points' step of statemachines/backup.asl.yaml."""

from typing import Annotated, Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.backups.model import backup_of
from email_sender.errors import DomainError
from email_sender.kit.tasks import named_error
from email_sender.kit.telemetry import logger
from email_sender.vectors.transfer import PARTS

# What a page may take: an invocation that has less left ends, and the machine calls again.
_PAGE_MILLISECONDS = 120_000


class Lane(BaseModel):
    execution: str
    collection: str
    parts: Annotated[list[Annotated[int, Field(ge=0, lt=PARTS)]], Field(min_length=1)]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    lane = Lane.model_validate(event)
    backup_id = backup_of(lane.execution)
    logger.append_keys(backup_id=str(backup_id), collection=lane.collection)
    try:
        # Late: it loads the engine's protocol.
        from vectors.jobs import points_backup

        done = points_backup().work(
            backup_id, lane.collection, lane.parts, lambda: context.get_remaining_time_in_millis() > _PAGE_MILLISECONDS
        )
    except DomainError as error:
        raise named_error(error) from error
    return {"done": done}
