"""The steps of statemachines/vectors_job.asl.yaml."""

from typing import Annotated, Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.errors import DomainError
from email_sender.kit.tasks import named_error, own_manager, words_of
from email_sender.kit.telemetry import logger
from email_sender.vectors.job_model import Phase
from email_sender.vectors.job_steps import JobSteps

# What a page may take: an invocation that has less left ends, and the machine calls again.
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
        # Late: they load the engine's protocol.
        from vectors.bootstrap import gate
        from vectors.jobs import job_steps

        gate().check(own_manager())

        return _done(step, job_steps(), context)
    except DomainError as error:
        raise named_error(error) from error


def _done(step: Step, work: JobSteps, context: LambdaContext) -> dict[str, Any]:
    job = (step.tenant_id, step.job_id)
    match step.step:
        case "begin":
            phase, parts = work.begin(*job)
            return {"phase": phase, "parts": list(range(parts))}
        case "work":
            return {"done": work.work(*job, step.phase, step.part, lambda: _has_time(context))}
        case "follow":
            following, parts = work.follow(*job, step.phase)
            if following is not None:
                return {"next": "phase", "phase": following, "parts": list(range(parts))}
            return {"next": "end" if step.phase is Phase.EXPORT else "switch", "phase": step.phase, "parts": []}
        case "catch_up":
            return {"done": work.catch_up(*job)}
        case "switch":
            return {"done": work.switch(*job)}
        case "settle":
            work.settle(*job)
        case "finish":
            work.finish(*job)
        case "fail":
            work.fail(*job, words_of(step.reason))
    return {}


def _has_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() > _PAGE_MILLISECONDS
