"""Alarms, dashboards, the metrics that code emits, and the page that says what to do: each knows the others."""

import json
import re
from typing import Any

import pytest

from email_sender.kit import telemetry
from gateway_lambda.http.prometheus_text import COUNTERS, HISTOGRAMS
from local.aws.intrinsics import read_template
from local.aws.monitoring.alarm_states import returned_query
from local.layout import ROOT

RESOURCES: dict[str, dict[str, Any]] = read_template(ROOT / "template.yaml")["Resources"]
MACHINES: dict[str, dict[str, Any]] = read_template(ROOT / "stacks/observability.yaml")["Resources"]
PAGE = (ROOT / "docs/guides/alarms.md").read_text()
# The nodes of Qdrant send these themselves (stacks/data.yaml).
BY_NODES = {f"email_sender_engine_{figure}_percent" for figure in ("memory", "disk", "load")}
EMITTED = BY_NODES | {
    value
    for name, value in vars(telemetry).items()
    if name.isupper() and isinstance(value, str) and value.startswith("email_sender_")
}
ALARMS = {
    name.removesuffix("Alarm"): resource["Properties"]
    for name, resource in (RESOURCES | MACHINES).items()
    if resource["Type"] in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    # Those of rollouts belong to CodeDeploy.
    and not name.endswith("FunctionAlarm")
}
COMPOSITES = {name for name, alarm in ALARMS.items() if "AlarmRule" in alarm}
METRIC_ALARMS = sorted(set(ALARMS) - COMPOSITES)
SERVED = {name for name, _, _ in COUNTERS} | {logged for _, _, _, logged in HISTOGRAMS} | {telemetry.MANAGER_STATUS}


def dashboards() -> dict[str, list[dict[str, Any]]]:
    bodies = {
        name: resource["Properties"]["DashboardBody"]["Fn::Sub"]
        for name, resource in RESOURCES.items()
        if resource["Type"] == "AWS::CloudWatch::Dashboard"
    }
    return {name: json.loads(re.sub(r"\$\{[^}]+}", "x", body))["widgets"] for name, body in bodies.items()}


def metrics_in(document: object) -> set[str]:
    return set(re.findall(r"email_sender_\w+", json.dumps(document)))


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_it_means_and_where_to_read_on(name: str) -> None:
    alarm = ALARMS[name]
    level, _, rest = alarm["AlarmDescription"].partition(": ")
    assert level in ("critical", "warning")
    assert rest.endswith(f": docs/guides/alarms.md#{name.lower()}")
    assert re.search(rf"^### {name}$", PAGE, re.M)
    if name not in COMPOSITES:
        # What no data means is decided for each.
        assert alarm["TreatMissingData"] in ("breaching", "notBreaching", "ignore", "missing")


def test_every_section_of_the_page_is_an_alarm() -> None:
    sections = re.findall(r"^### (\w+)$", PAGE, re.M)
    assert sorted(sections) == sorted(ALARMS)


def test_each_alarm_notifies_itself_or_through_a_composite_alarm() -> None:
    combined = {
        child for name in COMPOSITES for child in re.findall(r"\$\{(\w+)Alarm}", str(ALARMS[name]["AlarmRule"]))
    }
    notifying = {name for name, alarm in ALARMS.items() if alarm.get("AlarmActions") == [{"Ref": "AlarmTopic"}]}
    assert notifying | combined == set(ALARMS)
    assert not notifying & combined
    for name in notifying:
        assert ALARMS[name]["OKActions"] == [{"Ref": "AlarmTopic"}]


def test_the_nodes_send_what_their_alarms_watch() -> None:
    script = (ROOT / "stacks/data.yaml").read_text()
    assert script.count('--metric-name "email_sender_engine_$1_percent"') == 3
    assert 'for figure in "memory $memory" "disk $disk" "load $load"' in script


@pytest.mark.parametrize("name", METRIC_ALARMS)
def test_an_alarm_keeps_to_cloudwatchs_limits(name: str) -> None:
    """docs.aws.amazon.com/cloudwatch, "CloudWatch service quotas" and "Alarm limits"."""
    alarm = ALARMS[name]
    queries = alarm.get("Metrics", [])
    metrics = [query["MetricStat"] for query in queries if "MetricStat" in query]
    assert len(metrics) <= 10
    periods = {metric["Period"] for metric in metrics} | {query["Period"] for query in queries if "Period" in query}
    periods |= {alarm["Period"]} if not queries else set()
    (period,) = periods
    assert period * alarm["EvaluationPeriods"] <= 86_400
    texts = [query.get("Expression", "") for query in queries]
    # An alarm cannot search, and sees three hours of Metrics Insights.
    assert not any("SEARCH(" in str(text) for text in texts)
    if any("SELECT " in str(text) for text in texts):
        assert period * alarm["EvaluationPeriods"] <= 3 * 3600
    if queries:
        assert returned_query(alarm)["Id"]


def test_alarms_and_dashboards_use_only_metrics_that_code_emits() -> None:
    used = metrics_in(ALARMS) | metrics_in(dashboards())
    assert used <= EMITTED
    assert len(used) >= 12


def test_every_emitted_metric_is_on_a_dashboard_or_in_an_alarm_or_in_the_api() -> None:
    assert metrics_in(ALARMS) | metrics_in(dashboards()) | SERVED >= EMITTED


def test_counters_and_histograms_of_the_api_are_emitted() -> None:
    assert SERVED <= EMITTED
    assert {name for name in EMITTED if name.endswith("_total")} <= SERVED
    assert telemetry.HISTOGRAMS <= SERVED


def test_metrics_of_a_stage_are_in_a_namespace_of_their_own() -> None:
    text = json.dumps({name: alarm for name, alarm in ALARMS.items() if metrics_in(alarm)})
    assert "EmailSender/${Stage}" in text
    assert not re.search(r"EmailSender(?!/\$\{Stage})", text)


def test_the_specifications_dashboards_exist() -> None:
    names = {"Overview", "Managers", "Vectors", "Api", "Infrastructure", "Alerts", "Objectives"}
    assert set(dashboards()) == {f"{name}Dashboard" for name in names}


@pytest.mark.parametrize("name", dashboards())
def test_widgets_fill_rows_without_overlap(name: str) -> None:
    places: set[tuple[int, int]] = set()
    for widget in dashboards()[name]:
        assert widget["x"] + widget["width"] <= 24
        cells = {(x, widget["y"]) for x in range(widget["x"], widget["x"] + widget["width"])}
        assert not cells & places
        places |= cells
        assert widget["properties"].get("metrics") or widget["properties"].get("alarms")


def test_the_alerts_dashboard_shows_every_alarm() -> None:
    body = RESOURCES["AlertsDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    shown = set(re.findall(r"\$\{(\w+)Alarm\.Arn}", body))
    assert shown == {name for name in ALARMS if f"{name}Alarm" in RESOURCES}
