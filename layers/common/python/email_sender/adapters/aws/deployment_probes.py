"""Queries AWS about the deployment: versions, Step Functions, the SES quota, metrics, and log groups."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.clock import Clock

type Clients = Callable[[str], Any]
"""Returns the AWS client of a service by the service's name."""


@dataclass(frozen=True, slots=True)
class LogGroup:
    """`retention_days` is None if logs are retained without limit."""

    name: str
    retention_days: int | None


@dataclass(frozen=True, slots=True)
class AlarmState:
    """`no_data_seconds` is for how long an alarm has lacked the data that it needs, or 0."""

    name: str
    is_on: bool
    can_notify: bool
    no_data_seconds: float


class DeploymentProbes:
    """Every method raises Unavailable if AWS does not respond."""

    def __init__(self, clients: Clients, stage: str, namespace: str, now: Clock) -> None:
        self._clients, self._stage, self._namespace, self._now = clients, stage, namespace, now

    def versions(self, function_arns: Collection[str]) -> dict[str, int]:
        """Return how many of these functions run each version of the software."""
        counts: dict[str, int] = {}
        with translate_aws_errors("Lambda did not respond."):
            for page in self._clients("lambda").get_paginator("list_functions").paginate():
                for function in page["Functions"]:
                    if function["FunctionArn"] in function_arns:
                        version = function.get("Environment", {}).get("Variables", {}).get("VERSION", "unknown")
                        counts[version] = counts.get(version, 0) + 1
        return counts

    def workflow_engine(self) -> None:
        """Return if Step Functions responds."""
        with translate_aws_errors("Step Functions did not respond."):
            self._clients("stepfunctions").list_state_machines(maxResults=1)

    def mail_quota_used(self) -> float:
        """Return the used part of the account's SES quota for 24 hours, or 0 if mail is not limited."""
        with translate_aws_errors("SES did not respond."):
            quota = self._clients("ses").get_send_quota()
        return quota["SentLast24Hours"] / quota["Max24HourSend"] if quota["Max24HourSend"] > 0 else 0.0

    def series_counts(self, names: Sequence[str]) -> Mapping[str, int]:
        """Return how many metrics of each of these names CloudWatch lists in our namespace, at most a page of each."""
        with translate_aws_errors("CloudWatch did not respond."):
            cloudwatch = self._clients("cloudwatch")
            return {
                name: len(cloudwatch.list_metrics(Namespace=self._namespace, MetricName=name)["Metrics"])
                for name in names
            }

    def last_metric_seconds_ago(self, name: str, dimensions: Mapping[str, str]) -> float | None:
        """Return how old the last value of a metric is, or None without one in the last hour."""
        now = self._now()
        with translate_aws_errors("CloudWatch did not respond."):
            points = self._clients("cloudwatch").get_metric_statistics(
                Namespace=self._namespace,
                MetricName=name,
                Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
                StartTime=now - timedelta(hours=1),
                EndTime=now,
                Period=60,
                Statistics=["SampleCount"],
            )["Datapoints"]
        # A point has the time at which its minute began.
        return min((max(0.0, (now - point["Timestamp"]).total_seconds() - 60) for point in points), default=None)

    def alarms(self) -> Sequence[AlarmState]:
        """Return the alarms of this stage that a name prefix finds; those of rollouts have other names."""
        now = self._now()
        with translate_aws_errors("CloudWatch did not respond."):
            pages = self._clients("cloudwatch").get_paginator("describe_alarms")
            found = [
                alarm
                for page in pages.paginate(
                    AlarmNamePrefix=f"email-sender-{self._stage}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
                )
                for alarm in [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]
            ]
        return [
            AlarmState(
                alarm["AlarmName"],
                is_on=alarm["StateValue"] == "ALARM",
                can_notify=alarm.get("ActionsEnabled", True),
                no_data_seconds=_no_data_seconds(alarm, now),
            )
            for alarm in found
        ]

    def dashboards(self) -> Mapping[str, str]:
        """Return the body of each dashboard of this stage by name."""
        with translate_aws_errors("CloudWatch did not respond."):
            cloudwatch = self._clients("cloudwatch")
            listed = cloudwatch.list_dashboards(DashboardNamePrefix=f"email-sender-{self._stage}-")
            names = [entry["DashboardName"] for entry in listed["DashboardEntries"]]
            return {name: cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"] for name in names}

    def log_groups(self) -> Sequence[LogGroup]:
        with translate_aws_errors("CloudWatch Logs did not respond."):
            pages = self._clients("logs").get_paginator("describe_log_groups")
            return [
                LogGroup(group["logGroupName"], group.get("retentionInDays"))
                for page in pages.paginate(logGroupNamePrefix=f"/email-sender/{self._stage}/")
                for group in page["logGroups"]
            ]


def _no_data_seconds(alarm: Mapping[str, Any], now: datetime) -> float:
    # An alarm that ignores missing data watches what may not happen for months, such as bounces.
    if alarm["StateValue"] != "INSUFFICIENT_DATA" or alarm.get("TreatMissingData") == "ignore":
        return 0.0
    return float((now - alarm["StateUpdatedTimestamp"]).total_seconds())
