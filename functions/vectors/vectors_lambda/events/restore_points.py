"""Lambda task: restore parts of a collection, or let searches use it (statemachines/restore.asl.json)."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.backups.restored_points import Lane
from email_sender.kit.tasks.platform_step import has_time_left, platform_step
from email_sender.kit.telemetry import logger
from email_sender.vectors.jobs.transfer import PART_COUNT

# The longest time that a page may take. An invocation with less time left ends, and the state machine calls again.
_PAGE_MILLISECONDS = 120_000

type Parts = list[Annotated[int, Field(ge=0, lt=PART_COUNT)]]


class RestoreTask(BaseModel):
    step: Literal["points", "serve"]
    backup: Annotated[str, Field(pattern=r"^s3://[^/]+/.+[^/]$")]
    collection: str
    parts: Parts = []
    compared: Parts = []
    position: str = ""


@platform_step(RestoreTask)
def handler(task: RestoreTask, context: LambdaContext) -> dict[str, Any]:
    # Imported late, because the module loads Qdrant's gRPC protocol.
    from vectors_lambda.bootstrap.jobs import points_restore

    logger.append_keys(backup=task.backup, collection=task.collection)
    restore = points_restore(task.backup)
    if task.step == "serve":
        return {"points": restore.serve(task.collection)}
    lane = Lane(task.collection, task.parts, task.compared, task.position)
    left = restore.advance(lane, has_time_left(context, _PAGE_MILLISECONDS))
    return {**asdict(left), "done": left.done}
