"""EventBridge rules and schedules that send to a queue. Implements workflows.triggers.model.TriggerScheduler."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.aws.errors import AwsError, Translation, translate_aws_errors
from email_sender.errors import InvalidInput, Unavailable
from email_sender.workflows.triggers.model import StoredTrigger, TriggerKind

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

_UNAVAILABLE = "EventBridge could not change the trigger. Try again later."

_TARGET_ID = "queue"
# Scheduler replaces this with the scheduled time, which a late or repeated delivery does not change.
_SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


@dataclass(frozen=True, slots=True)
class TriggerTarget:
    """The queue that rules and schedules send to.

    Rules are on the event bus `bus`. The names of rules and schedules begin with `prefix`. `role_arn` is the role that
    EventBridge Scheduler uses.
    """

    bus: str
    queue_arn: str
    role_arn: str
    prefix: str


class EventBridgeTriggerScheduler:
    def __init__(
        self,
        events: Callable[[], "EventBridgeClient"],
        scheduler: Callable[[], "EventBridgeSchedulerClient"],
        target: TriggerTarget,
    ) -> None:
        self._events, self._scheduler, self._target = events, scheduler, target

    def create_rule(self, trigger_id: UUID, pattern: Mapping[str, Any]) -> None:
        name = self._name(trigger_id)
        transformer: Any = {
            "InputPathsMap": {},
            "InputTemplate": f'{{"trigger_id": "{trigger_id}", "event": <aws.events.event.json>}}',
        }
        with translate_aws_errors(_UNAVAILABLE, _rejection("InvalidEventPatternException")):
            self._events().put_rule(
                Name=name, EventBusName=self._target.bus, EventPattern=json.dumps(pattern), State="ENABLED"
            )
            response = self._events().put_targets(
                Rule=name,
                EventBusName=self._target.bus,
                Targets=[{"Id": _TARGET_ID, "Arn": self._target.queue_arn, "InputTransformer": transformer}],
            )
        if response["FailedEntryCount"]:
            raise Unavailable("EventBridge did not accept the rule's target.")

    def create_schedule(self, trigger_id: UUID, cron: str, timezone: str) -> None:
        schedule: Any = {
            "Name": self._name(trigger_id),
            "ScheduleExpression": f"cron({cron})",
            "ScheduleExpressionTimezone": timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": self._target.queue_arn,
                "RoleArn": self._target.role_arn,
                "Input": json.dumps({"trigger_id": str(trigger_id), "scheduled_time": _SCHEDULED_TIME}),
            },
        }
        client = self._scheduler()
        with translate_aws_errors(_UNAVAILABLE, _rejection("ValidationException")):
            try:
                client.create_schedule(**schedule)
            except client.exceptions.ConflictException:
                client.update_schedule(**schedule)

    def delete(self, trigger: StoredTrigger) -> None:
        name = self._name(trigger.id)
        with translate_aws_errors(_UNAVAILABLE):
            if trigger.kind is TriggerKind.SCHEDULE:
                client = self._scheduler()
                try:
                    client.delete_schedule(Name=name)
                except client.exceptions.ResourceNotFoundException:
                    return
            elif trigger.kind is TriggerKind.EVENT:
                events = self._events()
                try:
                    events.remove_targets(Rule=name, EventBusName=self._target.bus, Ids=[_TARGET_ID])
                except events.exceptions.ResourceNotFoundException:
                    return
                events.delete_rule(Name=name, EventBusName=self._target.bus)

    def _name(self, trigger_id: UUID) -> str:
        return f"{self._target.prefix}-{trigger_id}"


def _rejection(code: str) -> Translation:
    """Translate this error code to InvalidInput with AWS's own message."""

    def translate(error: AwsError) -> Exception | None:
        return InvalidInput(error.message or "AWS rejected the trigger.") if error.code == code else None

    return translate
