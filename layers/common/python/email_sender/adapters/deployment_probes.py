"""What AWS says of the deployment itself: versions, the engine of workflows, mail, series, logs."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from email_sender.errors import Unavailable

type Clients = Callable[[str], Any]
"""An AWS client by its service's name."""


@dataclass(frozen=True, slots=True)
class LogGroup:
    """`retention_days` None: kept for ever."""

    name: str
    retention_days: int | None


class DeploymentProbes:
    """Each raises Unavailable where AWS does not answer."""

    def __init__(self, clients: Clients, stage: str, namespace: str) -> None:
        self._clients, self._stage, self._namespace = clients, stage, namespace

    def versions(self, ours: Collection[str]) -> dict[str, int]:
        """How many of these functions are of each version of the software."""
        found: dict[str, int] = {}
        with _translated("Lambda"):
            for page in self._clients("lambda").get_paginator("list_functions").paginate():
                for each in page["Functions"]:
                    if each["FunctionArn"] in ours:
                        version = each.get("Environment", {}).get("Variables", {}).get("VERSION", "unknown")
                        found[version] = found.get(version, 0) + 1
        return found

    def workflow_engine(self) -> None:
        with _translated("Step Functions"):
            self._clients("stepfunctions").list_state_machines(maxResults=1)

    def mail_quota(self) -> float:
        """Which part of the mail that SES takes of this account in 24 hours is sent; 0 where it is not limited."""
        with _translated("SES"):
            quota = self._clients("ses").get_send_quota()
        return quota["SentLast24Hours"] / quota["Max24HourSend"] if quota["Max24HourSend"] > 0 else 0.0

    def series(self) -> int:
        """How many series of ours CloudWatch knows; of very many, one page's."""
        with _translated("CloudWatch"):
            return len(self._clients("cloudwatch").list_metrics(Namespace=self._namespace)["Metrics"])

    def log_groups(self) -> Sequence[LogGroup]:
        with _translated("CloudWatch Logs"):
            pages = self._clients("logs").get_paginator("describe_log_groups")
            return [
                LogGroup(each["logGroupName"], each.get("retentionInDays"))
                for page in pages.paginate(logGroupNamePrefix=f"/email-sender/{self._stage}/")
                for each in page["logGroups"]
            ]


@contextmanager
def _translated(service: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(f"{service} did not answer.") from error
