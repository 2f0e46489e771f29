"""The steps of statemachines/backup.asl.yaml that are not the points': vectors alone reaches those."""

from typing import Any, Literal

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from coordinator.bootstrap import backup_steps, platform_gate
from email_sender.backups.model import backup_of
from email_sender.errors import DomainError
from email_sender.kit.tasks import named_error, own_manager, words_of
from email_sender.kit.telemetry import logger

# What a dump has to end in once its time is over.
_LAST_MILLISECONDS = 30_000


class Step(BaseModel):
    step: Literal["begin", "dump", "close", "fail"]
    execution: str
    reason: str = ""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    step = Step.model_validate(event)
    logger.append_keys(backup_id=str(backup_of(step.execution)), step=step.step)
    try:
        return _done(step, context)
    except DomainError as error:
        raise named_error(error) from error


def _done(step: Step, context: LambdaContext) -> dict[str, Any]:
    work, backup_id = backup_steps(), backup_of(step.execution)
    match step.step:
        case "begin":
            # One that has begun goes on: what it holds is of one moment.
            platform_gate().check(own_manager())
            return {"backup_id": str(backup_id), "location": work.begin(backup_id).location}
        case "dump":
            lanes = work.dump(backup_id, lambda: context.get_remaining_time_in_millis() > _LAST_MILLISECONDS)
            return {"lanes": [{"collection": each.collection, "parts": list(each.parts)} for each in lanes]}
        case "close":
            made = work.close(backup_id)
            rows = sum(each.rows for each in made.database.tables.values())
            points = sum(each.points for each in made.collections.values())
            logger.info("a backup is whole", rows=rows, points=points)
            location = work.location(backup_id)
            return {"backup_id": str(backup_id), "location": location, "rows": rows, "points": points}
        case "fail":
            logger.error("a backup failed")
            work.fail(backup_id, words_of(step.reason))
    return {}
