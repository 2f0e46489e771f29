"""Metrics that AWS's services record by themselves, for the services that the platform's alarms and dashboards watch.

Names, dimensions and units are those of AWS's documentation ("… metrics and dimensions" of each service). Qdrant and
PostgreSQL run on machines of other stacks there, whose metrics have no counterpart here.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ministack.services import cloudwatch, eventbridge, lambda_svc, sqs, stepfunctions

_LIVE_ALIAS = "live"
_ENDED = {"SUCCEEDED": "ExecutionsSucceeded", "FAILED": "ExecutionsFailed", "TIMED_OUT": "ExecutionsTimedOut",
          "ABORTED": "ExecutionsAborted"}  # fmt: skip
# Executions whose end was already counted, as far as MiniStack remembers them.
_counted_executions: set[str] = set()
# SES's rates are those of a representative volume; here, of all mail since the start.
_ses_counts: Counter[str] = Counter()


def _record(namespace: str, name: str, value: float, unit: str, dimensions: Mapping[str, str]) -> None:
    """Store a value. Equal values of one minute become one point with a count: most are 0 or 1, and must not add up."""
    points = cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(dict(dimensions))))
    now = time.time()
    last = points[-1] if points else None
    if last and last["Value"] == value and last["Timestamp"] // 60 == now // 60:
        last["Count"] += 1
    else:
        points.append({"Timestamp": now, "Value": value, "Count": 1, "Unit": unit, "Dimensions": dict(dimensions)})


def record_request(api_id: str, status: int, seconds: float) -> None:
    """Record one request of an HTTP API."""
    milliseconds, dimensions = seconds * 1000, {"ApiId": api_id}
    for name, value in (("Count", 1), ("4xx", status // 100 == 4), ("5xx", status // 100 == 5)):
        _record("AWS/ApiGateway", name, int(value), "Count", dimensions)
    for name in ("Latency", "IntegrationLatency"):
        _record("AWS/ApiGateway", name, milliseconds, "Milliseconds", dimensions)


def record_invocation(function: str, seconds: float, *, failed: bool) -> None:
    """Record one invocation of a Lambda function, as of the function and as of its alias."""
    aliases = (lambda_svc._functions.get(function) or {}).get("aliases", {})
    # Without a dimension: all functions of the account.
    groups: list[dict[str, str]] = [{}, {"FunctionName": function}]
    if _LIVE_ALIAS in aliases:
        groups.append({"FunctionName": function, "Resource": f"{function}:{_LIVE_ALIAS}"})
    for dimensions in groups:
        for name, value in (("Invocations", 1), ("Errors", int(failed)), ("Throttles", 0)):
            _record("AWS/Lambda", name, value, "Count", dimensions)
        _record("AWS/Lambda", "Duration", seconds * 1000, "Milliseconds", dimensions)


def record_throttle(function: str, *, throttle: bool, **_: object) -> None:
    """Record an invocation that MiniStack refused. It replaces MiniStack's metrics of some invocations."""
    if throttle:
        for dimensions in ({}, {"FunctionName": function}):
            _record("AWS/Lambda", "Throttles", 1, "Count", dimensions)


def record_ses_event(kind: str) -> None:
    """Record what SES publishes about a mail: `kind` is "Send", "Delivery", "Bounce" or "Complaint"."""
    _ses_counts[kind] += 1
    _record("AWS/SES", kind, 1, "Count", {})


def sample() -> None:
    """Record the current figures of queues and of SES, and the executions that ended since the last call."""
    now = time.time()
    for queue in list(sqs._queues.values()):
        _sample_queue(queue, now)
    executions = list(stepfunctions._executions.values())
    _counted_executions.intersection_update(execution["executionArn"] for execution in executions)
    for execution in executions:
        _count_end(execution)
    if sent := _ses_counts["Send"]:
        for name, kind in (("Reputation.BounceRate", "Bounce"), ("Reputation.ComplaintRate", "Complaint")):
            _record("AWS/SES", name, _ses_counts[kind] / sent, "None", {})


def _sample_queue(queue: Mapping[str, Any], now: float) -> None:
    messages = list(queue["messages"])
    dimensions = {"QueueName": queue["name"]}
    oldest = max((now - message["sent_at"] for message in messages), default=0.0)
    visible = sum(message["visible_at"] <= now for message in messages)
    for name, value, unit in (
        ("ApproximateAgeOfOldestMessage", oldest, "Seconds"),
        ("ApproximateNumberOfMessagesVisible", visible, "Count"),
        ("ApproximateNumberOfMessagesNotVisible", len(messages) - visible, "Count"),
    ):
        _record("AWS/SQS", name, value, unit, dimensions)


def _count_end(execution: Mapping[str, Any]) -> None:
    arn, name = execution["executionArn"], _ENDED.get(execution["status"])
    if name is None or arn in _counted_executions:
        return
    _counted_executions.add(arn)
    _record("AWS/States", name, 1, "Count", {"StateMachineArn": execution["stateMachineArn"]})


def install(ses_source: str) -> None:
    """Record the events that have the source of SES."""
    dispatch = eventbridge._dispatch_event

    def dispatch_and_record(event: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
        if event["Source"] == ses_source:
            record_ses_event(json.loads(event["Detail"]).get("eventType", ""))
        return dispatch(event, *arguments, **keywords)

    eventbridge._dispatch_event = dispatch_and_record
