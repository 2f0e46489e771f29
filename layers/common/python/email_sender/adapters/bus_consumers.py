"""Who listens to the bus, by its own rules. Implements coordination.replaying.Consumers.

Whether a rule matches is EventBridge's to say (TestEventPattern): its patterns are a language of their own.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.coordination.failing import ConsumerQueues
from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


@dataclass(frozen=True, slots=True)
class Listener:
    """A consumer's queue and its rule: by name, or every rule whose name begins with `prefix` (tenants' triggers)."""

    queue: str
    rule: str = ""
    prefix: str = ""


class BusConsumers:
    def __init__(
        self,
        events: Callable[[], "EventBridgeClient"],
        bus: str,
        listeners: Mapping[str, Listener],
        queues: ConsumerQueues,
    ) -> None:
        self._events, self._bus, self._listeners, self._queues = events, bus, listeners, queues

    def names(self) -> Sequence[str]:
        return sorted(self._listeners)

    def may_send_mail(self, name: str) -> bool:
        """Triggers start whatever their tenant wrote."""
        return bool(self._listeners[name].prefix)

    def messages(self, name: str, envelopes: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        with _translated():
            rules = list(self._rules(self._listeners[name]))
            return [
                _wrapped(rule, self._listeners[name], envelope)
                for envelope in envelopes
                for rule in rules
                if _may_match(rule["EventPattern"], envelope) and self._matches(rule["EventPattern"], envelope)
            ]

    def send(self, name: str, messages: Sequence[str]) -> None:
        taken = self._queues.send(self._listeners[name].queue, messages)
        if not all(taken):
            raise Unavailable("The queue did not take all of them: ask again, with the same cursor.")

    def _rules(self, listener: Listener) -> Iterator[dict[str, Any]]:
        if listener.rule:
            yield dict(self._events().describe_rule(Name=listener.rule, EventBusName=self._bus))
            return
        asked: dict[str, Any] = {"EventBusName": self._bus, "NamePrefix": listener.prefix}
        while True:
            answer = self._events().list_rules(**asked)
            # Of triggers, names end in their ids; the platform's own rules do not.
            yield from (dict(each) for each in answer["Rules"] if _trigger_of(each["Name"], listener.prefix))
            if "NextToken" not in answer:
                return
            asked["NextToken"] = answer["NextToken"]

    def _matches(self, pattern: str, envelope: Mapping[str, Any]) -> bool:
        return self._events().test_event_pattern(EventPattern=pattern, Event=json.dumps(envelope))["Result"]


def _may_match(pattern: str, envelope: Mapping[str, Any]) -> bool:
    """Spares a call where the source alone says no."""
    sources = json.loads(pattern).get("source", [])
    return not all(isinstance(each, str) for each in sources) or not sources or envelope["source"] in sources


def _wrapped(rule: Mapping[str, Any], listener: Listener, envelope: Mapping[str, Any]) -> str:
    trigger = _trigger_of(rule["Name"], listener.prefix) if listener.prefix else None
    return json.dumps({"trigger_id": str(trigger), "event": envelope} if trigger else envelope)


def _trigger_of(rule: str, prefix: str) -> UUID | None:
    try:
        return UUID(rule.removeprefix(prefix))
    except ValueError:
        return None


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable("EventBridge did not say who listens.") from error
