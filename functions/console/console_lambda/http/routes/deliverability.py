"""How the mail fared, by week and workflow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.http.visitor import SignedIn

router = page_router()
_NOT_SENT = ("queued", "sending", "rejected", "suppressed")


@router.get("/deliverability")
async def deliverability(visitor: SignedIn, weeks: int = 12) -> Response:
    weeks = min(max(weeks, 1), 53)
    statistics = visitor.api.get("/emails/statistics", weeks=weeks)
    rows = [_row(week) for week in statistics["items"]]
    by_week: dict[str, Counter[str]] = {}
    for row in rows:
        by_week.setdefault(row["week"], Counter()).update(row["counts"])
    for week, count in statistics["unsubscribed"].items():
        by_week.setdefault(week, Counter())["unsubscribed"] += count
    totals: Counter[str] = sum(by_week.values(), Counter())
    return visitor.page(
        "deliverability.html",
        weeks=weeks,
        rows=rows,
        totals=totals,
        chart=_chart(by_week),
        replies=sum((Counter(week["replies"]) for week in statistics["items"]), Counter()),
        bounces=sum((Counter(week["bounces"]) for week in statistics["items"]), Counter()),
    )


def _row(week: Mapping[str, Any]) -> dict[str, Any]:
    statuses = week["statuses"]
    counts = Counter(
        sent=sum(count for status, count in statuses.items() if status not in _NOT_SENT),
        delivered=statuses.get("delivered", 0) + statuses.get("complained", 0),
        bounced=statuses.get("bounced", 0),
        complained=statuses.get("complained", 0),
        replied=week["replies"].get("person", 0),
        suppressed=statuses.get("suppressed", 0),
    )
    return {"week": week["week"], "workflow": week["workflow"], "workflow_id": week["workflow_id"], "counts": counts}


def _chart(by_week: Mapping[str, Counter[str]]) -> Sequence[Mapping[str, Any]]:
    """Return the bars of each week, with heights of at most 100."""
    most = max((counts["sent"] for counts in by_week.values()), default=0) or 1
    names = ("sent", "replied", "bounced")
    return [
        {
            "week": week,
            "bars": [{"name": name, "count": counts[name], "height": 100 * counts[name] / most} for name in names],
        }
        for week, counts in sorted(by_week.items())
    ]
