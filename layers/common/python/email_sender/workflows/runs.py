"""Runs: start, follow, end, and notice what the engine ended or forgot."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import Conflict, DomainError, InvalidInput, NotFound, Unavailable
from email_sender.paging import Page
from email_sender.workflows.definition import Definition
from email_sender.workflows.definitions import Actor, Compiler, authorise
from email_sender.workflows.model import OPEN, Run, RunDetail, RunStatus, StepRecord, StepStatus, WorkflowStatus
from email_sender.workflows.ports import Engine, ExecutionStatus, InputChecker, WorkflowUnit, WorkflowUnits
from email_sender.workflows.resuming import Kept, kept
from email_sender.workflows.waits import WaitService, over

_log = logging.getLogger(__name__)

# An execution this young may simply not have said yet that it ended.
GRACE = timedelta(seconds=30)
MAX_DEPTH = 5

_ENDED = {
    ExecutionStatus.SUCCEEDED: (RunStatus.SUCCEEDED, None),
    ExecutionStatus.FAILED: (RunStatus.FAILED, "The engine ended the run."),
    ExecutionStatus.TIMED_OUT: (RunStatus.TIMED_OUT, "The run took longer than its workflow allows."),
    ExecutionStatus.ABORTED: (RunStatus.CANCELLED, "The run was stopped at the engine."),
    ExecutionStatus.FORGOTTEN: (RunStatus.FAILED, "The engine no longer knows the run. It can be started again."),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """What started a run, where no person did alone: a run it goes on from, one whose step calls it, a trigger.

    `depth` is how many runs brought each other about before it.
    """

    earlier: Run | None = None
    caller: Run | None = None
    trigger_id: UUID | None = None
    depth: int = 0


NOBODY = Cause()


class RunService:
    def __init__(
        self,
        units: WorkflowUnits,
        engine: Engine,
        compiler: Compiler,
        inputs: InputChecker,
        now: Now,
        new_id: NewId,
    ) -> None:
        self._units, self._engine, self._compiler, self._inputs = units, engine, compiler, inputs
        self._now, self._new_id = now, new_id
        self._waits = WaitService(units, engine, now)

    def start(
        self,
        tenant_id: UUID,
        run_id: UUID,
        workflow_id: UUID,
        inputs: Mapping[str, Any],
        actor: Actor,
        version: int | None = None,
        cause: Cause = NOBODY,
    ) -> Run:
        """Start a run of a version, or of the newest, for the actor. The same run id again changes nothing.

        The row is committed before the engine is asked: killed in between, the sweep starts what is pending.
        """
        with self._units(tenant_id) as unit:
            workflow = unit.workflows.get(workflow_id)
            if workflow is None:
                raise NotFound("There is no such workflow.")
            if workflow.status is WorkflowStatus.ARCHIVED:
                raise Conflict("The workflow is archived.")
            number = version or workflow.version
            raw = unit.workflows.version(workflow_id, number)
            if raw is None:
                raise NotFound(f"The workflow has no version {number}.")
            definition = self._compiler.parse(raw)
            authorise(definition, actor.role)
            problems = self._inputs.problems(definition.inputs, inputs)
            if problems:
                raise InvalidInput("The inputs are not as the workflow's schema says.", problems)
            found = _kept(unit, cause.earlier, raw, definition)
            run = Run(
                id=run_id,
                workflow_id=workflow_id,
                version=number,
                status=RunStatus.PENDING,
                inputs=inputs,
                started_by=actor.subject,
                role=actor.role,
                created_at=self._now(),
                lineage=(*cause.earlier.lineage, cause.earlier.id) if cause.earlier else (),
                passed=found.passed,
                called_by=cause.caller.id if cause.caller else None,
                depth=cause.caller.depth + 1 if cause.caller else cause.depth,
                trigger_id=cause.trigger_id,
            )
            if unit.runs.add(run):
                if cause.earlier is not None:
                    unit.runs.keep(run.id, cause.earlier.id, found.steps)
                unit.emit(self._told("run.started", tenant_id, run, version=run.version))
                unit.commit()
        return self.engage(tenant_id, run_id)

    def call(self, tenant_id: UUID, run_id: UUID, workflow: str, inputs: Mapping[str, Any], caller: UUID) -> Run:
        """Start a run for a step of another one, by the workflow's name or id, for the same principal.

        Raises:
            NotFound: there is no such workflow.
            InvalidInput: too many calls stand above it already: it would call itself for ever.
        """
        with self._units(tenant_id) as unit:
            above = _existing(unit, caller)
            target = unit.workflows.named(workflow)
        if target is None:
            raise NotFound(f"There is no workflow {workflow!r}.")
        if above.depth >= MAX_DEPTH:
            raise InvalidInput(f"Workflows call each other at most {MAX_DEPTH} deep.")
        actor = Actor(above.started_by, above.role)
        try:
            return self.start(tenant_id, run_id, target.id, inputs, actor, cause=Cause(caller=above))
        except Unavailable:
            with self._units(tenant_id) as unit:
                stored = unit.runs.get(run_id)
            if stored is None:
                raise
            # The sweep begins what the engine could not be told to.
            return stored

    def retry(
        self, tenant_id: UUID, new_id: UUID, run_id: UUID, actor: Actor, *, newest: bool, resume: bool = False
    ) -> Run:
        """Another run with an ended run's inputs, of its own version or of the newest.

        With `resume` it goes on from where that one ended: what succeeded is kept (resuming.kept), and mail that was
        sent, or may have been, is not sent again.

        Raises:
            Conflict: the run has not ended, or it succeeded and is to be resumed.
        """
        with self._units(tenant_id) as unit:
            run = _existing(unit, run_id)
        if run.status in OPEN:
            raise Conflict(f"The run is {run.status}: it can be started again when it has ended.")
        if resume and run.status is RunStatus.SUCCEEDED:
            raise Conflict("The run succeeded: there is nothing to go on with.")
        version = None if newest else run.version
        cause = Cause(earlier=run) if resume else NOBODY
        return self.start(tenant_id, new_id, run.workflow_id, run.inputs, actor, version, cause)

    def engage(self, tenant_id: UUID, run_id: UUID) -> Run:
        """Hand a pending run to the engine."""
        with self._units(tenant_id) as unit:
            run = _existing(unit, run_id)
            if run.status is not RunStatus.PENDING:
                return run
            raw = unit.workflows.version(run.workflow_id, run.version)
        if raw is None:
            raise NotFound("The version of the workflow is gone.")
        machine = self._compiler.machine(run.workflow_id, run.version)
        try:
            execution = self._engine.start(machine, run.id, run.inputs, run.passed)
        except NotFound:
            # The engine lost the machine (a new account, a restored backup): the definition is ours to register again.
            definition = self._compiler.parse(raw)
            self._engine.ensure(*self._compiler.compile(definition, tenant_id, run.workflow_id, run.version))
            execution = self._engine.start(machine, run.id, run.inputs, run.passed)
        with self._units(tenant_id) as unit:
            locked = unit.runs.get(run_id, lock=True)
            # The execution may have ended already, and said so.
            if locked is not None and locked.status is RunStatus.PENDING:
                unit.runs.set_status(run_id, RunStatus.RUNNING, self._now(), execution_arn=execution)
            run = _existing(unit, run_id)
            unit.commit()
        return run

    def get(self, tenant_id: UUID, run_id: UUID) -> RunDetail:
        with self._units(tenant_id) as unit:
            run = _existing(unit, run_id)
            return RunDetail(run, unit.runs.steps(run_id))

    def page(self, tenant_id: UUID, workflow_id: UUID, before: UUID | None, limit: int) -> Page[Run]:
        with self._units(tenant_id) as unit:
            if unit.workflows.get(workflow_id) is None:
                raise NotFound("There is no such workflow.")
            rows = unit.runs.page(workflow_id, before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def cancel(self, tenant_id: UUID, run_id: UUID, actor: Actor) -> Run:
        with self._units(tenant_id) as unit:
            run = _existing(unit, run_id)
        if run.status is RunStatus.CANCELLED:
            return run
        if run.status not in OPEN:
            raise Conflict(f"The run has {run.status}: there is nothing to cancel.")
        if run.execution_arn:
            self._engine.stop(run.execution_arn)
        with self._units(tenant_id) as unit:
            called = unit.runs.called(run_id)
        for each in called:
            self.cancel(tenant_id, each, actor)
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
        """Record how a run ended, and tell the step that waits for it; one that has ended stays as it is.

        `inline` names steps without a handler of their own (skipped ones, waits, transforms), which nobody recorded.
        """
        ended = self._end(tenant_id, run_id, status, error, actor, inline)
        if ended.called_by is not None:
            self._waits.settle(tenant_id, run_id)
        return ended

    def _end(
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
                raise NotFound("There is no such run.")
            if run.status not in OPEN:
                return run
            now = self._now()
            steps = unit.runs.steps(run_id)
            recorded = {each.step for each in steps}
            for step, state in (inline or {}).items():
                if step not in recorded:
                    unit.runs.record(run_id, StepRecord(step, -1, "", state, now, finished_at=now))
            for each in steps:
                if each.status is StepStatus.WAITING:
                    unit.runs.record(run_id, over(each, status, now))
            # Nobody is asked for an answer that no step waits for.
            unit.waits.close(run_id, now)
            unit.approvals.close(run_id, now)
            unit.runs.set_status(run_id, status, now, error=error)
            unit.emit(self._ended(tenant_id, run, status, error or {}, actor))
            ended = _existing(unit, run_id)
            unit.commit()
        return ended

    def sweep(self, tenant_id: UUID) -> int:
        """Start what is pending and record what the engine ended without a word. Returns how many were changed."""
        with self._units(tenant_id) as unit:
            open_runs = unit.runs.open_since(self._now() - GRACE)
        changed = 0
        for run in open_runs:
            try:
                changed += self._resume(tenant_id, run)
            except DomainError:
                # One run that cannot go on holds up none of the others.
                _log.exception("a run could not be resumed", extra={"run_id": str(run.id)})
        return changed

    def _resume(self, tenant_id: UUID, run: Run) -> bool:
        if run.status is RunStatus.PENDING or run.execution_arn is None:
            self.engage(tenant_id, run.id)
            return True
        return self.reconcile(tenant_id, run.id, self._engine.status(run.execution_arn))

    def reconcile(self, tenant_id: UUID, run_id: UUID, status: ExecutionStatus) -> bool:
        if status not in _ENDED:
            return False
        ended, message = _ENDED[status]
        error = {"name": str(status), "message": message} if message else None
        self.end(tenant_id, run_id, ended, error)
        return True

    def _ended(
        self, tenant_id: UUID, run: Run, status: RunStatus, error: Mapping[str, Any], actor: Actor | None
    ) -> Event:
        if status is RunStatus.SUCCEEDED:
            return self._told("run.succeeded", tenant_id, run)
        if status is RunStatus.CANCELLED:
            return self._told("run.cancelled", tenant_id, run, by=actor.subject if actor else "engine")
        return self._told(
            "run.failed",
            tenant_id,
            run,
            step=error.get("step"),
            error=str(error.get("name", status))[:1024],
            message=str(error.get("message", ""))[:4096],
        )

    def _told(self, kind: str, tenant_id: UUID, run: Run, **data: Any) -> Event:
        return Event(
            id=self._new_id(),
            type=kind,
            area="workflows",
            tenant_id=tenant_id,
            aggregate_id=str(run.id),
            occurred_at=self._now(),
            correlation_id=str(run.id),
            data={"run_id": str(run.id), "workflow_id": str(run.workflow_id), **data},
        )


def _existing(unit: WorkflowUnit, run_id: UUID) -> Run:
    run = unit.runs.get(run_id)
    if run is None:
        raise NotFound("There is no such run.")
    return run


def _kept(unit: WorkflowUnit, earlier: Run | None, raw: Mapping[str, Any], definition: Definition) -> Kept:
    if earlier is None:
        return Kept()
    before = unit.workflows.version(earlier.workflow_id, earlier.version) or {"steps": []}
    return kept(before, raw, definition, unit.runs.steps(earlier.id))
