"""Deliver log lines to the functions that subscribe to a log group, in batches as AWS does.

MiniStack calls the function once for each invocation of another function, which doubles the work of every request, and
never repeats a call that failed.
"""

import base64
import gzip
import json
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import cloudwatch_logs, lambda_svc

from local.aws.upstream import check_sources

_RELIES_ON = {
    "cloudwatch_logs._fanout_to_subscription_filters": (
        cloudwatch_logs._fanout_to_subscription_filters,
        "cb898244bb9f",
    ),
    "lambda_svc._execute_function_with_config_scope": (lambda_svc._execute_function_with_config_scope, "26a9d5f64e17"),
}
_DELIVERY_SECONDS = 1.0
# Lambda repeats an asynchronous invocation that failed twice; on AWS after one and two minutes.
_ATTEMPTS = 3
_log = logging.getLogger(__name__)

type Subscription = tuple[str, str, str]
"""The log group, the filter's name, and the ARN of the function."""
type Lines = Sequence[Mapping[str, Any]]


class LogSubscriptions:
    """Lines that wait for their delivery, by log group and function."""

    def __init__(self) -> None:
        self._collected: dict[Subscription, list[dict[str, Any]]] = {}
        # With the attempts that are left.
        self._batches: deque[tuple[Subscription, Lines, int]] = deque()
        self._lock = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._run, name="log-subscriptions", daemon=True).start()

    def accept(self, group: str, _stream: str, lines: Lines) -> None:
        """Keep the lines that match a subscription of the group."""
        filters = (cloudwatch_logs._log_groups.get(group) or {}).get("subscriptionFilters") or {}
        for subscription in filters.values():
            matching = [
                {"id": uuid.uuid4().hex, "timestamp": line["timestamp"], "message": line["message"]}
                for line in lines
                if matches(subscription.get("filterPattern", ""), line["message"])
            ]
            if matching:
                key = (group, subscription["filterName"], subscription["destinationArn"])
                with self._lock:
                    self._collected.setdefault(key, []).extend(matching)

    def _run(self) -> None:
        while True:
            time.sleep(_DELIVERY_SECONDS)
            with self._lock:
                collected, self._collected = self._collected, {}
            self._batches.extend((key, lines, _ATTEMPTS) for key, lines in collected.items())
            # A batch that was not taken is delivered again unchanged, so that the function can recognise it.
            for _ in range(len(self._batches)):
                key, lines, attempts = self._batches.popleft()
                if not _deliver(*key, lines) and attempts > 1:
                    self._batches.append((key, lines, attempts - 1))


def matches(pattern: str, message: str) -> bool:
    """Return whether a message matches a pattern of words, or of alternatives such as `?ERROR ?WARN`."""
    words = pattern.split()
    if words and all(word.startswith("?") for word in words):
        return any(word[1:] in message for word in words)
    return all(word.strip('"') in message for word in words)


def _deliver(group: str, subscription: str, destination: str, lines: Lines) -> bool:
    """Invoke the function with the lines. Return whether it succeeded."""
    name, _, qualifier = destination.rpartition(":function:")[2].partition(":")
    payload = {
        "messageType": "DATA_MESSAGE",
        "owner": get_account_id(),
        "logGroup": group,
        "logStream": "all",
        "subscriptionFilters": [subscription],
        "logEvents": lines,
    }
    event = {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(payload).encode())).decode()}}
    try:
        function, _ = lambda_svc._get_func_record_for_qualifier(name, qualifier or None)
        outcome = lambda_svc._execute_function_with_config_scope(function, event)
    except Exception:
        _log.exception("log lines not delivered to %s", name)
        return False
    return not outcome.get("error")


def install() -> None:
    """Replace MiniStack's delivery.

    Raises:
        UpstreamChanged: MiniStack's code differs from the version for which this module was written.
    """
    check_sources(_RELIES_ON)
    subscriptions = LogSubscriptions()
    cloudwatch_logs._fanout_to_subscription_filters = subscriptions.accept
    subscriptions.start()
