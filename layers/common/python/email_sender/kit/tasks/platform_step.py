"""Lambda handlers of the steps of the platform's own state machines (statemachines/)."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender import tracing
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import DomainError
from email_sender.kit.environment import own_manager
from email_sender.kit.tasks.errors import state_machine_error
from email_sender.kit.telemetry import logger

type StepHandler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


def platform_step[M: BaseModel](
    model: type[M], gate: Callable[[], ManagerGate] | None = None
) -> Callable[[Callable[[M, LambdaContext], dict[str, Any]]], StepHandler]:
    """Turn a function of (validated input, context) into a Lambda handler.

    With `gate`, the handler fails with `stopped` while its manager is stopped. Errors of the domain are raised under
    the names that the state machine's Retry and Catch match.
    """

    def decorate(run: Callable[[M, LambdaContext], dict[str, Any]]) -> StepHandler:
        @logger.inject_lambda_context(clear_state=True)
        @wraps(run)
        def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            step = model.model_validate(event)
            try:
                if gate is not None:
                    gate().check(own_manager())
                with tracing.invocation(run.__module__.rpartition(".")[2], "internal"):
                    return run(step, context)
            except DomainError as error:
                raise state_machine_error(error) from error

        return handler

    return decorate


def has_time_left(context: LambdaContext, milliseconds: int) -> Callable[[], bool]:
    """Return a function that returns whether the invocation still has more than `milliseconds`."""
    return lambda: context.get_remaining_time_in_millis() > milliseconds
