"""The dashboards of the deployment as pictures, for operators."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import SignedIn, Visitor

router = page_router()
PATH = "/platform/dashboards"
HOURS = (1, 3, 12)
_WIDTH, _HEIGHT = 300.0, 100.0
# Enough for all managers. Colours repeat after a dozen.
_MAX_LINES = 24


@router.get(PATH)
async def first(visitor: SignedIn, hours: int = 1) -> Response:
    names = _names(visitor)
    if not names:
        raise ApiProblem(404, {"detail": "This deployment has no dashboards."})
    return _page(visitor, "overview" if "overview" in names else names[0], hours, names)


@router.get(PATH + "/{name}")
async def dashboard(visitor: SignedIn, name: str, hours: int = 1) -> Response:
    return _page(visitor, name, hours, _names(visitor))


@router.get("/live/dashboards/{name}")
async def live_dashboard(visitor: SignedIn, name: str, hours: int = 1) -> Response:
    return visitor.live("dashboard_live.html", **_values(visitor, name, hours))


def _names(visitor: Visitor) -> Sequence[str]:
    return [one["name"] for one in visitor.api.get("/dashboards")["items"]]


def _page(visitor: Visitor, name: str, hours: int, names: Sequence[str]) -> Response:
    if name not in names:
        raise ApiProblem(404, {"detail": "There is no dashboard with this name."})
    return visitor.page("dashboard.html", seen="", names=names, choices=HOURS, **_values(visitor, name, hours))


def _values(visitor: Visitor, name: str, hours: int) -> dict[str, Any]:
    hours = hours if hours in HOURS else HOURS[0]
    shown = visitor.api.get(f"/dashboards/{name}", hours=hours)
    return {"name": name, "hours": hours, "panels": [_chart(panel) for panel in shown["panels"]]}


def _chart(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Return a panel with an SVG path for each of its lines, and their latest values."""
    lines = [
        {"label": one["label"], "points": [(_seconds(point["at"]), point["value"]) for point in one["points"]]}
        for one in panel["series"]
    ]
    lines = sorted(lines, key=lambda line: -max((value for _, value in line["points"]), default=0.0))
    points = [point for line in lines for point in line["points"]]
    top = max((value for _, value in points), default=0.0)
    first, last = min((at for at, _ in points), default=0.0), max((at for at, _ in points), default=0.0)
    return {
        "title": panel["title"],
        "error": panel["error"],
        "alarms": panel["alarms"],
        "shows_number": panel["shows_number"],
        "top": top,
        "more": max(0, len(lines) - _MAX_LINES),
        "lines": [
            {
                "label": line["label"],
                "last": line["points"][-1][1] if line["points"] else None,
                "path": _path(line["points"], first, last, top),
            }
            for line in lines[:_MAX_LINES]
        ],
    }


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _path(points: Sequence[tuple[float, float]], first: float, last: float, top: float) -> str:
    """Return an SVG path. Where a value is missing, the line is interrupted."""
    steps = sorted(later - earlier for (earlier, _), (later, _) in pairwise(points))
    # The most usual distance of two points is one period.
    longest = 1.5 * steps[len(steps) // 2] if steps else 0.0
    parts: list[str] = []
    before: float | None = None
    for at, value in points:
        x = _WIDTH * (at - first) / (last - first) if last > first else 0.0
        y = _HEIGHT - (value / top * _HEIGHT if top > 0 else 0.0)
        is_joined = before is not None and at - before <= longest
        # A point without neighbours would be invisible without a length.
        parts.append(f"{'L' if is_joined else 'M'}{x:.1f} {y:.1f}h.01")
        before = at
    return "".join(parts)
