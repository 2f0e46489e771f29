"""What workflows need of the world."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.events import Event
from email_sender.errors import Problem
from email_sender.workflows.model import (
    Approval,
    Run,
    RunStatus,
    Settled,
    StepRecord,
    Wait,
    Workflow,
    WorkflowVersion,
)
from email_sender.workflows.trigger_model import TriggerStore


class WorkflowStore(Protocol):
    def add(self, workflow: Workflow, published_by: str) -> None:
        """Raises Conflict where the name is taken."""

    def add_version(self, workflow: Workflow, published_by: str) -> None:
        """Raises Conflict where another version was stored meanwhile."""

    def get(self, workflow_id: UUID) -> Workflow | None: ...

    def named(self, name: str) -> Workflow | None:
        """By its name or its id."""

    def version(self, workflow_id: UUID, version: int) -> Mapping[str, Any] | None:
        """The definition of one version."""

    def versions(self, workflow_id: UUID, before: int | None, limit: int) -> Sequence[WorkflowVersion]:
        """The newest first."""

    def page(self, after: UUID | None, limit: int) -> Sequence[Workflow]: ...

    def archive(self, workflow_id: UUID) -> bool: ...


class RunStore(Protocol):
    def add(self, run: Run) -> bool:
        """Whether it was new."""

    def get(self, run_id: UUID, *, lock: bool = False) -> Run | None: ...

    def page(self, workflow_id: UUID, before: UUID | None, limit: int) -> Sequence[Run]: ...

    def open_since(self, before: datetime) -> Sequence[Run]:
        """Runs not ended, made before that time."""

    def set_status(
        self, run_id: UUID, status: RunStatus, at: datetime, *, execution_arn: str | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> None: ...  # fmt: skip

    def record(self, run_id: UUID, step: StepRecord) -> None:
        """Insert or replace what is known of (step, item); a repeat counts as another attempt."""

    def step(self, run_id: UUID, step: str, item: int) -> StepRecord | None: ...

    def steps(self, run_id: UUID) -> Sequence[StepRecord]: ...

    def keep(self, run_id: UUID, earlier: UUID, steps: Sequence[str]) -> None:
        """Take over what these steps of an earlier run succeeded in."""

    def called(self, run_id: UUID) -> Sequence[UUID]:
        """The runs that its steps started and that have not ended."""


class ApprovalStore(Protocol):
    def add(self, approval: Approval) -> Approval:
        """Store it; where (run, step) has one, give that one the new task token and return it."""

    def get(self, approval_id: UUID) -> Approval | None:
        """Locked until the transaction ends."""

    def page(self, status: str | None, after: UUID | None, limit: int) -> Sequence[Approval]: ...

    def save(self, approval: Approval) -> None: ...

    def undelivered(self, before: datetime) -> Sequence[Approval]:
        """Decided before that time, and the engine was not told."""

    def overdue(self, now: datetime) -> Sequence[Approval]: ...

    def close(self, run_id: UUID, at: datetime) -> None:
        """The run ended: what is pending of it expires."""

    def known_drafts(self, drafts: Sequence[tuple[UUID, str]]) -> int:
        """How many of (id, sha256) are drafts of the tenant."""


class WaitStore(Protocol):
    def add(self, wait: Wait) -> None:
        """Store it; where (run, step, item) has one, that one gets the new token."""

    def settled(self, now: datetime, subject: UUID | None = None) -> Sequence[Settled]:
        """Those whose subject came to its end, or whose time is over, and whose step was not told. Locked.

        One whose time is over has neither result nor error: the engine's own clock tells the step.
        """

    def told(self, wait: Wait, at: datetime) -> None: ...

    def close(self, run_id: UUID, at: datetime) -> None:
        """The run ended: nothing of it waits any more."""


class WorkflowUnit(Protocol):
    """One transaction."""

    @property
    def tenant_id(self) -> UUID: ...
    @property
    def workflows(self) -> WorkflowStore: ...
    @property
    def runs(self) -> RunStore: ...
    @property
    def approvals(self) -> ApprovalStore: ...
    @property
    def waits(self) -> WaitStore: ...
    @property
    def triggers(self) -> TriggerStore: ...

    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class WorkflowUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[WorkflowUnit]: ...


class ExecutionStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    ABORTED = "aborted"
    FORGOTTEN = "forgotten"


class Engine(Protocol):
    """What runs compiled machines."""

    def ensure(self, machine: str, definition: Mapping[str, Any]) -> None:
        """Register a machine under that name; the same one again is a no-op."""

    def start(self, machine: str, run_id: UUID, inputs: Mapping[str, Any], passed: Sequence[str] = ()) -> str:
        """Start a run and return the execution's id. The same run again is a no-op. `passed`: waits that are over.

        Raises:
            NotFound: there is no such machine.
        """

    def status(self, execution: str) -> ExecutionStatus: ...

    def stop(self, execution: str) -> None: ...

    def answer(self, task_token: str, result: Mapping[str, Any]) -> None:
        """Tell a waiting step its result; one that waits no longer is left alone."""

    def refuse(self, task_token: str, error: str, message: str) -> None:
        """Tell a waiting step that it failed; one that waits no longer is left alone."""


class InputChecker(Protocol):
    def problems(self, schema: Mapping[str, Any], value: Any) -> Sequence[Problem]:
        """What is wrong with a value, by its JSON Schema."""
