"""CloudWatch's embedded metric format, which MiniStack does not support.

A function logs a line of JSON with a member `_aws`, and AWS turns its values into metrics. This module stores them in
MiniStack's CloudWatch (docs.aws.amazon.com/cloudwatch, "Specification: Embedded metric format").
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ministack.services import cloudwatch

from local.aws.upstream import check_sources

_RELIES_ON = {"cloudwatch._store_datum": (cloudwatch._store_datum, "e0194e701d56")}
_MARK = '"_aws"'


@dataclass(frozen=True, slots=True)
class Datum:
    """Values of one metric. `at` is in seconds since 1970."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    unit: str
    values: tuple[float, ...]
    at: float


def read_metrics(log: str) -> Iterator[Datum]:
    """Yield the metrics in a log. Lines in any other format are skipped."""
    for line in log.splitlines():
        start = line.find("{")
        if _MARK not in line or start < 0:
            continue
        try:
            blob = json.loads(line[start:])
        except ValueError:
            continue
        if isinstance(blob, dict) and isinstance(blob.get("_aws"), dict):
            yield from _metrics_of(blob)


def _metrics_of(blob: dict[str, Any]) -> Iterator[Datum]:
    at = float(blob["_aws"].get("Timestamp", 0)) / 1000
    for directive in blob["_aws"].get("CloudWatchMetrics", []):
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(blob[name]) for name in names if name in blob}
            for metric in directive.get("Metrics", []):
                value = blob.get(metric.get("Name"))
                values = value if isinstance(value, list) else [value]
                numbers = tuple(float(number) for number in values if isinstance(number, int | float))
                if numbers:
                    unit = metric.get("Unit", "None")
                    yield Datum(directive["Namespace"], metric["Name"], dimensions, unit, numbers, at)


def check() -> None:
    """Raise UpstreamChanged if MiniStack's CloudWatch differs from the version for which this module was written."""
    check_sources(_RELIES_ON)


def collect(log: str) -> None:
    """Store the metrics in a function's log in MiniStack's CloudWatch."""
    for datum in read_metrics(log):
        cloudwatch._store_datum(
            datum.namespace, datum.name, datum.dimensions, datum.at, datum.unit, None, list(datum.values), None, None
        )
