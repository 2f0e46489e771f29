"""CloudWatch's embedded metric format: the half of CloudWatch that MiniStack lacks.

A function writes a line of JSON with a member `_aws`; on AWS its values become metrics. Here they are given to
MiniStack's own CloudWatch (docs.aws.amazon.com/cloudwatch, "Specification: Embedded metric format").
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
    """`at` is in seconds since 1970."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    unit: str
    values: tuple[float, ...]
    at: float


def data(log: str) -> Iterator[Datum]:
    """What the lines of a log say; a line that is not in the format says nothing."""
    for line in log.splitlines():
        start = line.find("{")
        if _MARK not in line or start < 0:
            continue
        try:
            blob = json.loads(line[start:])
        except ValueError:
            continue
        if isinstance(blob, dict) and isinstance(blob.get("_aws"), dict):
            yield from _data(blob)


def _data(blob: dict[str, Any]) -> Iterator[Datum]:
    at = float(blob["_aws"].get("Timestamp", 0)) / 1000
    for directive in blob["_aws"].get("CloudWatchMetrics", []):
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(blob[name]) for name in names if name in blob}
            for metric in directive.get("Metrics", []):
                value = blob.get(metric.get("Name"))
                values = value if isinstance(value, list) else [value]
                numbers = tuple(float(each) for each in values if isinstance(each, int | float))
                if numbers:
                    unit = metric.get("Unit", "None")
                    yield Datum(directive["Namespace"], metric["Name"], dimensions, unit, numbers, at)


def check() -> None:
    """Raises UpstreamChanged where MiniStack's CloudWatch is not the one this was written for."""
    check_sources(_RELIES_ON)


def collect(log: str) -> None:
    for datum in data(log):
        cloudwatch._store_datum(
            datum.namespace, datum.name, datum.dimensions, datum.at, datum.unit, None, list(datum.values), None, None
        )
