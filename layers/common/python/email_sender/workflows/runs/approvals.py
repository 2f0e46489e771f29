"""Request approvals, record each decision once and deliver it to the waiting step."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import Event, EventFactory
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.paging import Page
from email_sender.workflows.model import Actor, Approval, Decision, RunStatus, ShownDraft, StepRecord, StepStatus
from email_sender.workflows.ports import WorkflowEngine, WorkflowUnit, WorkflowUnits

_MAX_DRAFTS = 500
_MAX_COMMENT = 2000


class ApprovalService:
    def __init__(self, units: WorkflowUnits, engine: WorkflowEngine, now: Clock, new_id: IdFactory) -> None:
        self._units, self._engine, self._now, self._new_id = units, engine, now, new_id
        self._events = EventFactory("workflows", now, new_id)

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
        """Store an approval request. A repeated request for the same step (an engine retry) only renews its task token.

        Raises:
            InvalidInput: there are too many drafts, a draft is not the tenant's, or its hash differs from the stored
                draft's.
        """
        if len(drafts) > _MAX_DRAFTS:
            raise InvalidInput(f"An approval shows at most {_MAX_DRAFTS} drafts.")
        now = self._now()
        with self._units(tenant_id) as unit:
            unit.runs.get(run_id, lock=True)
            current = unit.approvals.current_drafts(sorted({(draft.draft_id, draft.sha256) for draft in drafts}))
            if not {draft.draft_id for draft in drafts} <= set(current):
                raise InvalidInput("A draft to approve does not exist or differs from the rendered draft.")
            shown = tuple(ShownDraft(draft.draft_id, current[draft.draft_id]) for draft in drafts)
            approval = Approval(self._new_id(), run_id, step, title, shown, task_token, now + timeout, now)
            stored_approval = unit.approvals.add(approval)
            if stored_approval.id == approval.id:
                unit.runs.record(run_id, StepRecord(step, -1, "approval", StepStatus.WAITING, now))
                unit.runs.set_status(run_id, RunStatus.WAITING, now)
                unit.emit(
                    self._build_event(
                        "approval.requested",
                        tenant_id,
                        stored_approval,
                        {"run_id": str(run_id), "step": step, "drafts": len(drafts)},
                    )
                )
            unit.commit()
        if stored_approval.status is not Decision.PENDING:
            self._deliver(tenant_id, stored_approval)
        return stored_approval

    def decide(
        self,
        tenant_id: UUID,
        approval_id: UUID,
        decision: Decision,
        comment: str | None,
        actor: Actor,
        leave_out: Sequence[UUID] = (),
        seen: Mapping[UUID, str] | None = None,
    ) -> Approval:
        """Record a decision and resume the waiting step. Repeating the same decision has no effect.

        `leave_out` are drafts that are not approved with the others: their emails are rejected. `seen` are the hashes
        of the drafts as the approver has read them.

        The decision is committed before it is delivered to the engine. If the process dies in between, a repeated call
        or the sweep delivers it.

        Raises:
            NotFound: the approval does not exist.
            Conflict: the approval has another decision, or has expired, or a draft was edited since it was read.
        """
        if comment and len(comment) > _MAX_COMMENT:
            raise InvalidInput.at("/comment", f"A comment is at most {_MAX_COMMENT} characters.")
        with self._units(tenant_id) as unit:
            approval = _lock_run_and_approval(unit, approval_id)
            if approval is None:
                raise NotFound("Approval not found.")
            if approval.status is Decision.PENDING:
                if seen is not None and seen != {draft.draft_id: draft.sha256 for draft in approval.drafts}:
                    raise Conflict("A draft was edited since you read it. Read the approval again.")
                approval = self._apply_decision(_leave_out(approval, leave_out), decision, comment, actor)
                unit.approvals.save(approval)
                unit.runs.record(approval.run_id, self._build_step_record(approval, decision))
                unit.runs.set_status(approval.run_id, RunStatus.RUNNING, self._now())
                data = {"run_id": str(approval.run_id), "decision": str(decision), "by": actor.subject}
                unit.emit(self._build_event("approval.decided", tenant_id, approval, data))
                unit.commit()
            elif approval.status is not decision:
                raise Conflict(f"The approval is already {approval.status}.")
            elif set(leave_out) != {draft.draft_id for draft in approval.drafts if draft.left_out}:
                raise Conflict("The approval was given already, with other drafts left out.")
        if approval.delivered_at is None:
            approval = self._deliver(tenant_id, approval)
        return approval

    def get(self, tenant_id: UUID, approval_id: UUID) -> Approval:
        with self._units(tenant_id) as unit:
            approval = unit.approvals.get(approval_id)
        if approval is None:
            raise NotFound("Approval not found.")
        return approval

    def page(self, tenant_id: UUID, status: Decision | None, after: UUID | None, limit: int) -> Page[Approval]:
        with self._units(tenant_id) as unit:
            rows = unit.approvals.page(status, after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def sweep(self, tenant_id: UUID) -> int:
        """Expire overdue approvals and deliver decisions that the engine has not received yet.

        Returns the number of approvals that were expired or delivered.
        """
        now = self._now()
        with self._units(tenant_id) as unit:
            overdue_approvals = unit.approvals.list_overdue(now)
            undelivered_approvals = unit.approvals.list_undelivered(now - timedelta(seconds=15))
        expired = sum(self._expire(tenant_id, approval.id) for approval in overdue_approvals)
        for approval in undelivered_approvals:
            self._deliver(tenant_id, approval)
        return expired + len(undelivered_approvals)

    def _expire(self, tenant_id: UUID, approval_id: UUID) -> bool:
        now = self._now()
        with self._units(tenant_id) as unit:
            approval = _lock_run_and_approval(unit, approval_id)
            if approval is None or approval.status is not Decision.PENDING:
                return False
            unit.approvals.save(replace(approval, status=Decision.EXPIRED, decided_at=now, delivered_at=now))
            # The engine continues by itself with the step's `on_timeout` result.
            unit.runs.record(approval.run_id, self._build_step_record(approval, Decision.EXPIRED))
            unit.runs.set_status(approval.run_id, RunStatus.RUNNING, now)
            data = {"run_id": str(approval.run_id), "decision": "expired", "by": None}
            unit.emit(self._build_event("approval.decided", tenant_id, approval, data))
            unit.commit()
        return True

    def _apply_decision(self, approval: Approval, decision: Decision, comment: str | None, actor: Actor) -> Approval:
        now = self._now()
        if approval.expires_at <= now:
            raise Conflict("The approval has expired and can no longer be decided.")
        return replace(
            approval,
            status=decision,
            comment=comment,
            decided_by=actor.subject,
            decided_role=actor.role,
            decided_at=now,
        )

    def _build_step_record(self, approval: Approval, decision: Decision) -> StepRecord:
        return StepRecord(
            approval.step,
            -1,
            "approval",
            StepStatus.SUCCEEDED,
            approval.requested_at,
            result=_step_result(approval, decision),
            finished_at=self._now(),
        )

    def _deliver(self, tenant_id: UUID, approval: Approval) -> Approval:
        self._engine.send_task_success(approval.task_token, _step_result(approval, approval.status))
        delivered_approval = replace(approval, delivered_at=self._now())
        with self._units(tenant_id) as unit:
            unit.approvals.save(delivered_approval)
            unit.commit()
        return delivered_approval

    def _build_event(self, event_type: str, tenant_id: UUID, approval: Approval, data: Mapping[str, object]) -> Event:
        approval_data = {"approval_id": str(approval.id), **data}
        return self._events.build(event_type, tenant_id, approval.id, approval_data, correlation_id=approval.run_id)


def _leave_out(approval: Approval, draft_ids: Sequence[UUID]) -> Approval:
    """Raise InvalidInput if the approval does not show a draft, or if nothing would be left."""
    if not draft_ids:
        return approval
    shown = {draft.draft_id for draft in approval.drafts}
    if not set(draft_ids) <= shown:
        raise InvalidInput.at("/leave_out", "A draft to leave out is not one of this approval.")
    if set(draft_ids) == shown:
        raise InvalidInput.at("/leave_out", "All drafts would be left out. Deny the approval instead.")
    drafts = tuple(replace(draft, left_out=draft.draft_id in draft_ids) for draft in approval.drafts)
    return replace(approval, drafts=drafts)


def _lock_run_and_approval(unit: WorkflowUnit, approval_id: UUID) -> Approval | None:
    """Return the approval, locked after its run (see WorkflowUnit)."""
    approval = unit.approvals.get(approval_id)
    if approval is None:
        return None
    unit.runs.get(approval.run_id, lock=True)
    return unit.approvals.get(approval_id, lock=True)


def _step_result(approval: Approval, decision: Decision) -> dict[str, object]:
    """Return the result of the approval step."""
    return {"decision": str(decision), "approval_id": str(approval.id), "comment": approval.comment}
