"""CloudWatch's GetMetricData. In MiniStack 1.5.33 it knows no expressions, and mixes metrics of several dimensions.

The module that evaluates alarms evaluates its queries here too.
"""

import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ministack.services import cloudwatch

from local.aws.monitoring.alarms import MiniStackPoints
from local.aws.monitoring.metric_math import UnknownExpression, evaluate
from local.aws.monitoring.points import Values, Window
from local.aws.upstream import check_sources

_RELIES_ON = {"cloudwatch._get_metric_data": (cloudwatch._get_metric_data, "bf6a8e1132a2")}
_LEAST_PERIOD = 60


def metric_data(queries: Sequence[Mapping[str, Any]], start: float, end: float) -> list[dict[str, Any]]:
    """Return the members of `MetricDataResults`: one for each series of the queries whose data is asked for."""
    results = []
    for query in queries:
        if not query.get("ReturnData", True):
            continue
        period = _period_of(query, queries)
        first = int(start // period) * period
        count = max(1, math.ceil((min(end, time.time() + _LEAST_PERIOD) - first) / period))
        window = Window(first + count * period, period, count)
        try:
            found = evaluate(queries, MiniStackPoints(), window)[query["Id"]]
        except UnknownExpression as error:
            messages = [{"Code": "Unsupported", "Value": str(error)}]
            failed = {"StatusCode": "InternalError", "Messages": messages}
            results.append(_result(query["Id"], query["Id"], [], window) | failed)
            continue
        for label, values in found.items():
            name = query.get("Label", label) if label == query["Id"] else label
            results.append(_result(query["Id"], name, values, window))
    return results


def _period_of(query: Mapping[str, Any], queries: Sequence[Mapping[str, Any]]) -> int:
    """Return the period of a metric or a search, or for a calculation the longest one of all metrics."""
    if "MetricStat" in query:
        return int(query["MetricStat"]["Period"])
    if search := re.search(r"', ?(\d+)\)$", query["Expression"].strip()):
        return int(search[1])
    return max((int(one["MetricStat"]["Period"]) for one in queries if "MetricStat" in one), default=_LEAST_PERIOD)


def _result(query_id: str, label: str, values: Values, window: Window) -> dict[str, Any]:
    times = (window.start + number * window.period for number in range(window.count))
    present = [(at, value) for at, value in zip(times, values, strict=False) if value is not None]
    return {
        "Id": query_id,
        "Label": label,
        "Timestamps": [cloudwatch._ts_iso(at) for at, _ in present],
        "Values": [value for _, value in present],
        "StatusCode": "Complete",
    }


def install() -> None:
    """Answer GetMetricData here.

    Raises:
        UpstreamChanged: MiniStack's code differs from the version for which this module was written.
    """
    check_sources(_RELIES_ON)
    original = cloudwatch._get_metric_data

    # The parameters are MiniStack's.
    def get_metric_data(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Any:
        if not is_cbor and not is_json:
            return original(params, data, is_cbor, is_json)
        queries = data["MetricDataQueries"]
        start, end = cloudwatch._parse_ts(data["StartTime"]), cloudwatch._parse_ts(data["EndTime"])
        results = metric_data(queries, start, end)
        if is_cbor:
            return cloudwatch._cbor_ok({"MetricDataResults": list(map(cloudwatch._cbor_metric_data_result, results))})
        return cloudwatch._json_ok({"MetricDataResults": results})

    cloudwatch._get_metric_data = get_metric_data
