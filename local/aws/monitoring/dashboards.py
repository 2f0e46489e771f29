"""The dashboards of the template as pages, drawn with the local figures.

AWS draws them in its console. Here the same bodies are evaluated by the module that evaluates alarms, so a widget
without data is seen before a deployment.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

from email_sender.coordination.dashboards import widget_queries
from local.aws.monitoring.metric_math import UnknownExpression, evaluate
from local.aws.monitoring.points import Points, Values, Window

PATH = "/dashboards"
_SPAN_SECONDS = 3600
_MAX_PERIODS = 60
_WIDTH, _HEIGHT = 300.0, 100.0
PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(["html", "j2"]))


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a chart. `path` is that of an SVG; `last` is the latest value."""

    label: str
    path: str
    last: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """A widget. `error` is set if it cannot be drawn; a chart of alarms has `alarms` instead of lines."""

    title: str
    lines: Sequence[Line] = ()
    top: float = 0.0
    error: str = ""
    alarms: Sequence[Mapping[str, Any]] = ()
    shows_number: bool = False


def render_index(names: Sequence[str]) -> str:
    return PAGES.get_template("dashboards.html.j2").render(names=sorted(names), title="Dashboards", charts=None)


def render(name: str, names: Sequence[str], body: str, points: Points, alarms: Sequence[Mapping[str, Any]]) -> str:
    """Return the page of a dashboard. `body` is CloudWatch's; `alarms` are those of the account."""
    charts = draw(body, points, alarms, time.time())
    return PAGES.get_template("dashboards.html.j2").render(names=sorted(names), title=name, charts=charts)


def draw(body: str, points: Points, alarms: Sequence[Mapping[str, Any]], now: float) -> list[Chart]:
    """Return a chart for each widget of a dashboard's body."""
    return [_draw_widget(widget, points, alarms, now) for widget in json.loads(body)["widgets"]]


def _draw_widget(widget: Mapping[str, Any], points: Points, alarms: Sequence[Mapping[str, Any]], now: float) -> Chart:
    properties = widget["properties"]
    if widget["type"] == "alarm":
        shown = [alarm for alarm in alarms if alarm["AlarmArn"] in properties["alarms"]]
        return Chart(properties["title"], alarms=sorted(shown, key=lambda alarm: str(alarm["AlarmName"])))
    period = int(properties["period"])
    window = Window(int(now // 60) * 60 + 60, period, max(2, min(_MAX_PERIODS, _SPAN_SECONDS // period)))
    queries, visible_ids = widget_queries(properties)
    try:
        results = evaluate(queries, points, window)
    except UnknownExpression as error:
        return Chart(properties["title"], error=str(error))
    series = [pair for query_id in visible_ids for pair in results[query_id].items()]
    names = {query["Id"]: str(query.get("Label", query["Id"])) for query in queries}
    top = max((value for _, values in series for value in values if value is not None), default=0.0)
    lines = [Line(names.get(label, label), _path(values, top), _last(values)) for label, values in series]
    return Chart(properties["title"], lines, top, shows_number=properties["view"] == "singleValue")


def _path(values: Values, top: float) -> str:
    """Return an SVG path; where a value is missing, the line is interrupted."""
    step = _WIDTH / max(1, len(values) - 1)
    parts, is_drawing = [], False
    for index, value in enumerate(values):
        if value is None:
            is_drawing = False
            continue
        y = _HEIGHT - (value / top * _HEIGHT if top > 0 else 0.0)
        # A point without neighbours would be invisible without a length.
        parts.append(f"{'L' if is_drawing else 'M'}{index * step:.1f} {y:.1f}h.01")
        is_drawing = True
    return "".join(parts)


def _last(values: Values) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)
