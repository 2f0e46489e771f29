"""Dashboards: what CloudWatch's bodies say, and the figures of each widget."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from email_sender.adapters.aws.cloudwatch_dashboards import CloudWatchDashboards
from email_sender.coordination.dashboards import Dashboards, Panel, Series, ShownAlarm, Widget, widgets_of
from email_sender.errors import NotFound, Unavailable

NOW = datetime(2026, 11, 30, 21, 0, 30, tzinfo=UTC)
BODY = json.dumps({
    "widgets": [
        {
            "type": "metric",
            "properties": {
                "title": "Answered", "view": "singleValue", "stat": "Sum", "period": 300,
                "metrics": [
                    [{"expression": "100 * good / all", "id": "share", "label": "%"}],
                    ["AWS/ApiGateway", "Count", "ApiId", "a1", {"id": "all", "visible": False}],
                    ["AWS/ApiGateway", "Good", "ApiId", "a1", {"id": "good", "visible": False}],
                ],
            },
        },
        {
            "type": "metric",
            "properties": {
                "title": "Mail", "view": "timeSeries", "stat": "Sum", "period": 60, "metrics": [["AWS/SES", "Send"]],
            },
        },
        {"type": "alarm", "properties": {"title": "Alarms", "alarms": ["arn:aws:cloudwatch:r:1:alarm:Down"]}},
    ]
})  # fmt: skip


@dataclass
class Source:
    overview: str = BODY
    asked: list[tuple[str, datetime, datetime]] = field(default_factory=list)

    def names(self) -> Sequence[str]:
        return ["overview", "alerts"]

    def body(self, name: str) -> str | None:
        return self.overview if name == "overview" else None

    def panel(self, widget: Widget, start: datetime, end: datetime) -> Panel:
        self.asked.append((widget.title, start, end))
        return Panel(widget.title, widget.shows_number)


def test_widgets_have_their_metrics_as_queries() -> None:
    answered, mail, alarms = widgets_of(BODY)
    assert answered.shows_number
    assert answered.visible == ["share"]
    assert answered.queries[0] == {"Id": "share", "Expression": "100 * good / all", "Label": "%"}
    metric = {"Namespace": "AWS/ApiGateway", "MetricName": "Count", "Dimensions": [{"Name": "ApiId", "Value": "a1"}]}
    assert answered.queries[1] == {
        "Id": "all", "MetricStat": {"Metric": metric, "Stat": "Sum", "Period": 300}, "Label": "Count a1",
    }  # fmt: skip
    assert (mail.visible, mail.queries[0]["Label"]) == (["m0"], "Send")
    assert alarms.alarms == ["arn:aws:cloudwatch:r:1:alarm:Down"]


@pytest.mark.parametrize(
    "widget",
    [
        {"type": "text", "properties": {"markdown": "# Hello"}},
        {"type": "metric", "properties": {"title": "T", "view": "timeSeries", "metrics": [["A", "B"], [".", "C"]]}},
        {"type": "log", "properties": {"title": "L", "query": "SOURCE x"}},
        {"type": "alarm", "properties": {"title": "No alarms"}},
        {},
    ],
)
def test_a_widget_that_somebody_made_by_hand_stops_no_dashboard(widget: dict[str, Any]) -> None:
    body = json.loads(BODY)
    body["widgets"].append(widget)
    source = Source(json.dumps(body))
    panels = Dashboards(source, lambda: NOW, lambda read, widgets: list(map(read, widgets))).read("overview", 1)
    assert [bool(panel.error) for panel in panels] == [False, False, False, True]


def test_figures_are_those_of_whole_minutes_and_kept_for_one() -> None:
    source, clock = Source(), [NOW]
    dashboards = Dashboards(source, lambda: clock[0], lambda read, widgets: list(map(read, widgets)))
    assert dashboards.names() == ["alerts", "overview"]
    panels = dashboards.read("overview", 3)
    assert [panel.title for panel in panels] == ["Answered", "Mail", "Alarms"]
    end = datetime(2026, 11, 30, 21, 1, tzinfo=UTC)
    assert source.asked[0] == ("Answered", end - timedelta(hours=3), end)
    clock[0] += timedelta(seconds=59)
    assert dashboards.read("overview", 3) == panels
    assert len(source.asked) == 3
    dashboards.read("overview", 1)
    clock[0] += timedelta(seconds=2)
    dashboards.read("overview", 3)
    assert len(source.asked) == 9
    with pytest.raises(NotFound):
        dashboards.read("nothing", 1)


@pytest.fixture
def cloudwatch() -> Any:
    return boto3.client("cloudwatch", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


def test_pages_of_a_series_are_put_together_and_hidden_metrics_return_nothing(cloudwatch: Any) -> None:
    widget = widgets_of(BODY)[0]
    queries = [{**query, "ReturnData": query["Id"] == "share"} for query in widget.queries]
    asked = {"MetricDataQueries": queries, "StartTime": NOW, "EndTime": NOW, "ScanBy": "TimestampAscending"}
    at = [NOW + timedelta(minutes=number) for number in range(3)]

    def result(times: list[datetime], values: list[float]) -> dict[str, Any]:
        return {"Id": "share", "Label": "%", "Timestamps": times, "Values": values, "StatusCode": "PartialData"}

    with Stubber(cloudwatch) as stub:
        first = {"MetricDataResults": [result(at[:2], [1.0, 2.0])], "NextToken": "t"}
        stub.add_response("get_metric_data", first, asked)
        stub.add_response(
            "get_metric_data", {"MetricDataResults": [result(at[2:], [3.0])]}, {**asked, "NextToken": "t"}
        )
        panel = CloudWatchDashboards(lambda: cloudwatch, "p-").panel(widget, NOW, NOW)
    assert panel == Panel(
        "Answered", shows_number=True, series=[Series("%", list(zip(at, [1.0, 2.0, 3.0], strict=True)))]
    )


def test_a_widget_that_cannot_be_calculated_says_why(cloudwatch: Any) -> None:
    failed = {
        "Id": "m0",
        "Label": "m0",
        "StatusCode": "InternalError",
        "Messages": [{"Code": "c", "Value": "No such."}],
    }
    with Stubber(cloudwatch) as stub:
        stub.add_response("get_metric_data", {"MetricDataResults": [failed]})
        panel = CloudWatchDashboards(lambda: cloudwatch, "p-").panel(widgets_of(BODY)[1], NOW, NOW)
    assert panel.error == "No such."


def test_alarms_have_their_states(cloudwatch: Any) -> None:
    answer = {
        "MetricAlarms": [{"AlarmName": "Slow", "StateValue": "ALARM", "StateReason": "It is slow."}],
        "CompositeAlarms": [{"AlarmName": "Down", "StateValue": "OK"}],
    }
    asked = {"AlarmNames": ["Down"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    with Stubber(cloudwatch) as stub:
        stub.add_response("describe_alarms", answer, asked)
        panel = CloudWatchDashboards(lambda: cloudwatch, "p-").panel(widgets_of(BODY)[2], NOW, NOW)
    assert panel.alarms == [ShownAlarm("Down", "OK", ""), ShownAlarm("Slow", "ALARM", "It is slow.")]


def test_an_unknown_dashboard_is_none_and_a_silent_service_is_unavailable(cloudwatch: Any) -> None:
    source = CloudWatchDashboards(lambda: cloudwatch, "p-")
    with Stubber(cloudwatch) as stub:
        stub.add_response(
            "list_dashboards", {"DashboardEntries": [{"DashboardName": "p-a"}]}, {"DashboardNamePrefix": "p-"}
        )
        stub.add_client_error("get_dashboard", "ResourceNotFound", http_status_code=404)
        stub.add_client_error("get_dashboard", "InternalServiceFault", http_status_code=500)
        assert source.names() == ["a"]
        assert source.body("a") is None
        with pytest.raises(Unavailable):
            source.body("a")
