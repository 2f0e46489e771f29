"""Alarms, the dashboard, the metrics that code emits, and the page that says what to do: each knows the others."""

import json
import re
from typing import Any

import pytest

from email_sender.kit import telemetry
from local.aws.intrinsics import read_template
from local.layout import ROOT

RESOURCES: dict[str, dict[str, Any]] = read_template(ROOT / "template.yaml")["Resources"]
PAGE = (ROOT / "docs/guides/alarms.md").read_text()
EMITTED = {
    value for name, value in vars(telemetry).items() if name.isupper() and str(value).startswith("email_sender_")
}
ALARMS = {
    name.removesuffix("Alarm"): resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    # Those of rollouts belong to CodeDeploy.
    and not name.endswith("FunctionAlarm")
}


def dashboard() -> list[dict[str, Any]]:
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    return list(json.loads(re.sub(r"\$\{[^}]+}", "x", body))["widgets"])


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"email_sender_\w+", text))


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_it_means_and_where_to_read_on(name: str) -> None:
    alarm = ALARMS[name]
    assert alarm["AlarmDescription"].endswith(": docs/guides/alarms.md")
    assert f"| {name} |" in PAGE
    if "AlarmRule" not in alarm:
        # What no data means is decided for each.
        assert alarm["TreatMissingData"] in ("breaching", "notBreaching", "ignore")


def test_every_row_of_the_page_is_an_alarm() -> None:
    rows = re.findall(r"^\| ([A-Z]\w+) \|", PAGE, re.M)
    assert sorted(rows) == sorted(ALARMS)


def test_each_alarm_notifies_itself_or_through_the_alarm_of_the_platform() -> None:
    rule = ALARMS["PlatformDown"]["AlarmRule"]["Fn::Sub"]
    through_platform = set(re.findall(r"\$\{(\w+)Alarm}", rule))
    notifying = {name for name, alarm in ALARMS.items() if alarm.get("AlarmActions") == [{"Ref": "AlarmTopic"}]}
    assert notifying | through_platform == set(ALARMS)
    assert not notifying & through_platform
    for name in notifying:
        assert ALARMS[name]["OKActions"] == [{"Ref": "AlarmTopic"}]


def test_alarms_and_dashboard_use_only_metrics_that_code_emits() -> None:
    used = metrics_in(json.dumps(ALARMS)) | metrics_in(json.dumps(dashboard()))
    assert used <= EMITTED
    assert len(used) >= 6


def test_every_emitted_metric_is_on_the_dashboard_or_in_an_alarm_or_an_answer() -> None:
    from gateway_lambda.http.prometheus_text import SERIES

    used = metrics_in(json.dumps(ALARMS)) | metrics_in(json.dumps(dashboard())) | set(SERIES)
    assert used >= EMITTED


def test_metrics_of_a_stage_are_in_a_namespace_of_their_own() -> None:
    text = json.dumps({name: alarm for name, alarm in ALARMS.items() if metrics_in(json.dumps(alarm))})
    assert "EmailSender/${Stage}" in text
    assert not re.search(r"EmailSender(?!/\$\{Stage})", text)


def test_widgets_fill_rows_without_overlap() -> None:
    places: set[tuple[int, int]] = set()
    for widget in dashboard():
        assert widget["x"] + widget["width"] <= 24
        cells = {(x, widget["y"]) for x in range(widget["x"], widget["x"] + widget["width"])}
        assert not cells & places
        places |= cells
        assert widget["properties"]["metrics"]
