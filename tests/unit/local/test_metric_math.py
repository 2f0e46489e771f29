"""CloudWatch's metric math: the values follow AWS's documentation of each function."""

from collections.abc import Mapping, Sequence

import pytest

from local.aws.monitoring.dashboards import draw
from local.aws.monitoring.metric_math import UnknownExpression, evaluate
from local.aws.monitoring.points import Point, Window, calculate_statistic, summarize

WINDOW = Window(end=600, period=60, count=3)


class Points:
    """One metric `m` for each value of the dimension `d`: values a minute, the last in the last period."""

    def __init__(self, **values: Sequence[float | None]) -> None:
        self._values = values

    def of(self, _namespace: str, _name: str, dimensions: Mapping[str, str], _since: float) -> Sequence[Point]:
        values = self._values.get(dimensions.get("d", ""), [])
        pairs = zip(range(600 - 60 * len(values), 600, 60), values, strict=True)
        return [Point(at, value) for at, value in pairs if value is not None]

    def dimensions_of(self, _namespace: str, name: str) -> Sequence[Mapping[str, str]]:
        return [{"d": key} for key in self._values] if name == "m" else []


def value_of(expression: str, **values: Sequence[float | None]) -> list[float | None]:
    queries = [
        {"Id": key, "MetricStat": {"Stat": "Sum", "Period": 60, "Metric": {
            "Namespace": "n", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": key}]}}}
        for key in values
    ]  # fmt: skip
    results = evaluate([*queries, {"Id": "result", "Expression": expression}], Points(**values), WINDOW)
    (series,) = results["result"].values()
    return series


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b", [11, 22, None]),
        ("100 * a / b", [10, 10, None]),
        ("a / (b - b)", [None, None, None]),
        ("IF(a > 1, 5, 7)", [7, 5, 5]),
        ("IF(a >= 1 AND b > 10, 1, 0)", [0, 1, None]),
        ("IF(a > 2 OR b == 10, 1, 0)", [1, 0, None]),
        ("FILL(b, 0)", [10, 20, 0]),
        ("MAX(METRICS())", [10, 20, 3]),
        ('SUM(METRICS("a"))', [1, 2, 3]),
        ("MIN([a, b])", [1, 2, 3]),
        ("-a", [-1, -2, -3]),
    ],
)
def test_an_expression_is_evaluated_period_by_period(expression: str, expected: list[float | None]) -> None:
    assert value_of(expression, a=[1, 2, 3], b=[10, 20, None]) == expected


@pytest.mark.parametrize("expression", ["RATE(a)", "a.b", "nobody + 1", "__import__('os')", "a +", "[a for a in b]"])
def test_what_is_not_known_is_an_error(expression: str) -> None:
    with pytest.raises(UnknownExpression):
        value_of(expression, a=[1, 2, 3])


def test_a_search_finds_every_metric_with_these_dimensions() -> None:
    query = {"Id": "s", "Expression": "SEARCH('{n,d} MetricName=\"m\"', 'Sum', 60)"}
    assert evaluate([query], Points(x=[1], y=[2]), WINDOW)["s"] == {"x": [None, None, 1], "y": [None, None, 2]}


def test_metrics_insights_takes_the_lowest_of_all() -> None:
    query = {"Id": "s", "Period": 60, "Expression": 'SELECT MIN(m) FROM SCHEMA("n", d)'}
    assert evaluate([query], Points(x=[1, 1, 1], y=[1, 0, 1]), WINDOW)["s"] == {"m": [1, 0, 1]}


def test_statistics_weigh_values_by_their_count() -> None:
    points = [Point(0, 10, 9), Point(0, 100, 1)]
    values = [calculate_statistic(points, name) for name in ("Sum", "SampleCount", "Average", "Minimum", "Maximum")]
    assert values == [190, 10, 19, 10, 100]
    assert (calculate_statistic(points, "p90"), calculate_statistic(points, "p95")) == (10, 100)
    with pytest.raises(ValueError, match="TM95"):
        calculate_statistic(points, "TM95")


def test_a_window_need_not_begin_at_a_multiple_of_its_period() -> None:
    window = Window(end=660, period=300, count=2)
    assert summarize([Point(59, 1), Point(60, 2), Point(359, 3), Point(660, 4)], window, "Sum") == [5, None]


def test_a_dashboard_is_drawn_with_gaps_and_alarms() -> None:
    metric = {"title": "t", "stat": "Sum", "period": 60, "view": "timeSeries", "metrics": [["n", "m", "d", "x"]]}
    alarm = {"title": "a", "alarms": ["arn:x"]}
    body = f'{{"widgets": [{{"type": "metric", "properties": {metric}}}, {{"type": "alarm", "properties": {alarm}}}]}}'
    alarms = [{"AlarmArn": "arn:x", "AlarmName": "x"}, {"AlarmArn": "arn:y", "AlarmName": "y"}]
    chart, listed = draw(body.replace("'", '"'), Points(x=[1, None, 4]), alarms, 599.0)
    assert (chart.lines[0].label, chart.lines[0].last, chart.top) == ("m x", 4, 4)
    assert chart.lines[0].path.count("M") == 2
    assert [alarm["AlarmName"] for alarm in listed.alarms] == ["x"]
