"""EventBridge rules and schedules that ring into a queue. Implements workflows.trigger_model.Bells."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.errors import InvalidInput, Unavailable
from email_sender.workflows.trigger_model import StoredTrigger, TriggerKind

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

_TARGET = "queue"
# Scheduler puts the time for which it rang, which a late or repeated delivery does not change.
_SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


@dataclass(frozen=True, slots=True)
class Hook:
    """Where bells hang and ring: names begin with `prefix`; `role_arn` is Scheduler's."""

    bus: str
    queue_arn: str
    role_arn: str
    prefix: str


class EventBridgeBells:
    def __init__(
        self,
        events: Callable[[], "EventBridgeClient"],
        scheduler: Callable[[], "EventBridgeSchedulerClient"],
        hook: Hook,
    ) -> None:
        self._events, self._scheduler, self._hook = events, scheduler, hook

    def hang_rule(self, trigger_id: UUID, pattern: Mapping[str, Any]) -> None:
        name = self._name(trigger_id)
        transformer: Any = {
            "InputPathsMap": {},
            "InputTemplate": f'{{"trigger_id": "{trigger_id}", "event": <aws.events.event.json>}}',
        }
        with _translated("InvalidEventPatternException"):
            self._events().put_rule(
                Name=name, EventBusName=self._hook.bus, EventPattern=json.dumps(pattern), State="ENABLED"
            )
            answer = self._events().put_targets(
                Rule=name,
                EventBusName=self._hook.bus,
                Targets=[{"Id": _TARGET, "Arn": self._hook.queue_arn, "InputTransformer": transformer}],
            )
        if answer["FailedEntryCount"]:
            raise Unavailable("The rule's target was not taken.")

    def hang_schedule(self, trigger_id: UUID, cron: str, timezone: str) -> None:
        wanted: Any = {
            "Name": self._name(trigger_id),
            "ScheduleExpression": f"cron({cron})",
            "ScheduleExpressionTimezone": timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": self._hook.queue_arn,
                "RoleArn": self._hook.role_arn,
                "Input": json.dumps({"trigger_id": str(trigger_id), "scheduled_time": _SCHEDULED_TIME}),
            },
        }
        client = self._scheduler()
        with _translated("ValidationException"):
            try:
                client.create_schedule(**wanted)
            except client.exceptions.ConflictException:
                client.update_schedule(**wanted)

    def take_down(self, trigger: StoredTrigger) -> None:
        name = self._name(trigger.id)
        with _translated():
            if trigger.kind is TriggerKind.SCHEDULE:
                client = self._scheduler()
                try:
                    client.delete_schedule(Name=name)
                except client.exceptions.ResourceNotFoundException:
                    return
            elif trigger.kind is TriggerKind.EVENT:
                events = self._events()
                try:
                    events.remove_targets(Rule=name, EventBusName=self._hook.bus, Ids=[_TARGET])
                except events.exceptions.ResourceNotFoundException:
                    return
                events.delete_rule(Name=name, EventBusName=self._hook.bus)

    def _name(self, trigger_id: UUID) -> str:
        return f"{self._hook.prefix}-{trigger_id}"


@contextmanager
def _translated(refusal: str = "") -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] == refusal:
            raise InvalidInput(error.response["Error"].get("Message", "AWS does not take it.")) from error
        raise Unavailable("EventBridge did not take the trigger.") from error
    except BotoCoreError as error:
        raise Unavailable("EventBridge did not answer.") from error
