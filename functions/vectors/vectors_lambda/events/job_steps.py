"""Lambda task: the steps of statemachines/vectors_job.asl.yaml."""

from typing import Annotated, Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.errors import DomainError
from email_sender.kit.tasks import own_manager, readable_cause, state_machine_error
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


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    step = Step.model_validate(event)
    logger.append_keys(job_id=str(step.job_id), step=step.step)
    try:
        # Imported late, because it loads Qdrant's gRPC protocol.
        from vectors_lambda.bootstrap.core import gate
        from vectors_lambda.bootstrap.jobs import job_steps

        gate().check(own_manager())

        return _run_step(step, job_steps(), context)
    except DomainError as error:
        raise state_machine_error(error) from error


def _run_step(step: Step, work: JobSteps, context: LambdaContext) -> dict[str, Any]:
    job_key = (step.tenant_id, step.job_id)
    match step.step:
        case "begin":
            phase, parts = work.begin(*job_key)
            return {"phase": phase, "parts": list(range(parts))}
        case "work":
            return {"done": work.work(*job_key, step.phase, step.part, lambda: _has_time(context))}
        case "follow":
            next_phase, parts = work.follow(*job_key, step.phase)
            if next_phase is not None:
                return {"next": "phase", "phase": next_phase, "parts": list(range(parts))}
            return {"next": "end" if step.phase is Phase.EXPORT else "switch", "phase": step.phase, "parts": []}
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


def _has_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() > _PAGE_MILLISECONDS
