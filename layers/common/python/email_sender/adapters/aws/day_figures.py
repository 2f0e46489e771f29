"""Reads the figures of a day from CloudWatch, in one call."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.coordination.daily_report import DayFigures

_DAY_SECONDS = 86_400
_RUN_STATUSES = ("succeeded", "failed", "cancelled", "timed_out")


class CloudWatchDays:
    """`namespace` is that of the stage's own metrics; `api_id` is its HTTP API."""

    def __init__(self, client: Callable[[], Any], namespace: str, api_id: str, managers: Sequence[str]) -> None:
        self._client, self._namespace, self._api_id, self._managers = client, namespace, api_id, managers

    def read(self, start: datetime) -> DayFigures:
        """Return the figures of the day that begins at `start`. Raises Unavailable."""
        queries = dict(self._queries())
        with translate_aws_errors("CloudWatch did not respond."):
            response = self._client().get_metric_data(
                StartTime=start,
                EndTime=start + timedelta(days=1),
                MetricDataQueries=[{"Id": key, "MetricStat": stat} for key, stat in queries.items()],
            )
        values = {result["Id"]: sum(result["Values"]) for result in response["MetricDataResults"] if result["Values"]}
        failures = [values[key] for key in values if key.startswith("failures")]
        return DayFigures(
            requests=values.get("requests"),
            failed_requests=values.get("errors"),
            latency_ms=values.get("latency"),
            runs={status: values[f"runs_{status}"] for status in _RUN_STATUSES if f"runs_{status}" in values},
            manager_failures=sum(failures) if failures else None,
            sent=values.get("sent"),
            bounced=values.get("bounced"),
            complained=values.get("complained"),
        )

    def _queries(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        api = {"ApiId": self._api_id}
        return [
            ("requests", _stat("AWS/ApiGateway", "Count", "Sum", api)),
            ("errors", _stat("AWS/ApiGateway", "5xx", "Sum", api)),
            ("latency", _stat("AWS/ApiGateway", "Latency", "p95", api)),
            ("sent", _stat("AWS/SES", "Send", "Sum", {})),
            ("bounced", _stat("AWS/SES", "Bounce", "Sum", {})),
            ("complained", _stat("AWS/SES", "Complaint", "Sum", {})),
            *(
                (f"runs_{status}", _stat(self._namespace, "email_sender_runs_total", "Sum", {"status": status}))
                for status in _RUN_STATUSES
            ),
            *(
                (
                    f"failures{number}",
                    _stat(self._namespace, "email_sender_manager_failures_total", "Sum", {"manager_name": name}),
                )
                for number, name in enumerate(self._managers)
            ),
        ]


def _stat(namespace: str, name: str, statistic: str, dimensions: Mapping[str, str]) -> Mapping[str, Any]:
    pairs = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": pairs}
    return {"Metric": metric, "Period": _DAY_SECONDS, "Stat": statistic}
