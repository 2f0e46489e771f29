"""HTTP schemas of workflows, runs and approvals."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.kit.schemas import RequestBody
from email_sender.workflows.action_model import Action
from email_sender.workflows.definition.diff import Difference
from email_sender.workflows.definition.model import Definition
from email_sender.workflows.model import Approval, Run, RunDetail, StepRecord, Workflow, WorkflowVersion
from email_sender.workflows.n8n.bridge import BridgeTarget
from email_sender.workflows.n8n.converter import ImportResult


class WorkflowIn(RequestBody):
    """`definition` is an object, or YAML in a string."""

    definition: dict[str, Any] | str


class WorkflowOut(BaseModel):
    id: UUID
    name: str
    version: int
    status: str
    definition: Mapping[str, Any]
    created_at: datetime | None
    updated_at: datetime | None

    @classmethod
    def of(cls, workflow: Workflow) -> Self:
        return cls(
            id=workflow.id,
            name=workflow.name,
            version=workflow.version,
            status=workflow.status,
            definition=workflow.definition,
            created_at=workflow.created_at,
            updated_at=workflow.updated_at,
        )


class VersionOut(BaseModel):
    version: int
    definition: Mapping[str, Any]
    published_by: str
    published_at: datetime

    @classmethod
    def of(cls, version: WorkflowVersion) -> Self:
        return cls(
            version=version.version,
            definition=version.definition,
            published_by=version.published_by,
            published_at=version.published_at,
        )


class DifferenceOut(BaseModel):
    """Changes by step id; `changed` lists a step's changed fields. `text` is a unified diff of both definitions."""

    added: Sequence[str]
    removed: Sequence[str]
    changed: Mapping[str, Sequence[str]]
    fields: Sequence[str]
    text: str

    @classmethod
    def of(cls, difference: Difference) -> Self:
        return cls(
            added=difference.added,
            removed=difference.removed,
            changed=difference.changed,
            fields=difference.fields,
            text=difference.text,
        )


class RetryIn(RequestBody):
    """`version`: the run's own version (same) or the newest (latest). `from`: the beginning (start) or the failed step
    (failed); successful steps are then not repeated, and no mail is sent twice."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    version: Literal["same", "latest"] = "same"
    beginning: Literal["start", "failed"] = Field(default="start", alias="from")


class BridgeIn(RequestBody):
    """`url` is the base URL of your n8n. `secret_name` names the tenant's secret, bound to its host, with the value of
    the header `x-email-sender-key` that its webhooks expect."""

    url: Annotated[str, Field(pattern=r"^https://[^/?#{}]+(/[^?#{}]*)?$", max_length=2_000)]
    secret_name: str = Field(default="n8n", pattern=r"^[\w-]{1,64}$")

    def target(self) -> BridgeTarget:
        return BridgeTarget(self.url, self.secret_name)


class ImportIn(RequestBody):
    """`workflow` is an n8n export: a JSON object with nodes and connections. With `bridge`, nodes that only n8n can run
    stay there."""

    format: Literal["n8n"] = "n8n"
    workflow: dict[str, Any]
    bridge: BridgeIn | None = None


class ImportedNode(BaseModel):
    """`how` is exact, approximated, unsupported (the step fails when it is reached), bridged (it stays in your n8n) or
    dropped (nothing to do)."""

    node: str
    type: str
    how: str
    steps: Sequence[str]
    notes: Sequence[str]


class ImportOut(BaseModel):
    """`definition` is not stored. Review the report, edit the definition and post it to /workflows.

    `n8n_workflows` are the other half of a bridge: import and activate each in your n8n. `templates` are those that the
    definition needs: post each to /templates first.
    """

    definition: Mapping[str, Any]
    report: Sequence[ImportedNode]
    n8n_workflows: Sequence[Mapping[str, Any]]
    templates: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, conversion: ImportResult) -> Self:
        report = [
            ImportedNode(node=node.node, type=node.type, how=node.outcome, steps=node.steps, notes=node.notes)
            for node in conversion.report
        ]
        return cls(
            definition=conversion.definition,
            report=report,
            n8n_workflows=conversion.n8n_workflows,
            templates=conversion.templates,
        )


class ValidOut(BaseModel):
    """`levels` are the groups of steps that run in parallel, in order."""

    name: str
    steps: int
    levels: Sequence[Sequence[str]]

    @classmethod
    def of(cls, definition: Definition) -> Self:
        return cls(name=definition.name, steps=len(definition.steps), levels=definition.levels)


class ActionOut(BaseModel):
    """`with` is the JSON Schema of a step's `with`, and `result` that of its result."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    description: str
    permission: str | None
    errors: Sequence[str]
    input_schema: Mapping[str, Any] = Field(serialization_alias="with")
    result: Mapping[str, Any]
    waits: bool

    @classmethod
    def of(cls, action: Action) -> Self:
        return cls(
            name=action.name,
            description=action.description,
            permission=action.permission or None,
            errors=action.all_errors,
            input_schema=action.input_schema,
            result=action.result_schema,
            waits=action.callback,
        )


class ExecuteIn(RequestBody):
    inputs: dict[str, Any] = Field(default_factory=dict)


class StepOut(BaseModel):
    """`item` counts the items of a for_each from 0; null is the step itself."""

    step: str
    item: int | None
    action: str
    status: str
    attempts: int
    result: Mapping[str, Any] | None
    error: Mapping[str, str] | None
    started_at: datetime
    finished_at: datetime | None
    took_ms: int | None

    @classmethod
    def of(cls, step: StepRecord) -> Self:
        duration_ms = (
            None if step.finished_at is None else int((step.finished_at - step.started_at).total_seconds() * 1000)
        )
        return cls(
            step=step.step,
            item=None if step.item < 0 else step.item,
            action=step.action,
            status=step.status,
            attempts=step.attempts,
            result=step.result,
            error=step.error,
            started_at=step.started_at,
            finished_at=step.finished_at,
            took_ms=duration_ms,
        )


class RunOut(BaseModel):
    """`resumes` is the run that this run resumes, and `called_by` is the run whose step started this run.

    `cause` is what started it: `request`, `call`, `event`, `schedule` or `webhook`. A run that repeats another one has
    its cause.
    """

    id: UUID
    workflow_id: UUID
    version: int
    status: str
    inputs: Mapping[str, Any]
    started_by: str
    error: Mapping[str, Any] | None
    resumes: UUID | None
    called_by: UUID | None
    trigger_id: UUID | None
    cause: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls(
            id=run.id,
            workflow_id=run.workflow_id,
            version=run.version,
            status=run.status,
            inputs=run.inputs,
            started_by=run.started_by,
            error=run.error,
            resumes=run.lineage[-1] if run.lineage else None,
            called_by=run.called_by,
            trigger_id=run.trigger_id,
            cause=run.cause,
            created_at=run.created_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
        )


class RunDetailOut(RunOut):
    steps: list[StepOut] = Field(default_factory=list)

    @classmethod
    def with_steps(cls, detail: RunDetail) -> Self:
        return cls(**dict(RunOut.of(detail.run)), steps=[StepOut.of(step) for step in detail.steps])


class StoredItemsOut(BaseModel):
    """Items that a step of an imported n8n workflow gave."""

    items: list[dict[str, Any]]
    next_cursor: str | None = None


class ShownDraftOut(BaseModel):
    """`left_out`: the approval was given without this draft, whose email is rejected."""

    draft_id: UUID
    sha256: str
    left_out: bool = False


class ApprovalOut(BaseModel):
    """An approval. Read each draft at /drafts/{id}; only a draft with the approved hash is sent."""

    id: UUID
    run_id: UUID
    step: str
    title: str
    status: str
    drafts: list[ShownDraftOut]
    requested_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    comment: str | None

    @classmethod
    def of(cls, approval: Approval) -> Self:
        return cls(
            id=approval.id,
            run_id=approval.run_id,
            step=approval.step,
            title=approval.title,
            status=approval.status,
            drafts=[
                ShownDraftOut(draft_id=draft.draft_id, sha256=draft.sha256, left_out=draft.left_out)
                for draft in approval.drafts
            ],
            requested_at=approval.requested_at,
            expires_at=approval.expires_at,
            decided_by=approval.decided_by,
            decided_at=approval.decided_at,
            comment=approval.comment,
        )


class DecisionIn(RequestBody):
    decision: Literal["approved", "denied"]
    comment: Annotated[str, Field(max_length=2_000)] | None = None
    seen: Annotated[
        dict[UUID, str] | None, Field(max_length=500, description="The hashes of the drafts that you have read, by id")
    ] = None
    leave_out: Annotated[
        list[UUID], Field(max_length=500, description="Drafts that are not approved with the others")
    ] = Field(default_factory=list)
