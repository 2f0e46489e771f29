"""Lambda handlers of workflow steps: each call runs one action and returns a small result.

A state machine passes what its compiler wrote (tenant, run, step, action) and the values of the user's expressions
(`with`). The handler reads the run again under the tenant's row-level security, so that the run id of another tenant is
not found, and checks the permission of the run's principal again.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from email_sender import tracing
from email_sender.coordination.events import EventFactory
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import Conflict, DomainError, InvalidInput, ManagerStopped, NotFound
from email_sender.kit.environment import own_manager
from email_sender.kit.system_clock import new_id, now
from email_sender.kit.tasks.call import TaskCall, TaskInput
from email_sender.kit.tasks.errors import state_machine_error
from email_sender.kit.telemetry import log_trace, logger
from email_sender.security.acting import acting_as
from email_sender.security.features import Feature, Features, require_feature
from email_sender.security.permissions import Permission, require
from email_sender.workflows.model import OPEN_STATUSES, Run, StepRecord, StepStatus
from email_sender.workflows.ports import WorkflowUnits

# Step Functions limits the state of an execution to 256 KiB; a for_each of 200 items of this size still fits.
MAX_RESULT_BYTES = 1_200
_MAX_SINGLE_RESULT_BYTES = 64 * 1024
_MAX_MESSAGE_CHARACTERS = 1_000
_EVENTS = EventFactory("workflows", now, new_id)


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
    """The part of workflows.ports.WorkflowEngine that a task uses."""

    def send_task_success(self, task_token: str, result: Mapping[str, Any]) -> None: ...

    def send_task_failure(self, task_token: str, error: str, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _OpenRun:
    """The run of a task. `stored_result` is set if the step has already succeeded."""

    run: Run
    stored_result: Mapping[str, Any] | None


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
    def handler(event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
        with tracing.invocation("task", "internal"):
            return run_task(event, context)

    def run_task(event: dict[str, Any], _context: LambdaContext) -> Mapping[str, Any]:
        started_at, timer_start = now(), time.perf_counter()
        try:
            task_input = TaskInput.model_validate(event)
        except ValidationError as error:
            raise state_machine_error(InvalidInput(f"The task input has {error.error_count()} problems.")) from None
        item = -1 if task_input.item is None else task_input.item
        logger.append_keys(
            tenant_id=str(task_input.tenant_id), run_id=str(task_input.run_id), step=task_input.step, item=item
        )
        tracing.describe(
            f"task {task_input.action}",
            tenant__id=str(task_input.tenant_id),
            run__id=str(task_input.run_id),
            run__step=task_input.step,
        )
        recorder = _StepRecorder(units(), task_input, item, started_at)
        try:
            action = actions.get(task_input.action)
            if action is None:
                raise InvalidInput(f"This function has no action {task_input.action!r}.")
            gate().check(own_manager())
            open_run = recorder.open_run()
            tracing.join(open_run.run.traceparent)
            log_trace()
            if open_run.stored_result is not None:
                if task_input.task_token is not None and engine is not None:
                    engine().send_task_success(task_input.task_token, open_run.stored_result)
                return open_run.stored_result
            call = _build_call(task_input, item, open_run.run)
            if action.permission is not None:
                require(call.role, action.permission)
            if action.feature is not None and features is not None:
                require_feature(features(), action.feature, call.tenant_id)
            with acting_as(call.started_by):
                result = action.run(call)
            _check_size(result, item)
        except DomainError as error:
            failure = state_machine_error(error)
            if not isinstance(error, ManagerStopped):
                recorder.record_failure(failure)
            if task_input.task_token is not None and engine is not None:
                engine().send_task_failure(task_input.task_token, type(failure).__name__, str(failure))
            raise failure from error
        if not action.waits:
            recorder.record_success(result, int((time.perf_counter() - timer_start) * 1000))
        return result

    return handler


class _StepRecorder:
    """Reads the run of a task and records the outcome of its step."""

    def __init__(self, units: WorkflowUnits, task_input: TaskInput, item: int, started_at: datetime) -> None:
        self._units, self._task_input, self._item, self._started_at = units, task_input, item, started_at

    def open_run(self) -> _OpenRun:
        """Return the run, and the stored result if the step has already succeeded.

        That is the case if the function died before it could respond, or if an earlier run of the lineage completed it.

        Raises:
            NotFound: the run does not exist in this tenant.
            Conflict: the run has already ended.
        """
        task_input = self._task_input
        with self._units(task_input.tenant_id) as unit:
            run = unit.runs.get(task_input.run_id)
            stored_step = unit.runs.step(task_input.run_id, task_input.step, self._item) if run else None
        if run is None:
            raise NotFound("Run not found.")
        if run.status not in OPEN_STATUSES:
            raise Conflict(f"The run has already ended with the status {run.status}.")
        if stored_step is None or stored_step.status is not StepStatus.SUCCEEDED:
            return _OpenRun(run, None)
        return _OpenRun(run, stored_step.result or {} if stored_step.action == task_input.action else None)

    def record_success(self, result: Mapping[str, Any], took_ms: int) -> None:
        """Record the result, even if the run has ended, and publish run.step.completed."""
        self._record(self._build_record(StepStatus.SUCCEEDED, result=result), took_ms)

    def record_failure(self, failure: Exception) -> None:
        """Record the failure of an open run. If the run has ended, the end of the run is the cause of the failure."""
        error = {"name": type(failure).__name__, "message": str(failure)[:_MAX_MESSAGE_CHARACTERS]}
        self._record(self._build_record(StepStatus.FAILED, error=error), None)

    def _build_record(
        self, status: StepStatus, *, result: Mapping[str, Any] | None = None, error: Mapping[str, str] | None = None
    ) -> StepRecord:
        return StepRecord(
            self._task_input.step,
            self._item,
            self._task_input.action,
            status,
            self._started_at,
            result=result,
            error=error,
            finished_at=now(),
        )

    def _record(self, record: StepRecord, took_ms: int | None) -> None:
        tenant_id, run_id = self._task_input.tenant_id, self._task_input.run_id
        with self._units(tenant_id) as unit:
            run = unit.runs.get(run_id)
            if run is None or (record.status is StepStatus.FAILED and run.status not in OPEN_STATUSES):
                return
            unit.runs.record(run_id, record)
            if took_ms is not None:
                data = {
                    "run_id": str(run_id),
                    "step": record.step,
                    "item": None if record.item < 0 else record.item,
                    "action": record.action,
                    "took_ms": took_ms,
                }
                unit.emit(_EVENTS.build("run.step.completed", tenant_id, run_id, data, correlation_id=run_id))
            unit.commit()


def _build_call(task_input: TaskInput, item: int, run: Run) -> TaskCall:
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
