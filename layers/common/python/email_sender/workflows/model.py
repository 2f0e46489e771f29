"""Stored workflows, their runs, steps and approvals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from email_sender.security.permissions import Role


class WorkflowStatus(StrEnum):
    ACTIVE = "active"
    ARCHIVED = "archived"


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


OPEN_STATUSES = (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING)


class StepStatus(StrEnum):
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class Decision(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow at one version. `definition` is as the user wrote it; `version` counts from 1."""

    id: UUID
    name: str
    definition: Mapping[str, Any]
    version: int
    status: WorkflowStatus = WorkflowStatus.ACTIVE
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """The principal that makes a request."""

    subject: str
    role: Role


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """A published version of a workflow. `published_role` is the role that its publisher had then."""

    version: int
    definition: Mapping[str, Any]
    published_by: str
    published_at: datetime
    published_role: Role


class RunCause(StrEnum):
    """How a run was started: by a person or an application, by a step of another run, or by a trigger."""

    REQUEST = "request"
    CALL = "call"
    EVENT = "event"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Run:
    """An execution of a workflow.

    `started_by` and `role` are the principal that the run acts for. `lineage` are the runs that it resumes, the
    earliest first; `passed` are the ids of `wait` steps that ended in those runs. `called_by` is the run whose step
    started this run, and `depth` is the number of calls above it. Since `emptied_at`, its inputs and results are gone.
    `traceparent` is the trace that it belongs to (email_sender.tracing). A run that repeats another one has its cause.
    """

    id: UUID
    workflow_id: UUID
    version: int
    status: RunStatus
    inputs: Mapping[str, Any]
    started_by: str
    role: Role
    created_at: datetime
    execution_arn: str | None = None
    error: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lineage: Sequence[UUID] = ()
    passed: Sequence[str] = ()
    called_by: UUID | None = None
    depth: int = 0
    trigger_id: UUID | None = None
    emptied_at: datetime | None = None
    traceparent: str | None = None
    cause: RunCause = RunCause.REQUEST


class WaitKind(StrEnum):
    """What `Wait.subject` identifies: an email (its reply is awaited), a run (its end), or a callback (its answer)."""

    REPLY = "reply"
    RUN = "run"
    CALLBACK = "callback"


@dataclass(frozen=True, slots=True)
class Wait:
    """A step that waits by task token. The token never leaves the platform.

    `accepts_others`: an answer of a person other than the contact ends the wait too.
    """

    run_id: UUID
    step: str
    item: int
    kind: WaitKind
    subject: UUID
    task_token: str
    asked_at: datetime
    expires_at: datetime
    accepts_others: bool = False


@dataclass(frozen=True, slots=True)
class SettledWait:
    """A wait whose subject has ended: the step's result, or an error as (name, message)."""

    wait: Wait
    result: Mapping[str, Any] | None = None
    error: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The record of a step. `item` counts the items of a for_each from 0; -1 is the step itself."""

    step: str
    item: int
    action: str
    status: StepStatus
    started_at: datetime
    attempts: int = 1
    result: Mapping[str, Any] | None = None
    error: Mapping[str, str] | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownDraft:
    """A draft that an approval shows. If it is `left_out`, the approval is not for it."""

    draft_id: UUID
    sha256: str
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval. `delivered_at` is when the engine received the decision. `task_token` never leaves the platform."""

    id: UUID
    run_id: UUID
    step: str
    title: str
    drafts: Sequence[ShownDraft]
    task_token: str
    expires_at: datetime
    requested_at: datetime
    status: Decision = Decision.PENDING
    decided_by: str | None = None
    decided_role: Role | None = None
    comment: str | None = None
    decided_at: datetime | None = None
    delivered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunDetail:
    run: Run
    steps: Sequence[StepRecord] = field(default_factory=tuple)
