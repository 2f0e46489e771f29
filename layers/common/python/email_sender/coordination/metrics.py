"""Counters and histograms, counted from the metrics that functions write to their logs. No I/O.

CloudWatch has neither totals since the start nor buckets, which Prometheus needs. So each line of CloudWatch's embedded
metric format (docs.aws.amazon.com/cloudwatch, "Specification: Embedded metric format") is counted once more here.
"""

import bisect
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# Prometheus's default buckets, in seconds (the specification's). The last bucket, +Inf, has no bound here.
BUCKET_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COUNTER_SUFFIX = "_total"

type Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Total:
    """The values of one series. `buckets` counts a histogram's values by bucket, not cumulated; a counter has none."""

    name: str
    labels: Labels
    count: int = 0
    sum: float = 0.0
    buckets: list[int] = field(default_factory=list)

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        if self.buckets:
            self.buckets[bisect.bisect_left(BUCKET_BOUNDS, value)] += 1


def count_metrics(lines: Iterable[str], namespace: str, histograms: Collection[str]) -> list[Total]:
    """Return the totals of the counters and histograms in these log lines. Other lines and gauges are skipped.

    `histograms` are the names of histograms. The name of a counter ends in "_total".
    """
    totals: dict[tuple[str, Labels], Total] = {}
    for line in lines:
        for name, labels, value in _read_line(line, namespace):
            if not name.endswith(_COUNTER_SUFFIX) and name not in histograms:
                continue
            if (name, labels) not in totals:
                buckets = [0] * (len(BUCKET_BOUNDS) + 1) if name in histograms else []
                totals[name, labels] = Total(name, labels, buckets=buckets)
            totals[name, labels].add(value)
    # Always in the same order, so that two batches never wait for each other's rows.
    return [totals[key] for key in sorted(totals)]


def _read_line(line: str, namespace: str) -> Iterator[tuple[str, Labels, float]]:
    try:
        blob = json.loads(line)
    except ValueError:
        return
    directives = blob.get("_aws", {}).get("CloudWatchMetrics", []) if isinstance(blob, dict) else []
    for directive in directives:
        if directive.get("Namespace") != namespace:
            continue
        for dimensions in directive.get("Dimensions") or [[]]:
            labels = tuple(sorted((name, str(blob[name])) for name in dimensions if name in blob))
            for metric in directive.get("Metrics", []):
                name = str(metric["Name"])
                for value in _values(blob, name):
                    yield name, labels, value


def _values(blob: Mapping[str, Any], name: str) -> list[float]:
    values = blob.get(name)
    return [
        float(value)
        for value in (values if isinstance(values, list) else [values])
        if isinstance(value, int | float) and math.isfinite(value) and value >= 0
    ]
