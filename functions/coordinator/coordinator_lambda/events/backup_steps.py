"""The steps of statemachines/backup.asl.json except for the points, which only functions of vectors can read."""

from typing import Any, Literal

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from coordinator_lambda.bootstrap import backup_steps, platform_gate
from email_sender.backups.model import backup_id_for
from email_sender.kit.environment import own_manager
from email_sender.kit.tasks.errors import readable_cause
from email_sender.kit.tasks.platform_step import has_time_left, platform_step
from email_sender.kit.telemetry import logger

# A dump stops when less time remains, so that it can end in order.
_LAST_MILLISECONDS = 30_000


class Step(BaseModel):
    step: Literal["begin", "dump", "close", "fail"]
    execution: str
    reason: str = ""


@platform_step(Step)
def handler(step: Step, context: LambdaContext) -> dict[str, Any]:
    steps, backup_id = backup_steps(), backup_id_for(step.execution)
    logger.append_keys(backup_id=str(backup_id), step=step.step)
    match step.step:
        case "begin":
            # Later steps also run while the manager is stopped: a backup describes one moment.
            platform_gate().check(own_manager())
            return {"backup_id": str(backup_id), "location": steps.begin(backup_id).location}
        case "dump":
            lanes = steps.dump(backup_id, has_time_left(context, _LAST_MILLISECONDS))
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
