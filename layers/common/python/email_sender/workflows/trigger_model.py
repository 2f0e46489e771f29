"""Triggers as they are stored, and what they need of the world."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID, uuid5

from email_sender.coordination.events import Event
from email_sender.security.permissions import Role
from email_sender.workflows.definition import EventTrigger, ScheduleTrigger, Trigger
from email_sender.workflows.model import Run


class TriggerKind(StrEnum):
    EVENT = "event"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"


class TriggerState(StrEnum):
    """`pending` and `retiring`: the rule or schedule is still to be made or to go. `refused`: AWS takes it not."""

    PENDING = "pending"
    ACTIVE = "active"
    REFUSED = "refused"
    RETIRING = "retiring"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class StoredTrigger:
    """`definition` is {"kind's own fields", "inputs"}. `started_by` and `role` are who published it."""

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
        found: Mapping[str, Any] = self.definition.get("inputs", {})
        return found


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a webhook's posts are signed with: now, and until then also the one before."""

    current: str | None
    previous: str | None = None
    previous_ends: datetime | None = None


class TriggerStore(Protocol):
    def publish(self, workflow_id: UUID, triggers: Sequence[StoredTrigger]) -> None:
        """The workflow has these from now on: new ones as they are, known ones for their new publisher, and the others
        retire."""

    def get(self, trigger_id: UUID) -> StoredTrigger | None: ...

    def of(self, workflow_id: UUID) -> Sequence[StoredTrigger]:
        """Those that have not retired."""

    def unsettled(self) -> Sequence[StoredTrigger]:
        """Pending and retiring ones."""

    def counted(self, kind: TriggerKind) -> int:
        """How many of the tenant have not retired."""

    def set_state(self, trigger_id: UUID, expected: TriggerState, state: TriggerState, error: str | None) -> None:
        """Where it is still as expected."""

    def fired(self, trigger_id: UUID, at: datetime, run_id: UUID | None, error: str | None) -> None: ...

    def secrets(self, trigger_id: UUID) -> Secrets:
        """Locked until the transaction ends."""

    def save_secrets(self, trigger_id: UUID, secrets: Secrets) -> None: ...

    def registered(self, sources: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The accounts that are registered to the tenant, by source."""


class RunReader(Protocol):
    def get(self, run_id: UUID, *, lock: bool = False) -> Run | None: ...


class TriggerUnit(Protocol):
    """One transaction."""

    @property
    def triggers(self) -> TriggerStore: ...
    @property
    def runs(self) -> RunReader: ...

    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class TriggerUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[TriggerUnit]: ...


class Bells(Protocol):
    """What rings when it is time, or an event comes: one rule or schedule a trigger, named by its id."""

    def hang_rule(self, trigger_id: UUID, pattern: Mapping[str, Any]) -> None:
        """Make or change it. Raises InvalidInput for a pattern that is none, Unavailable."""

    def hang_schedule(self, trigger_id: UUID, cron: str, timezone: str) -> None:
        """Make or change it. Raises InvalidInput for an expression that is none, Unavailable."""

    def take_down(self, trigger: StoredTrigger) -> None:
        """Raises Unavailable; one that is not there is no error."""


def stored(workflow_id: UUID, triggers: Sequence[Trigger], subject: str, role: Role) -> list[StoredTrigger]:
    """A trigger keeps its id, and with that a webhook its address, as long as it is written the same."""
    seen: dict[str, int] = {}
    found = []
    for trigger in triggers:
        kind, definition = _written(trigger)
        # A webhook's address outlives what its inputs default to.
        name = kind if kind is TriggerKind.WEBHOOK else f"{kind} {json.dumps(definition, sort_keys=True)}"
        seen[name] = seen.get(name, 0) + 1
        trigger_id = uuid5(workflow_id, f"trigger {seen[name]} {name}")
        state = TriggerState.ACTIVE if kind is TriggerKind.WEBHOOK else TriggerState.PENDING
        found.append(StoredTrigger(trigger_id, workflow_id, kind, definition, state, subject, role))
    return found


def _written(trigger: Trigger) -> tuple[TriggerKind, dict[str, Any]]:
    inputs = dict(trigger.inputs)
    if isinstance(trigger, EventTrigger):
        return TriggerKind.EVENT, {"event": dict(trigger.pattern), "inputs": inputs}
    if isinstance(trigger, ScheduleTrigger):
        return TriggerKind.SCHEDULE, {"cron": trigger.cron, "timezone": trigger.timezone, "inputs": inputs}
    return TriggerKind.WEBHOOK, {"inputs": inputs}
