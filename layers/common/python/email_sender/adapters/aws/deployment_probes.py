"""Queries AWS about the deployment: versions, Step Functions, the SES quota, metrics, and log groups."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from email_sender.adapters.aws.errors import translate_aws_errors

type Clients = Callable[[str], Any]
"""Returns the AWS client of a service by the service's name."""


@dataclass(frozen=True, slots=True)
class LogGroup:
    """`retention_days` is None if logs are retained without limit."""

    name: str
    retention_days: int | None


class DeploymentProbes:
    """Every method raises Unavailable if AWS does not respond."""

    def __init__(self, clients: Clients, stage: str, namespace: str) -> None:
        self._clients, self._stage, self._namespace = clients, stage, namespace

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

    def metric_count(self) -> int:
        """Return how many metrics CloudWatch lists in our namespace, at most one page of them."""
        with translate_aws_errors("CloudWatch did not respond."):
            return len(self._clients("cloudwatch").list_metrics(Namespace=self._namespace)["Metrics"])

    def log_groups(self) -> Sequence[LogGroup]:
        with translate_aws_errors("CloudWatch Logs did not respond."):
            pages = self._clients("logs").get_paginator("describe_log_groups")
            return [
                LogGroup(group["logGroupName"], group.get("retentionInDays"))
                for page in pages.paginate(logGroupNamePrefix=f"/email-sender/{self._stage}/")
                for group in page["logGroups"]
            ]
