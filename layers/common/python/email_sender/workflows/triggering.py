"""Triggers at work: their rules and schedules are made and taken away, and what rings starts a run, once."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import DomainError, InvalidInput, NotFound, Unavailable
from email_sender.workflows.definitions import Actor
from email_sender.workflows.model import Run
from email_sender.workflows.runs import MAX_DEPTH, Cause, RunService
from email_sender.workflows.trigger_model import Bells, StoredTrigger, TriggerKind, TriggerState, TriggerUnits

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ring:
    """What a trigger heard. The same `key` is the same ring: it starts nothing twice.

    `correlation_id` is of the event that rang, where one did.
    """

    key: str
    inputs: Mapping[str, Any]
    correlation_id: str | None = None


class TriggerService:
    def __init__(self, units: TriggerUnits, runs: RunService, bells: Bells, now: Now, new_id: NewId) -> None:
        self._units, self._runs, self._bells, self._now, self._new_id = units, runs, bells, now, new_id

    def of(self, tenant_id: UUID, workflow_id: UUID) -> list[StoredTrigger]:
        with self._units(tenant_id) as unit:
            return list(unit.triggers.of(workflow_id))

    def settle(self, tenant_id: UUID) -> int:
        """Make the rules and schedules that are pending, take away those that retire. Returns how many were settled.

        All of it may be done twice. What AWS does not answer for is left to the next time.
        """
        with self._units(tenant_id) as unit:
            waiting = unit.triggers.unsettled()
        settled = 0
        for trigger in waiting:
            try:
                state, error = self._hang(tenant_id, trigger)
            except Unavailable:
                _log.warning("a trigger is left to the sweep", extra={"trigger_id": str(trigger.id)})
                continue
            with self._units(tenant_id) as unit:
                unit.triggers.set_state(trigger.id, trigger.state, state, error)
                unit.commit()
            settled += 1
        return settled

    def fire(self, tenant_id: UUID, trigger_id: UUID, ring: Ring) -> Run | None:
        """Start the run of a ring; None where it is not to be, which the trigger then says.

        Raises:
            NotFound: the trigger is not there, or not active any more.
            Unavailable: to be rung again.
        """
        with self._units(tenant_id) as unit:
            trigger = unit.triggers.get(trigger_id)
            if trigger is None or trigger.state not in (TriggerState.ACTIVE, TriggerState.PENDING):
                raise NotFound("There is no such trigger.")
            before = unit.runs.get(UUID(ring.correlation_id)) if _is_id(ring.correlation_id) else None
        run_id = uuid5(trigger.id, ring.key)
        depth = 0 if before is None else before.depth + 1
        actor = Actor(trigger.started_by, trigger.role)
        try:
            if depth > MAX_DEPTH:
                raise InvalidInput(f"Runs start each other at most {MAX_DEPTH} deep, and this one would be deeper.")
            inputs = {**trigger.inputs, **ring.inputs}
            cause = Cause(trigger_id=trigger.id, depth=depth)
            run = self._runs.start(tenant_id, run_id, trigger.workflow_id, inputs, actor, cause=cause)
        except Unavailable:
            raise
        except DomainError as error:
            self._note(tenant_id, trigger, ring, None, error.detail)
            if trigger.kind is TriggerKind.WEBHOOK:
                raise
            return None
        self._note(tenant_id, trigger, ring, run, None)
        return run

    def _hang(self, tenant_id: UUID, trigger: StoredTrigger) -> tuple[TriggerState, str | None]:
        if trigger.state is TriggerState.RETIRING:
            self._bells.take_down(trigger)
            return TriggerState.RETIRED, None
        try:
            if trigger.kind is TriggerKind.EVENT:
                self._bells.hang_rule(trigger.id, self._pattern(tenant_id, trigger))
            elif trigger.kind is TriggerKind.SCHEDULE:
                self._bells.hang_schedule(trigger.id, trigger.definition["cron"], trigger.definition["timezone"])
        except InvalidInput as error:
            return TriggerState.REFUSED, error.detail
        return TriggerState.ACTIVE, None

    def _pattern(self, tenant_id: UUID, trigger: StoredTrigger) -> dict[str, Any]:
        """With whose events it may hear. Who owns an event that came is asked once more (recording.Owners)."""
        wanted: dict[str, Any] = dict(trigger.definition["event"])
        with self._units(tenant_id) as unit:
            registered = unit.triggers.registered(wanted["source"])
        if registered:
            return {**wanted, "account": sorted({account for each in registered.values() for account in each})}
        return {**wanted, "detail": {**wanted.get("detail", {}), "tenant_id": [str(tenant_id)]}}

    def _note(self, tenant_id: UUID, trigger: StoredTrigger, ring: Ring, run: Run | None, error: str | None) -> None:
        with self._units(tenant_id) as unit:
            unit.triggers.fired(trigger.id, self._now(), run.id if run else None, error)
            if error is not None:
                unit.emit(
                    Event(
                        id=uuid5(trigger.id, f"failed {ring.key}"),
                        type="workflow.trigger.failed",
                        area="workflows",
                        tenant_id=tenant_id,
                        aggregate_id=str(trigger.id),
                        occurred_at=self._now(),
                        data={
                            "trigger_id": str(trigger.id),
                            "workflow_id": str(trigger.workflow_id),
                            "message": error[:4096],
                        },
                    )
                )
            unit.commit()


def _is_id(text: str | None) -> bool:
    try:
        return text is not None and bool(UUID(text))
    except ValueError:
        return False
