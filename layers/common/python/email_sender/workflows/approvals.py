"""Approvals: a run waits, a person decides, once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.paging import Page
from email_sender.workflows.definitions import Actor
from email_sender.workflows.model import Approval, Decision, RunStatus, ShownDraft, StepRecord, StepStatus
from email_sender.workflows.ports import Engine, WorkflowUnits

_MAX_DRAFTS = 500
_MAX_COMMENT = 2000


class ApprovalService:
    def __init__(self, units: WorkflowUnits, engine: Engine, now: Now, new_id: NewId) -> None:
        self._units, self._engine, self._now, self._new_id = units, engine, now, new_id

    def request(
        self,
        tenant_id: UUID,
        *,
        run_id: UUID,
        step: str,
        title: str,
        drafts: Sequence[ShownDraft],
        task_token: str,
        timeout: timedelta,
    ) -> Approval:
        """Ask. A second time for the same step (the engine retried) only renews the token.

        Raises:
            InvalidInput: a draft is not the tenant's, or not what it says it is.
        """
        if len(drafts) > _MAX_DRAFTS:
            raise InvalidInput(f"An approval shows at most {_MAX_DRAFTS} drafts.")
        now = self._now()
        with self._units(tenant_id) as unit:
            unique = {(each.draft_id, each.sha256) for each in drafts}
            if unit.approvals.known_drafts(sorted(unique)) != len(unique):
                raise InvalidInput("A draft to approve is not there, or is not the one that was rendered.")
            wanted = Approval(self._new_id(), run_id, step, title, tuple(drafts), task_token, now + timeout, now)
            stored = unit.approvals.add(wanted)
            if stored.id == wanted.id:
                unit.runs.record(run_id, StepRecord(step, -1, "approval", StepStatus.WAITING, now))
                unit.runs.set_status(run_id, RunStatus.WAITING, now)
                unit.emit(
                    self._told(
                        "approval.requested",
                        tenant_id,
                        stored,
                        {"run_id": str(run_id), "step": step, "drafts": len(drafts)},
                    )
                )
            unit.commit()
        if stored.status is not Decision.PENDING:
            self._deliver(tenant_id, stored)
        return stored

    def decide(
        self, tenant_id: UUID, approval_id: UUID, decision: Decision, comment: str | None, actor: Actor
    ) -> Approval:
        """Answer an approval. The same answer twice is harmless; another one is a Conflict.

        The decision is committed before the engine is told: killed in between, a repeat or the sweep tells it.
        """
        if comment and len(comment) > _MAX_COMMENT:
            raise InvalidInput.at("/comment", f"A comment is at most {_MAX_COMMENT} characters.")
        with self._units(tenant_id) as unit:
            approval = unit.approvals.get(approval_id)
            if approval is None:
                raise NotFound("There is no such approval.")
            if approval.status is Decision.PENDING:
                approval = self._decided(approval, decision, comment, actor)
                unit.approvals.save(approval)
                unit.runs.record(approval.run_id, self._finished(approval, decision))
                unit.runs.set_status(approval.run_id, RunStatus.RUNNING, self._now())
                data = {"run_id": str(approval.run_id), "decision": str(decision), "by": actor.subject}
                unit.emit(self._told("approval.decided", tenant_id, approval, data))
                unit.commit()
            elif approval.status is not decision:
                raise Conflict(f"The approval is {approval.status} already.")
        if approval.delivered_at is None:
            approval = self._deliver(tenant_id, approval)
        return approval

    def get(self, tenant_id: UUID, approval_id: UUID) -> Approval:
        with self._units(tenant_id) as unit:
            approval = unit.approvals.get(approval_id)
        if approval is None:
            raise NotFound("There is no such approval.")
        return approval

    def page(self, tenant_id: UUID, status: Decision | None, after: UUID | None, limit: int) -> Page[Approval]:
        with self._units(tenant_id) as unit:
            rows = unit.approvals.page(status, after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def sweep(self, tenant_id: UUID) -> int:
        """Tell the engine decisions it was not told, and close what nobody answered in time."""
        now = self._now()
        with self._units(tenant_id) as unit:
            late = unit.approvals.overdue(now)
            for approval in late:
                unit.approvals.save(replace(approval, status=Decision.EXPIRED, decided_at=now, delivered_at=now))
                # The engine goes on by itself, with the step's `on_timeout`.
                unit.runs.record(approval.run_id, self._finished(approval, Decision.EXPIRED))
                unit.runs.set_status(approval.run_id, RunStatus.RUNNING, now)
                data = {"run_id": str(approval.run_id), "decision": "expired", "by": None}
                unit.emit(self._told("approval.decided", tenant_id, approval, data))
            # Before the commit: after it the transaction has no tenant, and sees nothing.
            undelivered = unit.approvals.undelivered(now - timedelta(seconds=15))
            unit.commit()
        for approval in undelivered:
            self._deliver(tenant_id, approval)
        return len(late) + len(undelivered)

    def _decided(self, approval: Approval, decision: Decision, comment: str | None, actor: Actor) -> Approval:
        now = self._now()
        if approval.expires_at <= now:
            raise Conflict("The time to answer has run out.")
        return replace(
            approval,
            status=decision,
            comment=comment,
            decided_by=actor.subject,
            decided_role=actor.role,
            decided_at=now,
        )

    def _finished(self, approval: Approval, decision: Decision) -> StepRecord:
        return StepRecord(
            approval.step,
            -1,
            "approval",
            StepStatus.SUCCEEDED,
            approval.requested_at,
            result=_result(approval, decision),
            finished_at=self._now(),
        )

    def _deliver(self, tenant_id: UUID, approval: Approval) -> Approval:
        self._engine.answer(approval.task_token, _result(approval, approval.status))
        delivered = replace(approval, delivered_at=self._now())
        with self._units(tenant_id) as unit:
            unit.approvals.save(delivered)
            unit.commit()
        return delivered

    def _told(self, kind: str, tenant_id: UUID, approval: Approval, data: Mapping[str, object]) -> Event:
        return Event(
            id=self._new_id(),
            type=kind,
            area="workflows",
            tenant_id=tenant_id,
            aggregate_id=str(approval.id),
            occurred_at=self._now(),
            correlation_id=str(approval.run_id),
            data={"approval_id": str(approval.id), **data},
        )


def _result(approval: Approval, decision: Decision) -> dict[str, object]:
    """What the step gives."""
    return {"decision": str(decision), "approval_id": str(approval.id), "comment": approval.comment}
