"""Data points of metrics, and statistics over periods."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Point:
    """`value` was recorded `count` times at `at`, in seconds since 1970."""

    at: float
    value: float
    count: float = 1.0


class Points(Protocol):
    """The data points of all metrics."""

    def of(self, namespace: str, name: str, dimensions: Mapping[str, str], since: float) -> Sequence[Point]:
        """Return the points of the metric with exactly these dimensions, at least those since a time."""
        ...

    def dimensions_of(self, namespace: str, name: str) -> Sequence[Mapping[str, str]]:
        """Return the dimensions of every metric with this name."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """`count` periods of `period` seconds; the last ends at `end`, in seconds since 1970.

    As in CloudWatch, alarms with a period above a minute are evaluated each minute, so `end` need not be a multiple of
    the period.
    """

    end: int
    period: int
    count: int

    @property
    def start(self) -> int:
        return self.end - self.period * self.count

    def index_of(self, at: float) -> int | None:
        """Return which period a time belongs to, or None."""
        index = int((at - self.start) // self.period)
        return index if 0 <= index < self.count else None


type Values = list[float | None]
"""A value for each period of a window, the oldest first; None where there is no data."""


def summarize(points: Sequence[Point], window: Window, statistic: str) -> Values:
    """Return the statistic of the points for each period.

    Raises:
        ValueError: the statistic is unknown.
    """
    groups: list[list[Point]] = [[] for _ in range(window.count)]
    for point in points:
        index = window.index_of(point.at)
        if index is not None:
            groups[index].append(point)
    return [calculate_statistic(group, statistic) if group else None for group in groups]


def calculate_statistic(points: Sequence[Point], statistic: str) -> float:
    """Return a statistic of at least one point."""
    count = sum(point.count for point in points)
    total = sum(point.value * point.count for point in points)
    match statistic:
        case "Sum":
            return total
        case "SampleCount":
            return count
        case "Average":
            return total / count
        case "Minimum":
            return min(point.value for point in points)
        case "Maximum":
            return max(point.value for point in points)
    if statistic.startswith("p"):
        return _percentile(points, float(statistic[1:]))
    raise ValueError(f"The statistic {statistic} is unknown here.")


def _percentile(points: Sequence[Point], percent: float) -> float:
    """Return the smallest value that at least `percent` of all values do not exceed."""
    ordered = sorted(points, key=lambda point: point.value)
    rank = math.ceil(sum(point.count for point in ordered) * percent / 100)
    seen = 0.0
    for point in ordered:
        seen += point.count
        if seen >= rank:
            return point.value
    return ordered[-1].value
