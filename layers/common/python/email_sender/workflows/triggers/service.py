"""Create and delete triggers' rules and schedules, and start one run per trigger invocation."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid5

from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import EventFactory
from email_sender.errors import DomainError, Forbidden, InvalidInput, NotFound, NotSupported, Unavailable
from email_sender.security.permissions import Role, weaker
from email_sender.workflows.model import Actor, Run, RunCause
from email_sender.workflows.runs.service import MAX_DEPTH, RunService, StartCause
from email_sender.workflows.triggers.model import (
    StoredTrigger,
    TriggerKind,
    TriggerScheduler,
    TriggerState,
    TriggerUnits,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TriggerInvocation:
    """One invocation of a trigger. The same `key` is the same invocation and starts only one run.

    `correlation_id` is the correlation id of the event that caused the invocation, if an event did.
    """

    key: str
    inputs: Mapping[str, Any]
    correlation_id: str | None = None


class RoleDirectory(Protocol):
    def role_of(self, tenant_id: UUID, subject: str) -> Role | None:
        """Return the role that a person has in the tenant now, or None if there is no such person any more.

        Raises:
            NotSupported: this deployment cannot know, because another issuer has the people.
            Unavailable: the directory did not respond.
        """


class TriggerService:
    def __init__(
        self,
        units: TriggerUnits,
        runs: RunService,
        scheduler: TriggerScheduler,
        roles: RoleDirectory,
        now: Clock,
        new_id: IdFactory,
    ) -> None:
        self._units, self._runs, self._scheduler, self._roles, self._now = units, runs, scheduler, roles, now
        self._events = EventFactory("workflows", now, new_id)

    def list_for_workflow(self, tenant_id: UUID, workflow_id: UUID) -> list[StoredTrigger]:
        with self._units(tenant_id) as unit:
            return list(unit.triggers.list_for_workflow(workflow_id))

    def apply_pending_changes(self, tenant_id: UUID) -> int:
        """Create the rules and schedules of pending triggers and delete those of retiring triggers.

        Every change can be repeated safely. A trigger for which AWS is unavailable is left for the next call. Returns
        the number of changed triggers.
        """
        with self._units(tenant_id) as unit:
            unsettled_triggers = unit.triggers.list_unsettled()
        count = 0
        for trigger in unsettled_triggers:
            try:
                state, error = self._apply(tenant_id, trigger)
            except Unavailable:
                _log.warning("AWS is unavailable; the sweep retries the trigger", extra={"trigger_id": str(trigger.id)})
                continue
            with self._units(tenant_id) as unit:
                unit.triggers.set_state(trigger.id, trigger.state, state, error)
                unit.commit()
            count += 1
        return count

    def fire(self, tenant_id: UUID, trigger_id: UUID, invocation: TriggerInvocation) -> Run | None:
        """Start a run for an invocation.

        Returns None if the run cannot start; the reason is stored as the trigger's last error. A webhook's caller gets
        the error instead.

        Raises:
            NotFound: the trigger does not exist or is no longer active.
            Unavailable: the invocation must be retried.
        """
        with self._units(tenant_id) as unit:
            trigger = unit.triggers.get(trigger_id)
            if trigger is None or trigger.state not in (TriggerState.ACTIVE, TriggerState.PENDING):
                raise NotFound("Trigger not found.")
            causing_run = (
                unit.runs.get(UUID(invocation.correlation_id)) if _is_uuid(invocation.correlation_id) else None
            )
        run_id = uuid5(trigger.id, invocation.key)
        depth = 0 if causing_run is None else causing_run.depth + 1
        try:
            actor = Actor(trigger.started_by, self._role_of(tenant_id, trigger))
            if depth > MAX_DEPTH:
                raise InvalidInput(f"Runs can start each other at most {MAX_DEPTH} levels deep.")
            inputs = {**trigger.inputs, **invocation.inputs}
            cause = StartCause(RunCause(trigger.kind), trigger_id=trigger.id, depth=depth)
            run = self._runs.start(tenant_id, run_id, trigger.workflow_id, inputs, actor, cause=cause)
        except Unavailable:
            raise
        except DomainError as error:
            self._record_outcome(tenant_id, trigger, invocation, None, error.detail)
            if trigger.kind is TriggerKind.WEBHOOK:
                raise
            return None
        self._record_outcome(tenant_id, trigger, invocation, run, None)
        return run

    def _role_of(self, tenant_id: UUID, trigger: StoredTrigger) -> Role:
        """Return the rights that the trigger's runs have now: those of its publisher, who may have lost some since.

        Raises:
            Forbidden: the publisher is not a member of the tenant any more.
            Unavailable: nobody can say now. The invocation must be retried.
        """
        try:
            current_role = self._roles.role_of(tenant_id, trigger.started_by)
        except NotSupported:
            return trigger.role
        if current_role is None:
            raise Forbidden(
                "The person who published this trigger is not a member of the tenant any more. "
                "Publish the workflow again."
            )
        return weaker(trigger.role, current_role)

    def _apply(self, tenant_id: UUID, trigger: StoredTrigger) -> tuple[TriggerState, str | None]:
        if trigger.state is TriggerState.RETIRING:
            self._scheduler.delete(trigger)
            return TriggerState.RETIRED, None
        try:
            if trigger.kind is TriggerKind.EVENT:
                self._scheduler.create_rule(trigger.id, self._build_pattern(tenant_id, trigger))
            elif trigger.kind is TriggerKind.SCHEDULE:
                self._scheduler.create_schedule(trigger.id, trigger.definition["cron"], trigger.definition["timezone"])
        except InvalidInput as error:
            return TriggerState.REFUSED, error.detail
        return TriggerState.ACTIVE, None

    def _build_pattern(self, tenant_id: UUID, trigger: StoredTrigger) -> dict[str, Any]:
        """Return the event pattern, limited to the accounts registered for the tenant, or to the tenant's own events.

        The owner of a received event is checked again when it arrives (recording.Owners).
        """
        pattern: dict[str, Any] = dict(trigger.definition["event"])
        with self._units(tenant_id) as unit:
            accounts_by_source = unit.triggers.accounts_by_source(pattern["source"])
        if accounts_by_source:
            return {
                **pattern,
                "account": sorted({account for accounts in accounts_by_source.values() for account in accounts}),
            }
        return {**pattern, "detail": {**pattern.get("detail", {}), "tenant_id": [str(tenant_id)]}}

    def _record_outcome(
        self, tenant_id: UUID, trigger: StoredTrigger, invocation: TriggerInvocation, run: Run | None, error: str | None
    ) -> None:
        with self._units(tenant_id) as unit:
            unit.triggers.record_start(trigger.id, self._now(), run.id if run else None, error)
            if error is not None:
                data = {
                    "trigger_id": str(trigger.id),
                    "workflow_id": str(trigger.workflow_id),
                    "message": error[:4096],
                }
                event_id = uuid5(trigger.id, f"failed {invocation.key}")
                unit.emit(self._events.build("workflow.trigger.failed", tenant_id, trigger.id, data, event_id=event_id))
            unit.commit()


def _is_uuid(text: str | None) -> bool:
    try:
        return text is not None and bool(UUID(text))
    except ValueError:
        return False
