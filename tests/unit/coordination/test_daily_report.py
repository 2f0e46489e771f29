"""The report of a day."""

from datetime import UTC, date, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from email_sender.adapters.aws.day_figures import CloudWatchDays
from email_sender.coordination.daily_report import DayFigures, write_report

QUIET = DayFigures(None, None, None, {}, None, None, None, None)
DAY = date(2026, 11, 28)


def test_a_quiet_day_misses_nothing() -> None:
    text = write_report("prod", DAY, QUIET)
    assert text.startswith("Email Sender, prod, 2026-11-28 (UTC)\n")
    assert "missed" not in text


def test_what_misses_its_objective_is_marked() -> None:
    figures = DayFigures(10_000, 11, 101.4, {"succeeded": 98, "failed": 2}, 1, 1200, 3, 1)
    lines = write_report("prod", DAY, figures).splitlines()
    assert [line.split("  ")[0] for line in lines if line.endswith("missed")] == [
        "answered", "95th percentile", "succeeded", "Managers that failed",
    ]  # fmt: skip
    assert "answered                   99.89 %   missed" in lines
    assert "Emails sent                  1,200" in lines


def test_figures_are_those_of_one_day_and_one_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    start = datetime(2026, 11, 28, tzinfo=UTC)
    with mock_aws():
        client: Any = boto3.client("cloudwatch", region_name="us-east-1")

        def put(namespace: str, name: str, value: float, at: datetime, **dimensions: str) -> None:
            pairs = [{"Name": key, "Value": text} for key, text in dimensions.items()]
            datum = {"MetricName": name, "Dimensions": pairs, "Value": value, "Timestamp": at}
            client.put_metric_data(Namespace=namespace, MetricData=[datum])

        for hour, value in ((0, 3.0), (23, 4.0)):
            put("AWS/ApiGateway", "Count", value, start.replace(hour=hour, minute=30), ApiId="a")
            put("EmailSender/x", "email_sender_runs_total", 1, start.replace(hour=hour), status="succeeded")
        put("AWS/ApiGateway", "Count", 50, start.replace(day=29), ApiId="a")
        put("AWS/ApiGateway", "Count", 50, start.replace(hour=3), ApiId="other")
        put("EmailSender/x", "email_sender_manager_failures_total", 1, start, manager_name="vectorization")
        days = CloudWatchDays(lambda: client, "EmailSender/x", "a", ["vectorization", "api-gateway"])
        figures = days.read(start)
    assert (figures.requests, figures.runs, figures.manager_failures) == (7, {"succeeded": 2}, 1)
    assert figures.sent is None
