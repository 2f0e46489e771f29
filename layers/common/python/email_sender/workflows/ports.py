"""The ports of the workflows package: stores, units of work and the workflow engine."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.events import Event
from email_sender.errors import Problem
from email_sender.security.quotas import QuotaKind
from email_sender.workflows.model import (
    Actor,
    Approval,
    Run,
    RunStatus,
    SettledWait,
    StepRecord,
    Wait,
    Workflow,
    WorkflowVersion,
)
from email_sender.workflows.triggers.model import TriggerStore


class WorkflowStore(Protocol):
    def missing_templates(self, names: Sequence[str]) -> Sequence[str]:
        """Return those of these names or ids of templates that the tenant does not have."""
        ...

    def add(self, workflow: Workflow, publisher: Actor) -> None:
        """Store a workflow with its first version. Raises Conflict if the name is taken."""

    def add_version(self, workflow: Workflow, publisher: Actor) -> None:
        """Store the next version. Raises Conflict if that version has already been stored."""

    def get(self, workflow_id: UUID) -> Workflow | None: ...

    def find_by_name_or_id(self, name: str) -> Workflow | None:
        """Return the workflow with this name or id."""

    def version(self, workflow_id: UUID, version: int) -> WorkflowVersion | None: ...

    def versions(self, workflow_id: UUID, before: int | None, limit: int) -> Sequence[WorkflowVersion]:
        """Return versions, newest first."""

    def page(self, after: UUID | None, limit: int) -> Sequence[Workflow]: ...

    def archive(self, workflow_id: UUID) -> bool: ...


class RunStore(Protocol):
    def add(self, run: Run) -> bool:
        """Store a run. Return whether it was new."""

    def get(self, run_id: UUID, *, lock: bool = False) -> Run | None: ...

    def page(
        self, workflow_id: UUID | None, before: UUID | None, limit: int, status: RunStatus | None = None
    ) -> Sequence[Run]:
        """Return the newest runs, of one workflow or of all."""
        ...

    def list_open_before(self, before: datetime) -> Sequence[Run]:
        """Return the runs that have not ended and were created before that time."""

    def set_status(
        self, run_id: UUID, status: RunStatus, at: datetime, *, execution_arn: str | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> None: ...  # fmt: skip

    def record(self, run_id: UUID, step: StepRecord) -> None:
        """Insert or replace the record of (step, item). A repeated record counts as another attempt."""

    def step(self, run_id: UUID, step: str, item: int) -> StepRecord | None: ...

    def steps(self, run_id: UUID) -> Sequence[StepRecord]: ...

    def answer(self, run_id: UUID) -> Mapping[str, Any] | None:
        """Return the result of the run's first step with the action webhook.answer that has succeeded."""

    def copy_step_results(self, run_id: UUID, earlier: UUID, steps: Sequence[str]) -> None:
        """Copy the successful results of these steps from an earlier run."""

    def list_open_called_runs(self, run_id: UUID) -> Sequence[UUID]:
        """Return the runs that this run's steps started and that have not ended."""


class ApprovalStore(Protocol):
    def add(self, approval: Approval) -> Approval:
        """Store an approval. If (run, step) already has one, give it the new task token and return it."""

    def get(self, approval_id: UUID, *, lock: bool = False) -> Approval | None:
        """Return an approval. With `lock`, no other transaction can change it until this one ends."""

    def page(self, status: str | None, after: UUID | None, limit: int) -> Sequence[Approval]: ...

    def save(self, approval: Approval) -> None: ...

    def list_undelivered(self, before: datetime) -> Sequence[Approval]:
        """Return approvals that were decided before that time and not delivered to the engine."""

    def list_overdue(self, now: datetime) -> Sequence[Approval]:
        """Return pending approvals whose time has run out. They are not locked."""

    def close(self, run_id: UUID, at: datetime) -> None:
        """Expire the pending approvals of a run that ended."""

    def current_drafts(self, drafts: Sequence[tuple[UUID, str]]) -> Mapping[UUID, str]:
        """Return the current hash of each draft whose (id, sha256) is given and known, by id.

        A hash that a draft had before somebody edited it is known too.
        """
        ...


class WaitStore(Protocol):
    def add(self, wait: Wait) -> UUID:
        """Store a wait, and return its subject. If (run, step, item) already has one, give it the new task token.

        A step that is repeated after its wait was over waits anew, for the whole time. Only if an answer was delivered
        before does it get a new subject, so that a late copy of that answer is not taken for the next one.
        """

    def list_settled(self, now: datetime, subject: UUID | None = None) -> Sequence[SettledWait]:
        """Return waits that have ended and whose steps have not been resumed, locked until the transaction ends.

        A wait ends when its subject ends or its time runs out. A wait whose time ran out has neither a result nor an
        error, because the engine's own timeout ends the step.
        """

    def mark_delivered(self, wait: Wait, at: datetime) -> None: ...

    def is_open(self, wait: Wait) -> bool:
        """Return whether the step still waits with this task token."""

    def forget(self, wait: Wait, at: datetime) -> bool:
        """End a wait that has no answer. Return False if it has one, or is over."""

    def has_callback(self, callback_id: UUID) -> bool:
        """Return whether a step waits, or has waited, for an answer with this id."""

    def answer(self, callback_id: UUID, answer: Mapping[str, Any], at: datetime) -> bool:
        """Store the answer, unless there is one. Return whether the step has an answer now.

        It has none if it stopped waiting before.
        """

    def close(self, run_id: UUID, at: datetime) -> Mapping[tuple[str, int], datetime]:
        """Close the open waits of a run that ended. Return when each would have expired, by (step, item)."""


class StepResponses(Protocol):
    """Responses to the requests of a step that sends several, counted from 0. A repeated step goes on after them."""

    def read(self, run_id: UUID, step: str) -> tuple[datetime | None, Mapping[int, Mapping[str, Any]]]:
        """Return when the step first began to send, and the responses by number."""
        ...

    def add(self, run_id: UUID, step: str, number: int, asked_at: datetime, response: Mapping[str, Any]) -> None:
        """Store a response, unless there is one with this number."""

    def remove(self, run_id: UUID) -> None:
        """Remove the responses of a run that ended."""


class StoredItems(Protocol):
    """Lists of items that steps gave (workflows.stored_items). They are kept as long as the content of the run."""

    def add(self, items_id: UUID, run_id: UUID, step: str, items: Sequence[Any]) -> None:
        """Store a list. Raises InvalidInput if the run has too many items."""

    def read(self, ids: Collection[UUID], runs: Collection[UUID]) -> Mapping[UUID, Sequence[Any]]:
        """Return those of the lists that these runs have."""
        ...

    def page(self, items_id: UUID, runs: Collection[UUID], first: int, limit: int) -> Sequence[Any]:
        """Return items of a list from the place `first`, counted from 0. A list that the runs do not have is empty."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a step's nodes: the one with this `place`, counted from 0, that the step asks in its scope.

    Repeated, it has the same `origin` (the first of the runs that go on from each other), `step` and `place`, and gets
    the same answer.
    """

    run_id: UUID
    origin: UUID
    step: str
    place: int


class SeenValues(Protocol):
    """What the runs of a workflow have seen. `scope` is a node, or empty for all nodes of the workflow."""

    def add(self, question: Question, scope: str, values: Sequence[str], limit: int) -> Sequence[bool]:
        """Remember values, and return for each whether it was new before this question.

        Raises:
            InvalidInput: the scope would have more than `limit` values. None is stored then.
        """
        ...

    def reach(self, question: Question, scope: str, value: float) -> float | None:
        """Remember the value if it is the highest one, and return the highest one before this question."""
        ...

    def clear(self, question: Question, scope: str) -> None:
        """Forget the values."""


class Conversations(Protocol):
    """What was said in the sessions of agents. A session belongs to a workflow, and its runs share it."""

    def last(self, run_id: UUID, session: str, limit: int) -> Sequence[Mapping[str, str]]:
        """Return the last turns, {role, text}, of a session of the run's workflow, the oldest first."""
        ...

    def add(
        self, run_id: UUID, step: str, number: int, at: datetime, session: str, turns: Sequence[Mapping[str, str]]
    ) -> None:
        """Add what the user and the model said, unless the step's request with this number already did."""


class WorkflowUnit(Protocol):
    """One transaction.

    A transaction that changes a run and its steps, waits or approvals locks the run first. Two transactions that lock
    rows in different orders could wait for each other.
    """

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
    def step_responses(self) -> StepResponses: ...
    @property
    def conversations(self) -> Conversations: ...
    @property
    def stored_items(self) -> StoredItems: ...
    @property
    def seen_values(self) -> SeenValues: ...
    @property
    def triggers(self) -> TriggerStore: ...

    def spend(self, kind: QuotaKind, amount: int = ...) -> None:
        """Count towards a quota of the tenant. Raises QuotaExceeded, and then nothing is stored."""

    def emit(self, event: Event) -> None: ...

    def audit(self, at: datetime, action: str, object_name: str, details: Mapping[str, Any] = ...) -> None: ...

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


class WorkflowEngine(Protocol):
    """The engine that runs compiled state machines."""

    def ensure(self, machine: str, definition: Mapping[str, Any]) -> None:
        """Register a state machine under this name, or replace its definition. Repeating the call has no effect."""

    def start(self, machine: str, run: Run) -> str:
        """Start the execution of a run and return its id. Repeating the call for the same run has no effect.

        Raises:
            NotFound: the state machine is not registered.
        """

    def status(self, execution: str) -> ExecutionStatus: ...

    def stop(self, execution: str) -> None: ...

    def send_task_success(self, task_token: str, result: Mapping[str, Any]) -> None:
        """Complete a waiting step with its result. A step that no longer waits is ignored."""

    def send_task_failure(self, task_token: str, error: str, message: str) -> None:
        """Fail a waiting step. A step that no longer waits is ignored."""


class InputChecker(Protocol):
    def problems(self, schema: Mapping[str, Any], value: Any) -> Sequence[Problem]:
        """Return the problems of a value according to a JSON Schema."""
