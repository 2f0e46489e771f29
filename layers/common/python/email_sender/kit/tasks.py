"""Handlers of workflow steps: one action in, a small result out.

A machine calls a task with what its compiler wrote (tenant, run, step, action) and what the user's expressions gave
(`with`). The run is read again under the tenant's row-level security, so a run id of another tenant is not found, and
the permission of the principal it acts for is checked here once more.
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
from email_sender.coordination.gate import Gate
from email_sender.errors import Conflict, DomainError, InvalidInput, ManagerStopped, NotFound
from email_sender.kit.ambient import new_id
from email_sender.kit.telemetry import logger
from email_sender.security.features import Feature, Features, require_feature
from email_sender.security.permissions import Permission, Role, require
from email_sender.workflows.model import OPEN, Run, StepRecord, StepStatus
from email_sender.workflows.ports import WorkflowUnits

# Step Functions stops a run at 256 KiB of state; a for_each of 200 items of this size still fits.
MAX_RESULT_BYTES = 1_200
_MAX_SINGLE_RESULT_BYTES = 64 * 1024
_MAX_WORDS = 1_000

# What Retry and Catch match: Lambda reports an exception's class name as the error's name.
_NAMES: Mapping[type[DomainError], str] = {
    errors.RateLimited: "throttled",
    # Machines wait for it a day, where they wait for what is unavailable some minutes.
    errors.ManagerStopped: "stopped",
    errors.Unavailable: "unavailable",
    errors.InvalidInput: "invalid",
    errors.PayloadTooLarge: "invalid",
    errors.Forbidden: "forbidden",
    errors.NotFound: "not_found",
    errors.Conflict: "rejected",
}


class _Envelope(BaseModel):
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
    """`item` is -1 outside a for_each. `arguments` is the step's `with`, evaluated."""

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
        """The run whose work this one continues: what may happen once happens once for all of them."""
        return self.lineage[0] if self.lineage else self.run_id

    def key(self) -> UUID:
        """One for this step and item, in this run and in those that go on from it."""
        return uuid5(self.origin, f"{self.step}/{self.item}")

    def parse[M: BaseModel](self, model: type[M]) -> M:
        """Raises InvalidInput with pointers into `with`."""
        try:
            return model.model_validate(self.arguments)
        except ValidationError as error:
            problems = [
                errors.Problem("/with" + "".join(f"/{part}" for part in each["loc"]), each["msg"])
                for each in error.errors(include_input=False, include_url=False)
            ]
            words = "; ".join(f"{each.pointer}: {each.message}" for each in problems)
            raise InvalidInput(f"Step {self.step}: {words}", problems) from None


def as_list(value: object) -> list[object]:
    """JSONata makes a single thing of a list of one, nothing of an empty one, and null of what a skipped step gives."""
    listed = value if isinstance(value, list) else [value]
    return [each for each in listed if each is not None]


# For the lists in a step's `with`.
Listed = BeforeValidator(as_list)


@dataclass(frozen=True, slots=True)
class Action:
    """`permission` None: the action checks by itself. `waits`: it answers later, by the task token.

    `feature` may be off, for everybody or for some tenants.

    What a step once succeeded in is its answer for ever: it is not run again, whoever asks again.
    """

    run: Callable[[TaskCall], Mapping[str, Any]]
    permission: Permission | None
    waits: bool = False
    feature: Feature | None = None


class Answers(Protocol):
    """What of the engine a task needs (workflows.ports.Engine)."""

    def answer(self, task_token: str, result: Mapping[str, Any]) -> None: ...

    def refuse(self, task_token: str, error: str, message: str) -> None: ...


def task_handler(
    actions: Mapping[str, Action],
    units: Callable[[], WorkflowUnits],
    gate: Callable[[], Gate],
    engine: Callable[[], Answers] | None = None,
    features: Callable[[], Features] | None = None,
) -> Callable[[dict[str, Any], LambdaContext], Mapping[str, Any]]:
    """The Lambda handler for these actions, by name. While its manager is stopped none is done, and none is lost.

    `engine` tells a waiting step that its action failed after taking the token (not every engine takes the function's
    own error for that), or what it gave before. `features` is asked by actions that have one.

    Raises:
        ValueError: an action may be off, and nobody is there to say so.
    """
    if features is None and any(each.feature for each in actions.values()):
        raise ValueError("an action has a feature, and this handler knows none")

    @logger.inject_lambda_context(clear_state=True)
    def handler(event: dict[str, Any], _context: LambdaContext) -> Mapping[str, Any]:
        started, clock = datetime.now(UTC), time.perf_counter()
        try:
            envelope = _Envelope.model_validate(event)
        except ValidationError as error:
            raise named_error(InvalidInput(f"Not a task of ours: {error.error_count()} problems.")) from None
        item = -1 if envelope.item is None else envelope.item
        logger.append_keys(run_id=str(envelope.run_id), step=envelope.step, item=item)
        try:
            action = actions.get(envelope.action)
            if action is None:
                raise InvalidInput(f"This function has no action {envelope.action!r}.")
            gate().check(own_manager())
            run, before = _open_run(units(), envelope, item)
            if before is not None:
                if envelope.task_token is not None and engine is not None:
                    engine().answer(envelope.task_token, before)
                return before
            call = _call(envelope, item, run)
            if action.permission is not None:
                require(call.role, action.permission)
            if action.feature is not None and features is not None:
                require_feature(features(), action.feature, call.tenant_id)
            result = action.run(call)
            _check_size(result, item)
        except DomainError as error:
            failure = named_error(error)
            record = StepRecord(
                envelope.step,
                item,
                envelope.action,
                StepStatus.FAILED,
                started,
                error={"name": type(failure).__name__, "message": str(failure)[:_MAX_WORDS]},
                finished_at=datetime.now(UTC),
            )
            if not isinstance(error, ManagerStopped):
                _record(units(), envelope, record, None)
            if envelope.task_token is not None and engine is not None:
                engine().refuse(envelope.task_token, type(failure).__name__, str(failure))
            raise failure from error
        if not action.waits:
            record = StepRecord(
                envelope.step,
                item,
                envelope.action,
                StepStatus.SUCCEEDED,
                started,
                result=result,
                finished_at=datetime.now(UTC),
            )
            _record(units(), envelope, record, int((time.perf_counter() - clock) * 1000))
        return result

    return handler


def own_manager() -> str:
    """Whose this function is: the environment says it, as its tag does."""
    return os.environ["MANAGER"]


def named_error(error: DomainError) -> Exception:
    """The error under the name that definitions use."""
    name = next((_NAMES[kind] for kind in type(error).__mro__ if kind in _NAMES), "internal")
    kind: type[Exception] = type(name, (Exception,), {})
    return kind(error.detail)


def words_of(cause: str | None) -> str:
    """What a person may read of a state's Cause.

    Lambda makes it a JSON with the error's type, message and stack. A message of ours was written to be read; any other
    error's may hold anything, and stays in the logs.
    """
    if not cause:
        return ""
    try:
        found = json.loads(cause)
    except ValueError:
        return cause[:_MAX_WORDS]
    if not isinstance(found, dict):
        return cause[:_MAX_WORDS]
    if found.get("errorType") in _NAMES.values():
        return str(found.get("errorMessage", ""))[:_MAX_WORDS]
    return "A fault of ours, whose details are in the logs."


def _open_run(units: WorkflowUnits, envelope: _Envelope, item: int) -> tuple[Run, Mapping[str, Any] | None]:
    """The run, and what this step of it gave already: its function died before it could answer, or an earlier run had
    come as far."""
    with units(envelope.tenant_id) as unit:
        run = unit.runs.get(envelope.run_id)
        before = unit.runs.step(envelope.run_id, envelope.step, item) if run else None
    if run is None:
        raise NotFound("There is no such run.")
    if run.status not in OPEN:
        raise Conflict(f"The run has {run.status}.")
    done = before is not None and before.status is StepStatus.SUCCEEDED and before.action == envelope.action
    return run, before.result or {} if before is not None and done else None


def _call(envelope: _Envelope, item: int, run: Run) -> TaskCall:
    return TaskCall(
        tenant_id=envelope.tenant_id,
        run_id=envelope.run_id,
        step=envelope.step,
        item=item,
        arguments=envelope.arguments,
        started_by=run.started_by,
        role=run.role,
        task_token=envelope.task_token,
        lineage=run.lineage,
    )


def _check_size(result: Mapping[str, Any], item: int) -> None:
    size = len(json.dumps(result).encode())
    limit = _MAX_SINGLE_RESULT_BYTES if item < 0 else MAX_RESULT_BYTES
    if size > limit:
        raise InvalidInput(f"The result has {size} bytes; a step's result is at most {limit}.")


def _record(units: WorkflowUnits, envelope: _Envelope, record: StepRecord, took_ms: int | None) -> None:
    with units(envelope.tenant_id) as unit:
        run = unit.runs.get(envelope.run_id)
        # What a step did is told even where its run has ended meanwhile; that it was refused for that is not its story.
        if run is None or (record.status is StepStatus.FAILED and run.status not in OPEN):
            return
        unit.runs.record(envelope.run_id, record)
        if took_ms is not None:
            unit.emit(
                Event(
                    id=new_id(),
                    type="run.step.completed",
                    area="workflows",
                    tenant_id=envelope.tenant_id,
                    aggregate_id=str(envelope.run_id),
                    occurred_at=datetime.now(UTC),
                    correlation_id=str(envelope.run_id),
                    data={
                        "run_id": str(envelope.run_id),
                        "step": record.step,
                        "item": None if record.item < 0 else record.item,
                        "action": record.action,
                        "took_ms": took_ms,
                    },
                )
            )
        unit.commit()
