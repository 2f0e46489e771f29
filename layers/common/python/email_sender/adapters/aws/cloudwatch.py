"""Reads metrics from CloudWatch for GET /metrics."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.errors import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

_WINDOW = timedelta(minutes=5)
# GetMetricData accepts 500 queries a call.
_MAX_QUERIES = 500


@dataclass(frozen=True, slots=True)
class Sample:
    """`value` is `statistic` ("Sum", "SampleCount", "Average", "Maximum") over the last five minutes."""

    name: str
    labels: tuple[tuple[str, str], ...]
    statistic: str
    value: float


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    dimensions: Any
    statistic: str


class CloudWatchMetrics:
    def __init__(self, client: Callable[[], "CloudWatchClient"], namespace: str) -> None:
        self._client, self._namespace = client, namespace

    def samples(self, statistics_by_metric: dict[str, Sequence[str]]) -> list[Sample]:
        """Return the requested statistics of each metric, for every combination of labels that was seen recently."""
        with translate_aws_errors("CloudWatch did not respond."):
            series = [
                _Series(metric["MetricName"], metric["Dimensions"], statistic)
                for name, statistics in statistics_by_metric.items()
                for metric in self._list_metrics(name)
                for statistic in statistics
            ]
            return [
                sample
                for start in range(0, len(series), _MAX_QUERIES)
                for sample in self._read(series[start:][:_MAX_QUERIES])
            ]

    def _list_metrics(self, name: str) -> Iterator[Any]:
        pages = self._client().get_paginator("list_metrics").paginate(Namespace=self._namespace, MetricName=name)
        for page in pages:
            yield from page["Metrics"]

    def _read(self, series: list[_Series]) -> Iterator[Sample]:
        now = datetime.now(UTC)
        response = self._client().get_metric_data(
            StartTime=now - _WINDOW,
            EndTime=now,
            MetricDataQueries=[
                {
                    "Id": f"q{number}",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": self._namespace,
                            "MetricName": metric.name,
                            "Dimensions": metric.dimensions,
                        },
                        "Period": int(_WINDOW.total_seconds()),
                        "Stat": metric.statistic,
                    },
                }
                for number, metric in enumerate(series)
            ],
        )
        for result in response["MetricDataResults"]:
            if not result["Values"]:
                continue
            metric = series[int(result["Id"][1:])]
            labels = tuple((dimension["Name"], dimension["Value"]) for dimension in metric.dimensions)
            yield Sample(metric.name, labels, metric.statistic, sum(result["Values"]))
