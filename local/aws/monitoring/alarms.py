"""CloudWatch's alarms, with metric math and composite alarms in templates, which MiniStack 1.5.33 lacks.

MiniStack stores alarms, combines composite alarms and notifies topics. This module adds both kinds to its
CloudFormation, and decides the state of every alarm every few seconds.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from local.aws.monitoring import service_metrics
from local.aws.monitoring.alarm_states import decide
from local.aws.monitoring.metric_math import UnknownExpression
from local.aws.monitoring.points import Point
from local.aws.upstream import check_sources

_RELIES_ON = {
    "cloudwatch._evaluate_alarm": (cloudwatch._evaluate_alarm, "a0b0acd3d432"),
    "cloudwatch._put_composite_alarm": (cloudwatch._put_composite_alarm, "d1c8174c3d5b"),
    "cloudwatch._set_alarm_state": (cloudwatch._set_alarm_state, "0fa9fef3bd18"),
    "cloudwatch._point_stats": (cloudwatch._point_stats, "56fe58fc91f5"),
    "provisioners._cw_metric_alarm_record": (provisioners._cw_metric_alarm_record, "4565fcede1eb"),
}
_EVALUATION_SECONDS = 5.0
# A function's metrics have the time of their log line, and arrive when the invocation ends.
_LATE_SECONDS = 900
# Alarms look back a day at most. CloudWatch keeps more, but this process must not grow.
_RETENTION_SECONDS = 26 * 3600
_log = logging.getLogger(__name__)


class MiniStackPoints:
    """Implements points.Points with the metrics in MiniStack's CloudWatch."""

    def of(self, namespace: str, name: str, dimensions: Mapping[str, str], since: float) -> Sequence[Point]:
        key = (namespace, name, cloudwatch._dims_key(dict(dimensions)))
        stored_points = list(cloudwatch._metrics.get(key) or [])
        # In the order of arrival, so the end is enough: a day's points are not read every few seconds.
        recent = takewhile(lambda stored: stored["Timestamp"] >= since - _LATE_SECONDS, reversed(stored_points))
        return [_point(stored) for stored in recent]

    def dimensions_of(self, namespace: str, name: str) -> Sequence[Mapping[str, str]]:
        return [
            points[-1]["Dimensions"]
            for (metric_namespace, metric_name, _), points in list(cloudwatch._metrics.items())
            if points and (metric_namespace, metric_name) == (namespace, name)
        ]


def _point(stored: Mapping[str, Any]) -> Point:
    count, total, _, _ = cloudwatch._point_stats(stored)
    return Point(stored["Timestamp"], total / count if count else 0.0, count)


def evaluate_all(now: float) -> None:
    """Decide the state of every alarm, and change those that differ."""
    points = MiniStackPoints()
    for alarm in list(cloudwatch._alarms.values()):
        try:
            verdict = decide(_properties(alarm), points, now, alarm["StateValue"])
        except (UnknownExpression, KeyError, ValueError):
            _log.exception("the alarm %s cannot be evaluated", alarm["AlarmName"])
            continue
        if verdict.state == alarm["StateValue"]:
            # CloudWatch changes it only with the state. Here the page of alarms shows the latest values.
            alarm["StateReason"] = verdict.reason
        else:
            change = {
                "AlarmName": alarm["AlarmName"], "StateValue": verdict.state, "StateReason": verdict.reason,
            }  # fmt: skip
            cloudwatch._set_alarm_state({}, change, is_cbor=False, is_json=True)


def _properties(alarm: Mapping[str, Any]) -> dict[str, Any]:
    """Return the alarm as its template has it: MiniStack stores None for what it lacks."""
    return {key: value for key, value in alarm.items() if value is not None}


def _record_alarm(name: str, properties: dict[str, Any], original: Any) -> dict[str, Any]:
    if not properties.get("Metrics"):
        record: dict[str, Any] = original(name, properties)
        return record
    placeholder = {**properties, "Namespace": "-", "MetricName": "-", "Metrics": None}
    record = original(name, placeholder)
    record |= dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period", "Dimensions"))
    queries = [dict(query) for query in properties["Metrics"]]
    for query in queries:
        # CloudFormation passes booleans as text.
        query["ReturnData"] = str(query.get("ReturnData", True)).lower() != "false"
    return record | {"Metrics": queries}


def _create_composite(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
    name = properties.get("AlarmName") or provisioners._physical_name(stack, logical_id, max_len=255)
    status, _, body = cloudwatch._put_composite_alarm({}, {**properties, "AlarmName": name}, False, is_json=True)
    if status != 200:
        raise ValueError(f"AWS::CloudWatch::CompositeAlarm {logical_id}: {body!r}")
    return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}


def _update_composite(
    physical_id: str, _old: dict[str, Any], properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, str]]:
    return _create_composite(physical_id, {"AlarmName": physical_id, **properties}, stack)


def _delete_composite(physical_id: str, _: dict[str, Any]) -> None:
    cloudwatch._composite_alarms.pop(physical_id, None)


def _run() -> None:
    while True:
        time.sleep(_EVALUATION_SECONDS)
        try:
            service_metrics.sample()
            evaluate_all(time.time())
        except Exception:  # the thread must survive whatever another thread changes meanwhile
            _log.exception("alarms were not evaluated")


def install() -> None:
    """Add both kinds of alarms to MiniStack, and start to evaluate alarms.

    Raises:
        UpstreamChanged: MiniStack's code differs from the version for which this module was written.
    """
    check_sources(_RELIES_ON)
    original_record = provisioners._cw_metric_alarm_record
    provisioners._cw_metric_alarm_record = lambda name, props: _record_alarm(name, props, original_record)
    provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::CompositeAlarm"] = {
        "create": _create_composite,
        "update": _update_composite,
        "delete": _delete_composite,
    }
    cloudwatch._evaluate_alarm = lambda _alarm: None
    cloudwatch.TWO_WEEKS_SECONDS = _RETENTION_SECONDS
    threading.Thread(target=_run, name="alarms", daemon=True).start()
