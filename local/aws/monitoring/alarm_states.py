"""Decide an alarm's state from data points, as CloudWatch does (docs.aws.amazon.com/cloudwatch, "Alarm evaluation")."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.aws.monitoring.metric_math import Query, evaluate
from local.aws.monitoring.points import Points, Values, Window, summarize

OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

type Alarm = Mapping[str, Any]
"""The properties of AWS::CloudWatch::Alarm, without intrinsic functions."""


@dataclass(frozen=True, slots=True)
class Verdict:
    state: str
    reason: str


def decide(alarm: Alarm, points: Points, now: float, current_state: str) -> Verdict:
    """Return the state of an alarm at `now`, in seconds since 1970.

    Raises:
        UnknownExpression: the alarm's expression is not known here.
    """
    values = read_values(alarm, points, now)
    breaches, threshold = _OPERATORS[alarm["ComparisonOperator"]], float(alarm["Threshold"])
    needed = int(alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"])
    treatment = alarm.get("TreatMissingData") or "missing"
    present = [value for value in values if value is not None]
    breaching = sum(breaches(value, threshold) for value in present)
    if treatment == "breaching":
        breaching += len(values) - len(present)
    shown = ", ".join("no data" if value is None else f"{value:g}" for value in values)
    reason = f"{breaching} of the last {len(values)} periods breach {threshold:g}: {shown}"
    if breaching >= needed:
        return Verdict(ALARM, reason)
    if not present and treatment in ("missing", "ignore"):
        return Verdict(NO_DATA if treatment == "missing" else current_state, reason)
    return Verdict(OK, reason)


def read_values(alarm: Alarm, points: Points, now: float) -> Values:
    """Return the values that an alarm compares with its threshold, the oldest first."""
    window = Window(int(now // 60) * 60, _period(alarm), int(alarm["EvaluationPeriods"]))
    if "Metrics" not in alarm:
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions") or []}
        metric_points = points.of(alarm["Namespace"], alarm["MetricName"], dimensions, window.start)
        return summarize(metric_points, window, alarm.get("ExtendedStatistic") or alarm["Statistic"])
    series = list(evaluate(alarm["Metrics"], points, window)[returned_query(alarm)["Id"]].values())
    return series[0] if series else [None] * window.count


def returned_query(alarm: Alarm) -> Query:
    """Return the one query whose values an alarm with metric math compares. Raises ValueError unless it is one."""
    (returned,) = [query for query in alarm["Metrics"] if query.get("ReturnData", True) is not False]
    query: Query = returned
    return query


def _period(alarm: Alarm) -> int:
    if "Metrics" not in alarm:
        return int(alarm["Period"])
    periods = [
        int(query["MetricStat"]["Period"] if "MetricStat" in query else query["Period"])
        for query in alarm["Metrics"]
        if "MetricStat" in query or "Period" in query
    ]
    return max(periods)
