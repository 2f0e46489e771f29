"""Lambda task: the steps of statemachines/vectors_job.asl.json."""

from typing import Annotated, Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.coordination.manager_gate import ManagerGate
from email_sender.kit.tasks.errors import readable_cause
from email_sender.kit.tasks.platform_step import has_time_left, platform_step
from email_sender.kit.telemetry import logger
from email_sender.vectors.jobs.model import Phase
from email_sender.vectors.jobs.steps import JobSteps

# The longest time that a page may take. An invocation with less time left ends, and the state machine calls again.
_PAGE_MILLISECONDS = 120_000


class Step(BaseModel):
    step: Literal["begin", "work", "follow", "catch_up", "switch", "settle", "finish", "fail"]
    tenant_id: UUID
    job_id: UUID
    phase: Phase = Phase.COPY
    part: Annotated[int, Field(ge=0)] = 0
    reason: str = ""


def _gate() -> ManagerGate:
    # Imported late, because the module loads Qdrant's gRPC protocol.
    from vectors_lambda.bootstrap.core import gate

    return gate()


@platform_step(Step, _gate)
def handler(step: Step, context: LambdaContext) -> dict[str, Any]:
    from vectors_lambda.bootstrap.jobs import job_steps

    logger.append_keys(job_id=str(step.job_id), step=step.step)
    return _run_step(step, job_steps(), context)


def _run_step(step: Step, work: JobSteps, context: LambdaContext) -> dict[str, Any]:
    job_key = (step.tenant_id, step.job_id)
    match step.step:
        case "begin":
            phase, parts = work.begin(*job_key)
            return {"phase": phase, "parts": list(range(parts))}
        case "work":
            return {"done": work.work(*job_key, step.phase, step.part, has_time_left(context, _PAGE_MILLISECONDS))}
        case "follow":
            next_phase, parts = work.follow(*job_key, step.phase)
            if next_phase is not None:
                return {"next": "phase", "phase": next_phase, "parts": list(range(parts))}
            is_over = step.phase in (Phase.EXPORT, Phase.REPAIR)
            return {"next": "end" if is_over else "switch", "phase": step.phase, "parts": []}
        case "catch_up":
            return {"done": work.catch_up(*job_key)}
        case "switch":
            return {"done": work.switch(*job_key)}
        case "settle":
            work.settle(*job_key)
        case "finish":
            work.finish(*job_key)
        case "fail":
            work.fail(*job_key, readable_cause(step.reason))
    return {}
