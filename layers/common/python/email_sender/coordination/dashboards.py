"""Dashboards of the deployment: what CloudWatch's bodies say, and the figures of each widget."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from email_sender.clock import Clock
from email_sender.errors import NotFound

MAX_HOURS = 12
_KEPT_SECONDS = 60.0

type Query = Mapping[str, Any]
"""A metric as CloudWatch's GetMetricData and its alarms have it: `Id`, `Label`, and `MetricStat` or `Expression`."""


@dataclass(frozen=True, slots=True)
class Widget:
    """A part of a dashboard. `visible` are the ids of the queries that are drawn; a widget of alarms has their ARNs.

    `error` says why it cannot be drawn: somebody made it by hand, with what this platform's own widgets do not have.
    """

    title: str
    shows_number: bool = False
    queries: Sequence[Query] = ()
    visible: Sequence[str] = ()
    alarms: Sequence[str] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Values by time, the oldest first. A period without data is missing."""

    label: str
    points: Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class ShownAlarm:
    """`state` is OK, ALARM or INSUFFICIENT_DATA."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A widget with its figures. `error` says why there are none."""

    title: str
    shows_number: bool
    series: Sequence[Series] = ()
    alarms: Sequence[ShownAlarm] = ()
    error: str = ""


class DashboardSource(Protocol):
    def names(self) -> Sequence[str]:
        """Return the names of this stage's dashboards. Raises Unavailable."""
        ...

    def body(self, name: str) -> str | None:
        """Return the body of a dashboard, or None if there is none with this name. Raises Unavailable."""
        ...

    def panel(self, widget: Widget, start: datetime, end: datetime) -> Panel:
        """Return the widget's figures between two times. Raises Unavailable."""
        ...


class Dashboards:
    """Reads dashboards. What was read is kept for a minute: figures change no faster, and requests cost."""

    def __init__(self, source: DashboardSource, now: Clock, run_all: Callable[..., Sequence[Panel]]) -> None:
        """`run_all` is like `map`, and may work in parallel."""
        self._source, self._now, self._run_all = source, now, run_all
        self._kept: dict[tuple[str, int], tuple[datetime, Sequence[Panel]]] = {}

    def names(self) -> Sequence[str]:
        return sorted(self._source.names())

    def read(self, name: str, hours: int) -> Sequence[Panel]:
        """Return the panels of a dashboard with the figures of the last hours.

        Raises:
            NotFound: there is no such dashboard.
            Unavailable: CloudWatch did not respond.
        """
        now = self._now()
        read_at, kept = self._kept.get((name, hours), (None, ()))
        if read_at is not None and (now - read_at).total_seconds() < _KEPT_SECONDS:
            return kept
        body = self._source.body(name)
        if body is None:
            raise NotFound("There is no dashboard with this name.")
        end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        start = end - timedelta(hours=hours)

        def read(widget: Widget) -> Panel:
            if widget.error:
                return Panel(widget.title, widget.shows_number, error=widget.error)
            return self._source.panel(widget, start, end)

        panels = list(self._run_all(read, widgets_of(body)))
        self._kept[name, hours] = now, panels
        return panels


def widgets_of(body: str) -> Sequence[Widget]:
    """Return the widgets of a dashboard's body (docs.aws.amazon.com/cloudwatch, "Dashboard body structure")."""
    return [_widget(widget.get("type", ""), widget.get("properties", {})) for widget in json.loads(body)["widgets"]]


def _widget(kind: str, properties: Mapping[str, Any]) -> Widget:
    title = str(properties.get("title", kind))
    try:
        if kind == "alarm":
            return Widget(title, alarms=properties["alarms"])
        queries, visible = widget_queries(properties)
    except (KeyError, IndexError, TypeError, ValueError):
        return Widget(title, error="Only CloudWatch's own console can draw this widget.")
    return Widget(title, properties.get("view") == "singleValue", queries, visible)


def widget_queries(properties: Mapping[str, Any]) -> tuple[list[Query], list[str]]:
    """Return a widget's metrics as queries, and the ids of those that are drawn."""
    queries: list[Query] = []
    visible_ids = []
    for number, metric in enumerate(properties["metrics"]):
        *words, options = metric if isinstance(metric[-1], dict) else [*metric, {}]
        query_id = options.get("id", f"m{number}")
        if "expression" in options:
            label = options.get("label", query_id)
            queries.append({"Id": query_id, "Expression": options["expression"], "Label": label})
        else:
            namespace, name, *pairs = words
            if any(set(word) == {"."} for word in map(str, words)):
                raise ValueError("A dot stands for a part of the metric before, which is not resolved here.")
            dimensions = [{"Name": key, "Value": value} for key, value in zip(pairs[::2], pairs[1::2], strict=True)]
            stat = {
                "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions},
                "Stat": options.get("stat", properties["stat"]),
                "Period": options.get("period", properties["period"]),
            }
            queries.append({"Id": query_id, "MetricStat": stat, "Label": " ".join([name, *pairs[1::2]])})
        if options.get("visible", True):
            visible_ids.append(query_id)
    return queries, visible_ids
