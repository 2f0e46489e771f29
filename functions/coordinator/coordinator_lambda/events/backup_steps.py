"""The steps of statemachines/backup.asl.yaml except for the points, which only functions of vectors can read."""

from typing import Any, Literal

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from coordinator_lambda.bootstrap import backup_steps, platform_gate
from email_sender.backups.model import backup_id_for
from email_sender.errors import DomainError
from email_sender.kit.tasks import own_manager, readable_cause, state_machine_error
from email_sender.kit.telemetry import logger

# A dump stops when less time remains, so that it can end in order.
_LAST_MILLISECONDS = 30_000


class Step(BaseModel):
    step: Literal["begin", "dump", "close", "fail"]
    execution: str
    reason: str = ""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    step = Step.model_validate(event)
    logger.append_keys(backup_id=str(backup_id_for(step.execution)), step=step.step)
    try:
        return _run_step(step, context)
    except DomainError as error:
        raise state_machine_error(error) from error


def _run_step(step: Step, context: LambdaContext) -> dict[str, Any]:
    steps, backup_id = backup_steps(), backup_id_for(step.execution)
    match step.step:
        case "begin":
            # Later steps also run while the manager is stopped: a backup describes one moment.
            platform_gate().check(own_manager())
            return {"backup_id": str(backup_id), "location": steps.begin(backup_id).location}
        case "dump":
            lanes = steps.dump(backup_id, lambda: context.get_remaining_time_in_millis() > _LAST_MILLISECONDS)
            return {"lanes": [{"collection": lane.collection, "parts": list(lane.parts)} for lane in lanes]}
        case "close":
            manifest = steps.close(backup_id)
            rows = sum(table.rows for table in manifest.database.tables.values())
            points = sum(collection.points for collection in manifest.collections.values())
            logger.info("backup completed", rows=rows, points=points)
            location = steps.location(backup_id)
            return {"backup_id": str(backup_id), "location": location, "rows": rows, "points": points}
        case "fail":
            logger.error("backup failed")
            steps.fail(backup_id, readable_cause(step.reason))
    return {}
