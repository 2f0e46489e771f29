"""Steps that wait for something of ours: a reply to an email, the end of another run."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from email_sender.ambient import Now
from email_sender.workflows.model import RunStatus, Settled, StepRecord, StepStatus, Wait, WaitKind
from email_sender.workflows.ports import Engine, WorkflowUnits

ACTIONS = {WaitKind.REPLY: "email.wait_for_reply", WaitKind.RUN: "workflow.call"}


def over(record: StepRecord, status: RunStatus, now: datetime) -> StepRecord:
    """What becomes of a step that waits when its run ends: the engine's clock ended it a moment ago, or the run did."""
    timed_out = status is RunStatus.SUCCEEDED
    if timed_out and record.action == ACTIONS[WaitKind.REPLY]:
        result = {"replied": False, "reason": "timeout"}
        return replace(record, status=StepStatus.SUCCEEDED, result=result, finished_at=now)
    error = {
        "name": "timeout" if timed_out else "cancelled",
        "message": "The time to wait is over." if timed_out else "The run ended while the step waited.",
    }
    return replace(record, status=StepStatus.FAILED, error=error, finished_at=now)


class WaitService:
    def __init__(self, units: WorkflowUnits, engine: Engine, now: Now) -> None:
        self._units, self._engine, self._now = units, engine, now

    def ask(
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
    ) -> None:
        """Wait for the subject's end. A second time for the same step (the engine retried) only renews the token."""
        now = self._now()
        wait = Wait(run_id, step, item, kind, subject, task_token, now, now + timeout)
        with self._units(tenant_id) as unit:
            unit.waits.add(wait)
            unit.runs.record(run_id, StepRecord(step, item, ACTIONS[kind], StepStatus.WAITING, now))
            unit.runs.set_status(run_id, RunStatus.WAITING, now)
            unit.commit()

    def settle(self, tenant_id: UUID, subject: UUID | None = None) -> int:
        """Tell the engine of what came to its end; of one subject, or of all. Returns how many steps were told.

        The engine is told before that is noted: killed in between, it is told again, and leaves that alone.
        """
        with self._units(tenant_id) as unit:
            found = unit.waits.settled(self._now(), subject)
        for each in found:
            self._tell(each)
            self._note(tenant_id, each, self._now())
        return len(found)

    def _tell(self, settled: Settled) -> None:
        if settled.error is not None:
            self._engine.refuse(settled.wait.task_token, *settled.error)
        elif settled.result is not None:
            self._engine.answer(settled.wait.task_token, settled.result)

    def _note(self, tenant_id: UUID, settled: Settled, now: datetime) -> None:
        wait = settled.wait
        failed = settled.error or (settled.result is None and wait.kind is WaitKind.RUN)
        name, message = settled.error or ("timeout", "The time to wait is over.")
        record = StepRecord(
            wait.step,
            wait.item,
            ACTIONS[wait.kind],
            StepStatus.FAILED if failed else StepStatus.SUCCEEDED,
            wait.asked_at,
            result=None if failed else settled.result or {"replied": False, "reason": "timeout"},
            error={"name": name, "message": message} if failed else None,
            finished_at=now,
        )
        with self._units(tenant_id) as unit:
            unit.waits.told(wait, now)
            unit.runs.record(wait.run_id, record)
            unit.runs.set_status(wait.run_id, RunStatus.RUNNING, now)
            unit.commit()
