"""The HTTP contract of triggers and webhooks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel

from email_sender.workflows.hooks import NewSecret, write_token
from email_sender.workflows.model import Run, RunDetail
from email_sender.workflows.trigger_model import StoredTrigger, TriggerKind


class TriggerOut(BaseModel):
    """`state`: pending (soon in place), active, or refused (`last_error` says why). `path` is a webhook's address.

    `last_error` is of the last start; null where it went well.
    """

    id: UUID
    kind: str
    definition: Mapping[str, Any]
    state: str
    path: str | None
    acts_for: str
    last_run_id: UUID | None
    last_error: str | None
    last_at: datetime | None

    @classmethod
    def of(cls, trigger: StoredTrigger, tenant_id: UUID) -> Self:
        is_webhook = trigger.kind is TriggerKind.WEBHOOK
        return cls(
            id=trigger.id,
            kind=trigger.kind,
            definition=trigger.definition,
            state=trigger.state,
            path=f"/api/v1/hooks/{write_token(tenant_id, trigger.id)}" if is_webhook else None,
            acts_for=trigger.started_by,
            last_run_id=trigger.last_run_id,
            last_error=trigger.last_error,
            last_at=trigger.last_at,
        )


class SecretOut(BaseModel):
    """`previous_ends`: until then posts may still be signed with the secret before."""

    secret: str
    previous_ends: datetime | None

    @classmethod
    def of(cls, made: NewSecret) -> Self:
        return cls(secret=made.secret, previous_ends=made.previous_ends)


class HookRunOut(BaseModel):
    """Ask `result_path` for what became of it."""

    run_id: UUID
    status: str
    result_path: str

    @classmethod
    def of(cls, run: Run, token: str) -> Self:
        return cls(run_id=run.id, status=run.status, result_path=f"/api/v1/hooks/{token}/runs/{run.id}")


class HookResultOut(HookRunOut):
    """`steps`: the results of those that have one, of a for_each as a list in the order of its items."""

    error: Mapping[str, Any] | None
    steps: Mapping[str, Any]
    finished_at: datetime | None

    @classmethod
    def of_run(cls, detail: RunDetail, token: str) -> Self:
        steps: dict[str, Any] = {}
        for record in sorted(detail.steps, key=lambda each: each.item):
            if record.result is None:
                continue
            if record.item < 0:
                steps[record.step] = record.result
            else:
                steps.setdefault(record.step, []).append(record.result)
        run = detail.run
        return cls(**dict(HookRunOut.of(run, token)), error=run.error, steps=steps, finished_at=run.finished_at)
