"""Start, resume, cancel and end runs, and reconcile them with the engine's executions."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import Event, EventFactory
from email_sender.errors import Conflict, DomainError, InvalidInput, NotFound, Unavailable
from email_sender.paging import Page
from email_sender.security.permissions import weaker
from email_sender.security.quotas import QuotaKind
from email_sender.workflows.compiler.asl import EXPRESSION_ERROR
from email_sender.workflows.compiler.expression_errors import explain_expression_error
from email_sender.workflows.definition.model import Definition
from email_sender.workflows.model import (
    OPEN_STATUSES,
    Actor,
    Run,
    RunCause,
    RunDetail,
    RunStatus,
    StepRecord,
    StepStatus,
    WorkflowStatus,
)
from email_sender.workflows.ports import ExecutionStatus, InputChecker, WorkflowEngine, WorkflowUnit, WorkflowUnits
from email_sender.workflows.runs.ending import describe_end, outcome_of_execution
from email_sender.workflows.runs.resuming import ResumePlan, plan_resume
from email_sender.workflows.runs.waits import WaitService, end_waiting_step
from email_sender.workflows.service import Compiler, authorise

_log = logging.getLogger(__name__)

# The end of an execution younger than this may still be on its way.
GRACE = timedelta(seconds=30)
MAX_DEPTH = 5


@dataclass(frozen=True, slots=True)
class StartCause:
    """The cause of a run, and what belongs to it: the run that it resumes, the run whose step calls it, or a trigger.

    `depth` is the number of runs that started each other before this one.
    """

    kind: RunCause = RunCause.REQUEST
    earlier: Run | None = None
    caller: Run | None = None
    trigger_id: UUID | None = None
    depth: int = 0


DIRECT_START = StartCause()


class RunService:
    def __init__(
        self,
        units: WorkflowUnits,
        engine: WorkflowEngine,
        compiler: Compiler,
        inputs: InputChecker,
        now: Clock,
        new_id: IdFactory,
        report_end: Callable[[RunStatus], None] = lambda _status: None,
    ) -> None:
        """`report_end` gets the status of each run that ended, once its end is stored."""
        self._units, self._engine, self._compiler, self._inputs = units, engine, compiler, inputs
        self._report_end = report_end
        self._now, self._new_id = now, new_id
        self._events = EventFactory("workflows", now, new_id)
        self._waits = WaitService(units, engine, now)

    def start(
        self,
        tenant_id: UUID,
        run_id: UUID,
        workflow_id: UUID,
        inputs: Mapping[str, Any],
        actor: Actor,
        version: int | None = None,
        cause: StartCause = DIRECT_START,
    ) -> Run:
        """Start a run of a version, or of the newest version, on behalf of the actor.

        The run has only the permissions that both the actor and the publisher of the version have.

        Repeating the call with the same run id has no effect. The run is committed before the engine starts it. If the
        process dies in between, the sweep starts the pending run.

        Raises:
            NotFound: the workflow or the version does not exist.
            Conflict: the workflow is archived.
            Forbidden: the actor or the publisher lacks a permission that a step needs.
            InvalidInput: the inputs do not match the workflow's schema.
            QuotaExceeded: the tenant may start no more runs today.
        """
        with self._units(tenant_id) as unit:
            workflow = unit.workflows.get(workflow_id)
            if workflow is None:
                raise NotFound("Workflow not found.")
            if workflow.status is WorkflowStatus.ARCHIVED:
                raise Conflict("The workflow is archived and cannot start new runs.")
            version_number = version or workflow.version
            stored_version = unit.workflows.version(workflow_id, version_number)
            if stored_version is None:
                raise NotFound(f"The workflow has no version {version_number}.")
            raw = stored_version.definition
            definition = self._compiler.parse(raw)
            # Somebody with fewer rights must not get something done by a run that somebody with more rights starts.
            role = weaker(actor.role, stored_version.published_role)
            authorise(definition, role)
            problems = self._inputs.problems(definition.inputs, inputs)
            if problems:
                raise InvalidInput("The inputs do not match the workflow's schema.", problems)
            plan = _resume_plan_for(unit, cause.earlier, raw, definition)
            run = Run(
                id=run_id,
                workflow_id=workflow_id,
                version=version_number,
                status=RunStatus.PENDING,
                inputs=inputs,
                started_by=actor.subject,
                role=role,
                created_at=self._now(),
                lineage=(*cause.earlier.lineage, cause.earlier.id) if cause.earlier else (),
                passed=plan.passed,
                called_by=cause.caller.id if cause.caller else None,
                depth=cause.caller.depth + 1 if cause.caller else cause.depth,
                trigger_id=cause.trigger_id,
                cause=cause.kind,
            )
            if unit.runs.add(run):
                if cause.earlier is not None:
                    unit.runs.copy_step_results(run.id, cause.earlier.id, plan.steps)
                unit.spend(QuotaKind.RUNS)
                unit.emit(self._build_event("run.started", tenant_id, run, version=run.version))
                unit.commit()
        return self.start_execution(tenant_id, run_id)

    def call(self, tenant_id: UUID, run_id: UUID, workflow: str, inputs: Mapping[str, Any], caller: UUID) -> Run:
        """Start a run on behalf of a step of the run `caller`, for the same principal.

        `workflow` is the workflow's name or id.

        Raises:
            NotFound: the workflow does not exist.
            InvalidInput: the chain of calls is too deep, which also stops endless recursion.
        """
        with self._units(tenant_id) as unit:
            calling_run = _require_run(unit, caller)
            target = unit.workflows.find_by_name_or_id(workflow)
        if target is None:
            raise NotFound(f"Workflow {workflow!r} not found.")
        if calling_run.depth >= MAX_DEPTH:
            raise InvalidInput(f"Workflows can call each other at most {MAX_DEPTH} levels deep.")
        actor = Actor(calling_run.started_by, calling_run.role)
        try:
            return self.start(
                tenant_id, run_id, target.id, inputs, actor, cause=StartCause(RunCause.CALL, caller=calling_run)
            )
        except Unavailable:
            with self._units(tenant_id) as unit:
                stored_run = unit.runs.get(run_id)
            if stored_run is None:
                raise
            # The engine was unavailable. The sweep starts the pending run.
            return stored_run

    def retry(
        self, tenant_id: UUID, new_id: UUID, run_id: UUID, actor: Actor, *, newest: bool, resume: bool = False
    ) -> Run:
        """Start another run with the inputs of an ended run, at its version or at the newest version.

        With `resume`, the new run continues where the earlier run ended: successful steps are not repeated (see
        resuming.plan_resume), and mail that was sent, or may have been sent, is not sent again.

        Raises:
            Conflict: the run has not ended, its inputs were deleted, or it is to be resumed although it succeeded.
        """
        with self._units(tenant_id) as unit:
            run = _require_run(unit, run_id)
        if run.status in OPEN_STATUSES:
            raise Conflict(f"The run is {run.status} and can be retried only after it has ended.")
        if run.emptied_at is not None:
            raise Conflict("The inputs and results of the run are deleted: the tenant does not keep them longer.")
        if resume and run.status is RunStatus.SUCCEEDED:
            raise Conflict("The run has succeeded. There is no failed step to resume from.")
        version = None if newest else run.version
        cause = StartCause(run.cause, earlier=run if resume else None)
        return self.start(tenant_id, new_id, run.workflow_id, run.inputs, actor, version, cause)

    def start_execution(self, tenant_id: UUID, run_id: UUID) -> Run:
        """Start the engine's execution of a pending run. A run that is not pending is returned unchanged."""
        with self._units(tenant_id) as unit:
            run = _require_run(unit, run_id)
            if run.status is not RunStatus.PENDING:
                return run
            stored_version = unit.workflows.version(run.workflow_id, run.version)
        if stored_version is None:
            raise NotFound("The run's version of the workflow no longer exists.")
        machine = self._compiler.machine_name(run.workflow_id, run.version)
        try:
            execution = self._engine.start(machine, run)
        except NotFound:
            # The engine lost the state machine (a new account, a restored backup). Register it again.
            definition = self._compiler.parse(stored_version.definition)
            self._engine.ensure(*self._compiler.compile(definition, tenant_id, run.workflow_id, run.version))
            execution = self._engine.start(machine, run)
        with self._units(tenant_id) as unit:
            locked_run = unit.runs.get(run_id, lock=True)
            # The execution may have ended and its end may already be recorded.
            if locked_run is not None and locked_run.status is RunStatus.PENDING:
                unit.runs.set_status(run_id, RunStatus.RUNNING, self._now(), execution_arn=execution)
            run = _require_run(unit, run_id)
            unit.commit()
        return run

    def get(self, tenant_id: UUID, run_id: UUID) -> RunDetail:
        with self._units(tenant_id) as unit:
            run = _require_run(unit, run_id)
            return RunDetail(run, unit.runs.steps(run_id))

    def page(self, tenant_id: UUID, workflow_id: UUID, before: UUID | None, limit: int) -> Page[Run]:
        with self._units(tenant_id) as unit:
            if unit.workflows.get(workflow_id) is None:
                raise NotFound("Workflow not found.")
            rows = unit.runs.page(workflow_id, before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def page_of_all(self, tenant_id: UUID, status: RunStatus | None, before: UUID | None, limit: int) -> Page[Run]:
        """Return the newest runs of all workflows."""
        with self._units(tenant_id) as unit:
            rows = unit.runs.page(None, before, limit + 1, status)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def cancel(self, tenant_id: UUID, run_id: UUID, actor: Actor) -> Run:
        with self._units(tenant_id) as unit:
            run = _require_run(unit, run_id)
        if run.status is RunStatus.CANCELLED:
            return run
        if run.status not in OPEN_STATUSES:
            raise Conflict(f"The run has already {run.status.replace('_', ' ')} and cannot be cancelled.")
        if run.execution_arn:
            self._engine.stop(run.execution_arn)
        with self._units(tenant_id) as unit:
            called_run_ids = unit.runs.list_open_called_runs(run_id)
        for called_run_id in called_run_ids:
            self.cancel(tenant_id, called_run_id, actor)
        return self.end(tenant_id, run_id, RunStatus.CANCELLED, {"name": "cancelled", "message": "Cancelled."}, actor)

    def end(
        self,
        tenant_id: UUID,
        run_id: UUID,
        status: RunStatus,
        error: Mapping[str, Any] | None = None,
        actor: Actor | None = None,
        inline: Mapping[str, StepStatus] | None = None,
    ) -> Run:
        """Record the end of a run and resume the step that waits for it. A run that has already ended is unchanged.

        `inline` has the statuses of steps that no handler recorded: skipped steps, waits and transforms.
        """
        run = self._record_end(tenant_id, run_id, status, error, actor, inline)
        if run.called_by is not None:
            self._waits.settle(tenant_id, run_id)
        return run

    def _record_end(
        self,
        tenant_id: UUID,
        run_id: UUID,
        status: RunStatus,
        error: Mapping[str, Any] | None,
        actor: Actor | None,
        inline: Mapping[str, StepStatus] | None,
    ) -> Run:
        with self._units(tenant_id) as unit:
            run = unit.runs.get(run_id, lock=True)
            if run is None:
                raise NotFound("Run not found.")
            if run.status not in OPEN_STATUSES:
                return run
            if error is not None and error["name"] == EXPRESSION_ERROR:
                error = self._explain_expression_error(unit, run, error)
            now = self._now()
            steps = unit.runs.steps(run_id)
            # Close waits and approvals, because no step waits for them any more.
            expiries = unit.waits.close(run_id, now)
            unit.approvals.close(run_id, now)
            unit.step_responses.remove(run_id)
            recorded_steps = {record.step for record in steps}
            for step, step_status in (inline or {}).items():
                if step not in recorded_steps:
                    unit.runs.record(run_id, StepRecord(step, -1, "", step_status, now, finished_at=now))
            for record in steps:
                if record.status is StepStatus.WAITING:
                    expires_at = expiries.get((record.step, record.item))
                    unit.runs.record(run_id, end_waiting_step(record, status, now, expires_at))
            unit.runs.set_status(run_id, status, now, error=error)
            event_type, event_data = describe_end(status, error or {}, actor)
            unit.emit(self._build_event(event_type, tenant_id, run, **event_data))
            ended_run = _require_run(unit, run_id)
            unit.commit()
        self._report_end(status)
        return ended_run

    def _explain_expression_error(self, unit: WorkflowUnit, run: Run, error: Mapping[str, Any]) -> Mapping[str, Any]:
        stored_version = unit.workflows.version(run.workflow_id, run.version)
        try:
            steps = self._compiler.parse(stored_version.definition).steps if stored_version is not None else {}
            step = steps.get(error.get("step", ""))
        except InvalidInput:
            step = None  # stored under older rules; the end of the run must be recorded in any case
        return error if step is None else {**error, "message": explain_expression_error(step, error["message"])}

    def sweep(self, tenant_id: UUID) -> int:
        """Start pending runs and record the end of runs whose executions ended unnoticed.

        Returns the number of changed runs.
        """
        with self._units(tenant_id) as unit:
            open_runs = unit.runs.list_open_before(self._now() - GRACE)
        changed = 0
        for run in open_runs:
            try:
                changed += self._recover(tenant_id, run)
            except DomainError:
                # A run that cannot be recovered must not block the others.
                _log.exception("Run could not be recovered", extra={"run_id": str(run.id)})
        return changed

    def _recover(self, tenant_id: UUID, run: Run) -> bool:
        if run.status is RunStatus.PENDING or run.execution_arn is None:
            self.start_execution(tenant_id, run.id)
            return True
        return self.reconcile(tenant_id, run.id, self._engine.status(run.execution_arn))

    def reconcile(self, tenant_id: UUID, run_id: UUID, status: ExecutionStatus, cause: str = "") -> bool:
        """Record the end of a run from its execution's status. Return whether the execution has ended.

        `cause` is the engine's own text about a failure, if it is known.
        """
        outcome = outcome_of_execution(status, cause)
        if outcome is None:
            return False
        self.end(tenant_id, run_id, outcome.status, outcome.error)
        return True

    def _build_event(self, event_type: str, tenant_id: UUID, run: Run, **data: Any) -> Event:
        run_data = {"run_id": str(run.id), "workflow_id": str(run.workflow_id), **data}
        return self._events.build(event_type, tenant_id, run.id, run_data, correlation_id=run.id)


def _require_run(unit: WorkflowUnit, run_id: UUID) -> Run:
    run = unit.runs.get(run_id)
    if run is None:
        raise NotFound("Run not found.")
    return run


def _resume_plan_for(
    unit: WorkflowUnit, earlier: Run | None, raw: Mapping[str, Any], definition: Definition
) -> ResumePlan:
    if earlier is None:
        return ResumePlan()
    stored_version = unit.workflows.version(earlier.workflow_id, earlier.version)
    before = stored_version.definition if stored_version else {"steps": []}
    return plan_resume(before, raw, definition, unit.runs.steps(earlier.id))
