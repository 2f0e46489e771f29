"""The consumers of the bus and their rules. Implements coordination.replays.Consumers.

EventBridge itself decides whether a rule matches (TestEventPattern), since its patterns are a language of their own.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.coordination.failed_events import ConsumerQueues
from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


@dataclass(frozen=True, slots=True)
class Listener:
    """A consumer's queue and its rule: by name, or all rules whose names begin with `prefix` (tenants' triggers)."""

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
        """Return whether the consumer may send mail. Triggers may: they start any workflow of their tenant."""
        return bool(self._listeners[name].prefix)

    def messages(self, name: str, envelopes: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        with translate_aws_errors("EventBridge did not respond."):
            rules = list(self._rules(self._listeners[name]))
            return [
                _build_message(rule, self._listeners[name], envelope)
                for envelope in envelopes
                for rule in rules
                if _may_match(rule["EventPattern"], envelope) and self._matches(rule["EventPattern"], envelope)
            ]

    def send(self, name: str, messages: Sequence[str]) -> None:
        acceptances = self._queues.send(self._listeners[name].queue, messages)
        if not all(acceptances):
            raise Unavailable("The queue did not accept all messages. Repeat the request with the same cursor.")

    def _rules(self, listener: Listener) -> Iterator[dict[str, Any]]:
        if listener.rule:
            yield dict(self._events().describe_rule(Name=listener.rule, EventBusName=self._bus))
            return
        arguments: dict[str, Any] = {"EventBusName": self._bus, "NamePrefix": listener.prefix}
        while True:
            response = self._events().list_rules(**arguments)
            # The names of tenants' rules end in the trigger's id; the names of the platform's own rules do not.
            yield from (dict(rule) for rule in response["Rules"] if _trigger_id_of(rule["Name"], listener.prefix))
            if "NextToken" not in response:
                return
            arguments["NextToken"] = response["NextToken"]

    def _matches(self, pattern: str, envelope: Mapping[str, Any]) -> bool:
        return self._events().test_event_pattern(EventPattern=pattern, Event=json.dumps(envelope))["Result"]


def _may_match(pattern: str, envelope: Mapping[str, Any]) -> bool:
    """Return False if the source alone excludes a match, which saves a call of TestEventPattern."""
    sources = json.loads(pattern).get("source", [])
    return not all(isinstance(source, str) for source in sources) or not sources or envelope["source"] in sources


def _build_message(rule: Mapping[str, Any], listener: Listener, envelope: Mapping[str, Any]) -> str:
    trigger_id = _trigger_id_of(rule["Name"], listener.prefix) if listener.prefix else None
    return json.dumps({"trigger_id": str(trigger_id), "event": envelope} if trigger_id else envelope)


def _trigger_id_of(rule: str, prefix: str) -> UUID | None:
    try:
        return UUID(rule.removeprefix(prefix))
    except ValueError:
        return None
