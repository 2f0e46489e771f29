"""The steps of statemachines/key_rotation.asl.json. Every day, without a step: start what is due, remove old keys."""

from datetime import timedelta
from math import ceil
from typing import Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from coordinator_lambda.bootstrap import directory
from coordinator_lambda.bootstrap_security import key_rotation, key_rotation_settings
from email_sender.adapters.postgres.database import admit_suspended
from email_sender.errors import DomainError
from email_sender.kit.tasks.platform_step import has_time_left, platform_step
from email_sender.kit.telemetry import logger

# A batch takes seconds at most.
_LAST_MILLISECONDS = 30_000


class Step(BaseModel):
    step: Literal["begin", "encrypt", "finish"]
    tenant_id: UUID
    version: int


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    # Suspended tenants too: their data is still there.
    with admit_suspended():
        return _run_step(event, context) if "step" in event else _tend(event, context)


@platform_step(Step)
def _run_step(step: Step, context: LambdaContext) -> dict[str, Any]:
    logger.append_keys(tenant_id=str(step.tenant_id), step=step.step)
    rotation = key_rotation()
    match step.step:
        case "begin":
            return {"wait_seconds": ceil(rotation.begin(step.tenant_id, step.version).total_seconds())}
        case "encrypt":
            return {"done": rotation.encrypt(step.tenant_id, step.version, has_time_left(context, _LAST_MILLISECONDS))}
        case "finish":
            rotation.finish(step.tenant_id, step.version)
            logger.info("key rotated", version=step.version)
    return {}


@logger.inject_lambda_context(clear_state=True)
def _tend(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    lifetime = timedelta(days=key_rotation_settings().key_rotation_days)
    time_left = has_time_left(context, _LAST_MILLISECONDS)
    removed = failed = 0
    tenants = directory().all_tenants()
    for tenant_id in tenants:
        try:
            removed += len(key_rotation().tend(tenant_id, lifetime, time_left))
        except DomainError:
            # The others must not keep their old keys because of one tenant.
            logger.exception("the keys of a tenant could not be rotated", tenant_id=str(tenant_id))
            failed += 1
    # Afterwards: one tenant with a long history must not keep the others from their rotation.
    for tenant_id in tenants:
        try:
            key_rotation().encrypt_plain(tenant_id, time_left)
        except DomainError:
            logger.exception("what an earlier release stored could not be encrypted", tenant_id=str(tenant_id))
            failed += 1
    return {"keys_removed": removed, "failed": failed}
