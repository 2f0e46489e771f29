"""Stored triggers and the ports of the trigger services."""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID, uuid5

from email_sender.coordination.events import Event
from email_sender.security.permissions import Role
from email_sender.security.quotas import QuotaKind
from email_sender.workflows.definition.model import EventTrigger, ScheduleTrigger, Trigger, WebhookAuth
from email_sender.workflows.model import Run


class TriggerKind(StrEnum):
    EVENT = "event"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"


class TriggerState(StrEnum):
    """The state of a trigger.

    `pending`: its rule or schedule is not created yet. `retiring`: it is not deleted yet. `refused`: AWS rejected it.
    """

    PENDING = "pending"
    ACTIVE = "active"
    REFUSED = "refused"
    RETIRING = "retiring"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class StoredTrigger:
    """A trigger in storage.

    `definition` holds the fields of the trigger's kind and `inputs`. `started_by` and `role` are the principal that
    published the trigger and that its runs act for.
    """

    id: UUID
    workflow_id: UUID
    kind: TriggerKind
    definition: Mapping[str, Any]
    state: TriggerState
    started_by: str
    role: Role
    last_run_id: UUID | None = None
    last_error: str | None = None
    last_at: datetime | None = None

    @property
    def inputs(self) -> Mapping[str, Any]:
        inputs: Mapping[str, Any] = self.definition.get("inputs", {})
        return inputs


@dataclass(frozen=True, slots=True)
class Secrets:
    """The signing secrets of a webhook. The previous secret is valid until `previous_ends`."""

    current: str | None
    previous: str | None = None
    previous_ends: datetime | None = None


class TriggerStore(Protocol):
    def publish(self, workflow_id: UUID, triggers: Sequence[StoredTrigger]) -> None:
        """Replace the workflow's triggers.

        New triggers are stored, known ones get the new publisher, and all others start to retire.
        """

    def get(self, trigger_id: UUID) -> StoredTrigger | None: ...

    def list_for_workflow(self, workflow_id: UUID) -> Sequence[StoredTrigger]:
        """Return the workflow's triggers that have not retired."""

    def list_unsettled(self) -> Sequence[StoredTrigger]:
        """Return the pending and the retiring triggers."""

    def count(self, kind: TriggerKind) -> int:
        """Return how many triggers of this kind the tenant has that have not retired."""

    def set_state(self, trigger_id: UUID, expected: TriggerState, state: TriggerState, error: str | None) -> None:
        """Change the state if it is still `expected`."""

    def record_start(self, trigger_id: UUID, at: datetime, run_id: UUID | None, error: str | None) -> None: ...

    def secrets(self, trigger_id: UUID) -> Secrets:
        """Return the webhook's secrets, locked until the transaction ends."""

    def save_secrets(self, trigger_id: UUID, secrets: Secrets) -> None: ...

    def accounts_by_source(self, sources: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the AWS accounts that are registered for the tenant, by event source."""


class RunReader(Protocol):
    def get(self, run_id: UUID, *, lock: bool = False) -> Run | None: ...

    def answer(self, run_id: UUID) -> Mapping[str, Any] | None:
        """Return the result of the run's first step with the action webhook.answer that has succeeded."""

    def has_many_open(self, trigger_id: UUID, limit: int) -> bool:
        """Return whether more runs of the trigger than that have not ended."""
        ...


class ItemsReader(Protocol):
    def read(self, ids: Collection[UUID], runs: Collection[UUID]) -> Mapping[UUID, Sequence[Any]]:
        """Return those of the lists of items that these runs have."""
        ...


class TriggerUnit(Protocol):
    """One transaction."""

    @property
    def triggers(self) -> TriggerStore: ...
    @property
    def runs(self) -> RunReader: ...
    @property
    def stored_items(self) -> ItemsReader: ...

    def spend(self, kind: QuotaKind, amount: int = ...) -> None:
        """Count towards a quota of the tenant. Raises QuotaExceeded, and then nothing is stored."""

    def emit(self, event: Event) -> None: ...

    def audit(self, at: datetime, action: str, object_name: str, details: Mapping[str, Any] = ...) -> None: ...

    def commit(self) -> None: ...


class TriggerUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[TriggerUnit]: ...


class TriggerScheduler(Protocol):
    """Creates one EventBridge rule or schedule per trigger, named after the trigger's id."""

    def create_rule(self, trigger_id: UUID, pattern: Mapping[str, Any]) -> None:
        """Create or update a rule. Raises InvalidInput if AWS rejects the pattern, Unavailable if AWS fails."""

    def create_schedule(self, trigger_id: UUID, cron: str, timezone: str) -> None:
        """Create or update a schedule. Raises InvalidInput if AWS rejects the expression, Unavailable if AWS fails."""

    def delete(self, trigger: StoredTrigger) -> None:
        """Delete the trigger's rule or schedule, if it exists. Raises Unavailable if AWS fails."""


def build_triggers(workflow_id: UUID, triggers: Sequence[Trigger], subject: str, role: Role) -> list[StoredTrigger]:
    """Build the stored triggers of a version.

    A trigger keeps its id while its definition is unchanged, so a webhook also keeps its URL.
    """
    counts: dict[str, int] = {}
    stored_triggers = []
    for trigger in triggers:
        kind, definition = _serialise(trigger)
        # A webhook keeps its URL even if the defaults of its inputs change.
        name = kind if kind is TriggerKind.WEBHOOK else f"{kind} {json.dumps(definition, sort_keys=True)}"
        counts[name] = counts.get(name, 0) + 1
        trigger_id = uuid5(workflow_id, f"trigger {counts[name]} {name}")
        state = TriggerState.ACTIVE if kind is TriggerKind.WEBHOOK else TriggerState.PENDING
        stored_triggers.append(StoredTrigger(trigger_id, workflow_id, kind, definition, state, subject, role))
    return stored_triggers


def _serialise(trigger: Trigger) -> tuple[TriggerKind, dict[str, Any]]:
    inputs = dict(trigger.inputs)
    if isinstance(trigger, EventTrigger):
        return TriggerKind.EVENT, {"event": dict(trigger.pattern), "inputs": inputs}
    if isinstance(trigger, ScheduleTrigger):
        return TriggerKind.SCHEDULE, {"cron": trigger.cron, "timezone": trigger.timezone, "inputs": inputs}
    waits = {"answer_within": trigger.answer_within} if trigger.answer_within else {}
    auth = {"auth": trigger.auth} if trigger.auth is not WebhookAuth.SIGNATURE else {}
    return TriggerKind.WEBHOOK, {"inputs": inputs, **waits, **auth}
