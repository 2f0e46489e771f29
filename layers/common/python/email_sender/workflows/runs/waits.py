"""Steps that wait: for a reply to an email, the end of another run, or an answer at a callback URL."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from email_sender.clock import Clock
from email_sender.errors import DomainError
from email_sender.workflows.model import (
    OPEN_STATUSES,
    RunStatus,
    SettledWait,
    StepRecord,
    StepStatus,
    Wait,
    WaitKind,
)
from email_sender.workflows.ports import WorkflowEngine, WorkflowUnits

ACTIONS = {
    WaitKind.REPLY: "email.wait_for_reply",
    WaitKind.RUN: "workflow.call",
    WaitKind.CALLBACK: "http.wait_for_callback",
}


# The engine starts its timeout a little before the wait is stored, so it also ends a little earlier.
_TIMEOUT_TOLERANCE = timedelta(seconds=10)


def end_waiting_step(
    record: StepRecord, status: RunStatus, now: datetime, expires_at: datetime | None = None
) -> StepRecord:
    """Return the record of a waiting step whose run has ended: the engine's timeout ended the step, or the run did.

    A run that fails right after a wait timed out must not count the wait as failed: a retry from the failed step would
    wait the whole time again.
    """
    timed_out = status is RunStatus.SUCCEEDED or (expires_at is not None and expires_at <= now + _TIMEOUT_TOLERANCE)
    if timed_out and record.action == ACTIONS[WaitKind.REPLY]:
        result = {"replied": False, "reason": "timeout"}
        return replace(record, status=StepStatus.SUCCEEDED, result=result, finished_at=now)
    error = {
        "name": "timeout" if timed_out else "cancelled",
        "message": "The wait timed out." if timed_out else "The run ended while the step was waiting.",
    }
    return replace(record, status=StepStatus.FAILED, error=error, finished_at=now)


class WaitService:
    def __init__(self, units: WorkflowUnits, engine: WorkflowEngine, now: Clock) -> None:
        self._units, self._engine, self._now = units, engine, now

    def register_wait(
        self,
        tenant_id: UUID,
        *,
        run_id: UUID,
        step: str,
        item: int,
        kind: WaitKind,
        subject: UUID,
        task_token: str,
        timeout: timedelta,
        accepts_others: bool = False,
    ) -> Wait:
        """Store a wait for the end of `subject`, and return it as it is stored.

        A repeated call (an engine retry) renews the task token, and keeps the subject that was not answered yet.
        """
        now = self._now()
        wait = Wait(run_id, step, item, kind, subject, task_token, now, now + timeout, accepts_others)
        with self._units(tenant_id) as unit:
            unit.runs.get(run_id, lock=True)
            wait = replace(wait, subject=unit.waits.add(wait))
            unit.runs.record(run_id, StepRecord(step, item, ACTIONS[kind], StepStatus.WAITING, now))
            unit.runs.set_status(run_id, RunStatus.WAITING, now)
            unit.commit()
        return wait

    def give_up(self, tenant_id: UUID, wait: Wait) -> bool:
        """End a wait without an outcome, because what it waits for was not started. The step reports its own error.

        Return False, and change nothing, if an answer came all the same.
        """
        with self._units(tenant_id) as unit:
            unit.runs.get(wait.run_id, lock=True)
            if not unit.waits.forget(wait, self._now()):
                return False
            unit.runs.set_status(wait.run_id, RunStatus.RUNNING, self._now())
            unit.commit()
        return True

    def settle(self, tenant_id: UUID, subject: UUID | None = None) -> int:
        """Resume the steps whose waits have ended, for one subject or for all. Returns how many waits these are.

        The outcome is recorded before the engine resumes the step: a run that ends at once must not find the step still
        waiting and record a timeout. The wait is marked as delivered last. If the process dies in between, all of it is
        repeated: the same outcome is recorded again, and the engine ignores a repeated call.
        """
        with self._units(tenant_id) as unit:
            settled_waits = unit.waits.list_settled(self._now(), subject)
        failure: DomainError | None = None
        for settled_wait in settled_waits:
            try:
                # Another process may have resumed the step meanwhile, and the step may wait anew.
                if self._record_outcome(tenant_id, settled_wait):
                    self._resume_step(settled_wait)
                    self._mark_delivered(tenant_id, settled_wait.wait)
            except DomainError as error:
                # One wait must not keep the others waiting. This one is tried again by the next sweep.
                failure = error
        if failure is not None:
            raise failure
        return len(settled_waits)

    def _resume_step(self, settled_wait: SettledWait) -> None:
        if settled_wait.error is not None:
            self._engine.send_task_failure(settled_wait.wait.task_token, *settled_wait.error)
        elif settled_wait.result is not None:
            self._engine.send_task_success(settled_wait.wait.task_token, settled_wait.result)

    def _record_outcome(self, tenant_id: UUID, settled_wait: SettledWait) -> bool:
        """Record what came of the wait. Return False if the wait is over already."""
        wait, now = settled_wait.wait, self._now()
        has_failed = settled_wait.error or (settled_wait.result is None and wait.kind is not WaitKind.REPLY)
        name, message = settled_wait.error or ("timeout", "The wait timed out.")
        record = StepRecord(
            wait.step,
            wait.item,
            ACTIONS[wait.kind],
            StepStatus.FAILED if has_failed else StepStatus.SUCCEEDED,
            wait.asked_at,
            result=None if has_failed else settled_wait.result or {"replied": False, "reason": "timeout"},
            error={"name": name, "message": message} if has_failed else None,
            finished_at=now,
        )
        with self._units(tenant_id) as unit:
            run = unit.runs.get(wait.run_id, lock=True)
            if not unit.waits.is_open(wait):
                return False
            if run is not None and run.status in OPEN_STATUSES:
                unit.runs.record(wait.run_id, record)
                unit.runs.set_status(wait.run_id, RunStatus.RUNNING, now)
            unit.commit()
        return True

    def _mark_delivered(self, tenant_id: UUID, wait: Wait) -> None:
        with self._units(tenant_id) as unit:
            unit.waits.mark_delivered(wait, self._now())
            unit.commit()
