"""Lambda handlers of workflow steps: each call runs one action and returns a small result.

A state machine passes what its compiler wrote (tenant, run, step, action) and the values of the user's expressions
(`with`). The handler reads the run again under the tenant's row-level security, so that the run id of another tenant is
not found, and checks the permission of the run's principal again.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID, uuid5

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from email_sender import errors
from email_sender.coordination.events import Event
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import Conflict, DomainError, InvalidInput, ManagerStopped, NotFound
from email_sender.kit.system_clock import new_id
from email_sender.kit.telemetry import logger
from email_sender.security.features import Feature, Features, require_feature
from email_sender.security.permissions import Permission, Role, require
from email_sender.workflows.model import OPEN_STATUSES, Run, StepRecord, StepStatus
from email_sender.workflows.ports import WorkflowUnits

# Step Functions limits the state of an execution to 256 KiB; a for_each of 200 items of this size still fits.
MAX_RESULT_BYTES = 1_200
_MAX_SINGLE_RESULT_BYTES = 64 * 1024
_MAX_MESSAGE_CHARACTERS = 1_000

# The names that Retry and Catch match: Lambda reports the class name of an exception as the name of the error.
_ERROR_NAMES: Mapping[type[DomainError], str] = {
    errors.RateLimited: "throttled",
    # State machines retry a stopped manager for a day, and an unavailable dependency for some minutes.
    errors.ManagerStopped: "stopped",
    errors.Unavailable: "unavailable",
    errors.InvalidInput: "invalid",
    errors.PayloadTooLarge: "invalid",
    errors.Forbidden: "forbidden",
    errors.NotFound: "not_found",
    errors.Conflict: "rejected",
}


class _TaskInput(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    tenant_id: UUID
    run_id: UUID
    action: str
    step: str
    item: int | None = None
    task_token: str | None = None
    arguments: dict[str, Any] = Field(alias="with", default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskCall:
    """One call of an action.

    `item` is the index in a for_each, and -1 outside of one. `arguments` is the step's `with` after evaluation.
    `lineage` lists the runs that this run continues, the first run first.
    """

    tenant_id: UUID
    run_id: UUID
    step: str
    item: int
    arguments: Mapping[str, Any]
    started_by: str
    role: Role
    task_token: str | None = None
    lineage: Sequence[UUID] = ()

    @property
    def origin(self) -> UUID:
        """The first run of the lineage. Work that may happen only once happens once for the whole lineage."""
        return self.lineage[0] if self.lineage else self.run_id

    def idempotency_key(self) -> UUID:
        """Return a key that is the same for this step and item in all runs of the lineage."""
        return uuid5(self.origin, f"{self.step}/{self.item}")

    def parse[M: BaseModel](self, model: type[M]) -> M:
        """Return the validated arguments.

        Raises:
            InvalidInput: with pointers that begin with `/with`.
        """
        try:
            return model.model_validate(self.arguments)
        except ValidationError as error:
            problems = [
                errors.Problem("/with" + "".join(f"/{part}" for part in detail["loc"]), detail["msg"])
                for detail in error.errors(include_input=False, include_url=False)
            ]
            summary = "; ".join(f"{problem.pointer}: {problem.message}" for problem in problems)
            raise InvalidInput(f"Step {self.step}: {summary}", problems) from None


def as_list(value: object) -> list[object]:
    """Return `value` as a list without nulls.

    JSONata turns a list of one into its element and an empty list into nothing. A skipped step returns null.
    """
    elements = value if isinstance(value, list) else [value]
    return [element for element in elements if element is not None]


# Annotates the list fields of a step's `with`.
JsonataList = BeforeValidator(as_list)


@dataclass(frozen=True, slots=True)
class Action:
    """What a task handler runs for an action.

    `permission` None: the action checks permissions itself. `waits`: the action responds later, through the task token.
    `feature`: the flag that can turn the action off, for everybody or for some tenants.

    The result of a step that has succeeded is final: later calls return it and do not run the action again.
    """

    run: Callable[[TaskCall], Mapping[str, Any]]
    permission: Permission | None
    waits: bool = False
    feature: Feature | None = None


class TaskCallbacks(Protocol):
    """The part of workflows.ports.Engine that a task uses."""

    def send_task_success(self, task_token: str, result: Mapping[str, Any]) -> None: ...

    def send_task_failure(self, task_token: str, error: str, message: str) -> None: ...


def task_handler(
    actions: Mapping[str, Action],
    units: Callable[[], WorkflowUnits],
    gate: Callable[[], ManagerGate],
    engine: Callable[[], TaskCallbacks] | None = None,
    features: Callable[[], Features] | None = None,
) -> Callable[[dict[str, Any], LambdaContext], Mapping[str, Any]]:
    """Return the Lambda handler of these actions, by name. While its manager is stopped it runs none and loses none.

    `engine` passes the stored result of an earlier call, or an error that occurs after the action accepted the task
    token, to the waiting step; not every engine accepts the function's own error for that. `features` decides whether
    actions with a feature are enabled.

    Raises:
        ValueError: an action has a feature, but `features` is None.
    """
    if features is None and any(action.feature for action in actions.values()):
        raise ValueError("An action has a feature, but the handler has no features.")

    @logger.inject_lambda_context(clear_state=True)
    def handler(event: dict[str, Any], _context: LambdaContext) -> Mapping[str, Any]:
        started_at, timer_start = datetime.now(UTC), time.perf_counter()
        try:
            task_input = _TaskInput.model_validate(event)
        except ValidationError as error:
            raise state_machine_error(InvalidInput(f"The task input has {error.error_count()} problems.")) from None
        item = -1 if task_input.item is None else task_input.item
        logger.append_keys(run_id=str(task_input.run_id), step=task_input.step, item=item)
        try:
            action = actions.get(task_input.action)
            if action is None:
                raise InvalidInput(f"This function has no action {task_input.action!r}.")
            gate().check(own_manager())
            run, stored_result = _open_run(units(), task_input, item)
            if stored_result is not None:
                if task_input.task_token is not None and engine is not None:
                    engine().send_task_success(task_input.task_token, stored_result)
                return stored_result
            call = _build_call(task_input, item, run)
            if action.permission is not None:
                require(call.role, action.permission)
            if action.feature is not None and features is not None:
                require_feature(features(), action.feature, call.tenant_id)
            result = action.run(call)
            _check_size(result, item)
        except DomainError as error:
            failure = state_machine_error(error)
            record = StepRecord(
                task_input.step,
                item,
                task_input.action,
                StepStatus.FAILED,
                started_at,
                error={"name": type(failure).__name__, "message": str(failure)[:_MAX_MESSAGE_CHARACTERS]},
                finished_at=datetime.now(UTC),
            )
            if not isinstance(error, ManagerStopped):
                _record_step(units(), task_input, record, None)
            if task_input.task_token is not None and engine is not None:
                engine().send_task_failure(task_input.task_token, type(failure).__name__, str(failure))
            raise failure from error
        if not action.waits:
            record = StepRecord(
                task_input.step,
                item,
                task_input.action,
                StepStatus.SUCCEEDED,
                started_at,
                result=result,
                finished_at=datetime.now(UTC),
            )
            _record_step(units(), task_input, record, int((time.perf_counter() - timer_start) * 1000))
        return result

    return handler


def own_manager() -> str:
    """Return the name of the manager that this function belongs to, from the environment."""
    return os.environ["MANAGER"]


def state_machine_error(error: DomainError) -> Exception:
    """Return an exception whose class has the name under which state machines match the error."""
    name = next((_ERROR_NAMES[kind] for kind in type(error).__mro__ if kind in _ERROR_NAMES), "internal")
    kind: type[Exception] = type(name, (Exception,), {})
    return kind(error.detail)


def readable_cause(cause: str | None) -> str:
    """Return the part of a state's Cause that users may read.

    Lambda reports the error's type, message and stack as JSON. Messages of domain errors are written for users. The
    message of any other error may contain anything, and stays in the logs.
    """
    if not cause:
        return ""
    try:
        details = json.loads(cause)
    except ValueError:
        return cause[:_MAX_MESSAGE_CHARACTERS]
    if not isinstance(details, dict):
        return cause[:_MAX_MESSAGE_CHARACTERS]
    if details.get("errorType") in _ERROR_NAMES.values():
        return str(details.get("errorMessage", ""))[:_MAX_MESSAGE_CHARACTERS]
    return "An internal error occurred. See the logs for details."


def _open_run(units: WorkflowUnits, task_input: _TaskInput, item: int) -> tuple[Run, Mapping[str, Any] | None]:
    """Return the run, and the stored result if the step has already succeeded.

    That is the case if the function died before it could respond, or if an earlier run of the lineage completed it.
    """
    with units(task_input.tenant_id) as unit:
        run = unit.runs.get(task_input.run_id)
        stored_step = unit.runs.step(task_input.run_id, task_input.step, item) if run else None
    if run is None:
        raise NotFound("Run not found.")
    if run.status not in OPEN_STATUSES:
        raise Conflict(f"The run has already ended with the status {run.status}.")
    has_result = (
        stored_step is not None
        and stored_step.status is StepStatus.SUCCEEDED
        and stored_step.action == task_input.action
    )
    return run, stored_step.result or {} if stored_step is not None and has_result else None


def _build_call(task_input: _TaskInput, item: int, run: Run) -> TaskCall:
    return TaskCall(
        tenant_id=task_input.tenant_id,
        run_id=task_input.run_id,
        step=task_input.step,
        item=item,
        arguments=task_input.arguments,
        started_by=run.started_by,
        role=run.role,
        task_token=task_input.task_token,
        lineage=run.lineage,
    )


def _check_size(result: Mapping[str, Any], item: int) -> None:
    size = len(json.dumps(result).encode())
    limit = _MAX_SINGLE_RESULT_BYTES if item < 0 else MAX_RESULT_BYTES
    if size > limit:
        raise InvalidInput(f"The result has {size} bytes. The result of a step may have at most {limit} bytes.")


def _record_step(units: WorkflowUnits, task_input: _TaskInput, record: StepRecord, took_ms: int | None) -> None:
    with units(task_input.tenant_id) as unit:
        run = unit.runs.get(task_input.run_id)
        # Record a success even if the run has ended. A failure is not recorded then: its cause is that the run ended.
        if run is None or (record.status is StepStatus.FAILED and run.status not in OPEN_STATUSES):
            return
        unit.runs.record(task_input.run_id, record)
        if took_ms is not None:
            unit.emit(
                Event(
                    id=new_id(),
                    type="run.step.completed",
                    area="workflows",
                    tenant_id=task_input.tenant_id,
                    aggregate_id=str(task_input.run_id),
                    occurred_at=datetime.now(UTC),
                    correlation_id=str(task_input.run_id),
                    data={
                        "run_id": str(task_input.run_id),
                        "step": record.step,
                        "item": None if record.item < 0 else record.item,
                        "action": record.action,
                        "took_ms": took_ms,
                    },
                )
            )
        unit.commit()
