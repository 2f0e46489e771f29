"""HTTP schemas of triggers and webhooks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue, model_validator

from email_sender.kit.schemas import RequestBody
from email_sender.workflows.model import Run, RunDetail
from email_sender.workflows.triggers.model import StoredTrigger, TriggerKind
from email_sender.workflows.triggers.webhooks import NewSecret, encode_token


class CallbackAnswerIn(RequestBody):
    """`result` becomes the result of the step. With `error`, the step fails with that message."""

    result: JsonValue = None
    error: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if ("result" in self.model_fields_set) == (self.error is not None):
            raise ValueError("An answer has either a result or an error.")
        return self


class TriggerOut(BaseModel):
    """A trigger of a workflow.

    `state` is pending (not created in AWS yet), active, or refused (AWS rejected it; `last_error` has the reason).
    `path` is a webhook's URL path. `last_error` belongs to the last start and is null if it succeeded.
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
            path=f"/api/v1/hooks/{encode_token(tenant_id, trigger.id)}" if is_webhook else None,
            acts_for=trigger.started_by,
            last_run_id=trigger.last_run_id,
            last_error=trigger.last_error,
            last_at=trigger.last_at,
        )


class SecretOut(BaseModel):
    """`previous_ends` is the time until which the previous secret stays valid."""

    secret: str
    previous_ends: datetime | None

    @classmethod
    def of(cls, new_secret: NewSecret) -> Self:
        return cls(secret=new_secret.secret, previous_ends=new_secret.previous_ends)


class HookRunOut(BaseModel):
    """The run that a webhook started. Read its result at `result_path`."""

    run_id: UUID
    status: str
    result_path: str

    @classmethod
    def of(cls, run: Run, token: str) -> Self:
        return cls(run_id=run.id, status=run.status, result_path=f"/api/v1/hooks/{token}/runs/{run.id}")


class HookResultOut(HookRunOut):
    """`steps` maps step ids to results. A for_each step has a list of results in the order of its items."""

    error: Mapping[str, Any] | None
    steps: Mapping[str, Any]
    finished_at: datetime | None

    @classmethod
    def of_run(cls, detail: RunDetail, token: str) -> Self:
        steps: dict[str, Any] = {}
        for record in sorted(detail.steps, key=lambda step: step.item):
            if record.result is None:
                continue
            if record.item < 0:
                steps[record.step] = record.result
            else:
                steps.setdefault(record.step, []).append(record.result)
        run = detail.run
        return cls(**dict(HookRunOut.of(run, token)), error=run.error, steps=steps, finished_at=run.finished_at)
