"""Tests for the checks of metrics, alarms and dashboards: each fails if the thing that it watches is broken."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from coordinator_lambda.monitoring_checks import check_alarms, check_dashboards, check_metrics
from email_sender.adapters.aws.deployment_probes import DeploymentProbes
from email_sender.coordination.lifecycle import Status
from email_sender.coordination.manager_status import Finding
from email_sender.kit.platform_settings import parse_settings
from email_sender.kit.telemetry import MANAGER_STATUS, OUTBOX_OLDEST

NAMESPACE = "EmailSender/test"


class CloudWatch:
    """CloudWatch as moto has it, and the checks of the stage `test`."""

    def __init__(self) -> None:
        self.client: Any = boto3.client("cloudwatch", region_name="us-east-1")
        self.later = timedelta()
        self._probes = DeploymentProbes(
            lambda _: self.client, "test", NAMESPACE, lambda: datetime.now(UTC) + self.later
        )

    def put(self, name: str, minutes_ago: float = 0, manager: str = "central-coordinator") -> None:
        at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        dimensions = [{"Name": "manager_name", "Value": manager}] if name == MANAGER_STATUS else []
        datum = {"MetricName": name, "Dimensions": dimensions, "Value": 1, "Timestamp": at}
        self.client.put_metric_data(Namespace=NAMESPACE, MetricData=[datum])

    def put_alarm(self, name: str, state: str = "OK", **properties: Any) -> None:
        self.client.put_metric_alarm(
            AlarmName=name, Namespace=NAMESPACE, MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold", **properties,
        )  # fmt: skip
        self.client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")

    def put_dashboard(self, body: str) -> None:
        self.client.put_dashboard(DashboardName="email-sender-test-overview", DashboardBody=body)

    def check_metrics(self) -> Finding:
        return check_metrics(self._probes, lambda: parse_settings({}))

    def check_alarms(self) -> Finding:
        return check_alarms(self._probes)

    def check_dashboards(self) -> Finding:
        return check_dashboards(self._probes, self._probes.dashboards)


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudWatch]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield CloudWatch()


def test_metrics_that_arrive_are_fine(cloudwatch: CloudWatch) -> None:
    cloudwatch.put(MANAGER_STATUS, minutes_ago=1)
    finding = cloudwatch.check_metrics()
    assert (finding.status, finding.figures["series"]) == (Status.RUNNING, 1)


def test_metrics_that_stopped_are_a_problem(cloudwatch: CloudWatch) -> None:
    cloudwatch.put(MANAGER_STATUS, minutes_ago=40)
    cloudwatch.put(OUTBOX_OLDEST)
    finding = cloudwatch.check_metrics()
    assert finding.status is Status.DEGRADED
    assert finding.reason
    assert "no new metric" in finding.reason


def test_a_stage_that_has_just_started_is_no_problem(cloudwatch: CloudWatch) -> None:
    assert cloudwatch.check_metrics().status is Status.RUNNING


def test_alarms_of_this_stage_are_counted(cloudwatch: CloudWatch) -> None:
    cloudwatch.put_alarm("email-sender-test-a")
    cloudwatch.put_alarm("email-sender-test-b", state="ALARM")
    cloudwatch.put_alarm("email-sender-prod-c", state="ALARM")
    finding = cloudwatch.check_alarms()
    assert (finding.status, finding.figures["alarms"], finding.figures["in_alarm"]) == (Status.RUNNING, 2, 1)


def test_a_stage_without_alarms_has_failed(cloudwatch: CloudWatch) -> None:
    assert cloudwatch.check_alarms().status is Status.FAILED


def test_an_alarm_whose_actions_are_off_is_a_problem(cloudwatch: CloudWatch) -> None:
    cloudwatch.put_alarm("email-sender-test-a", ActionsEnabled=False)
    finding = cloudwatch.check_alarms()
    assert finding.status is Status.DEGRADED
    assert finding.reason == "Actions are switched off: email-sender-test-a."


@pytest.mark.parametrize(("treatment", "status"), [("breaching", Status.DEGRADED), ("ignore", Status.RUNNING)])
def test_an_alarm_without_data_for_an_hour_is_a_problem_unless_it_may_wait(
    cloudwatch: CloudWatch, treatment: str, status: Status
) -> None:
    cloudwatch.put_alarm("email-sender-test-a", state="INSUFFICIENT_DATA", TreatMissingData=treatment)
    assert cloudwatch.check_alarms().status is Status.RUNNING
    cloudwatch.later = timedelta(hours=1, minutes=1)
    assert cloudwatch.check_alarms().status is status


def test_dashboards_with_data_are_fine(cloudwatch: CloudWatch) -> None:
    cloudwatch.put_dashboard(f'{{"widgets": [], "x": "{MANAGER_STATUS} {OUTBOX_OLDEST}"}}')
    cloudwatch.put(MANAGER_STATUS)
    cloudwatch.put(OUTBOX_OLDEST)
    finding = cloudwatch.check_dashboards()
    assert (finding.status, finding.figures) == (Status.RUNNING, {"dashboards": 1, "metrics_shown": 2})


def test_a_widget_without_data_is_a_problem(cloudwatch: CloudWatch) -> None:
    cloudwatch.put_dashboard(f'{{"widgets": [], "x": "{MANAGER_STATUS} {OUTBOX_OLDEST}"}}')
    cloudwatch.put(MANAGER_STATUS)
    finding = cloudwatch.check_dashboards()
    assert (finding.status, finding.reason) == (Status.DEGRADED, f"Widgets have no data: {OUTBOX_OLDEST}.")


def test_a_deleted_dashboard_is_a_failure(cloudwatch: CloudWatch) -> None:
    assert cloudwatch.check_dashboards().status is Status.FAILED
