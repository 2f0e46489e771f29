"""The report of a day: what the platform promised and what it did. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

# Objectives: docs/reliability.md.
_ANSWERED_PERCENT, _LATENCY_MS, _RUNS_PERCENT = 99.9, 100.0, 99.0


@dataclass(frozen=True, slots=True)
class DayFigures:
    """A figure is None if nothing was measured. `latency_ms` is the 95th percentile of the API."""

    requests: float | None
    failed_requests: float | None
    latency_ms: float | None
    runs: Mapping[str, float]
    manager_failures: float | None
    sent: float | None
    bounced: float | None
    complained: float | None


def write_report(stage: str, day: date, figures: DayFigures) -> str:
    """Return the report as text: a line for each figure, marked if it misses its objective."""
    requests, failed = figures.requests or 0, figures.failed_requests or 0
    answered = 100 * (1 - failed / requests) if requests else None
    succeeded, ended = figures.runs.get("succeeded", 0), sum(figures.runs.values())
    success = 100 * succeeded / ended if ended else None
    lines = [
        f"Email Sender, {stage}, {day.isoformat()} (UTC)",
        "",
        _line("Requests", f"{requests:,.0f}"),
        _line("answered", _percent(answered), missed=answered is not None and answered < _ANSWERED_PERCENT),
        _line(
            "95th percentile",
            "-" if figures.latency_ms is None else f"{figures.latency_ms:.0f} ms",
            missed=figures.latency_ms is not None and figures.latency_ms > _LATENCY_MS,
        ),
        _line("Runs that ended", f"{ended:,.0f}"),
        _line("succeeded", _percent(success), missed=success is not None and success < _RUNS_PERCENT),
        _line("Managers that failed", f"{figures.manager_failures or 0:.0f}", missed=bool(figures.manager_failures)),
        _line("Emails sent", f"{figures.sent or 0:,.0f}"),
        _line("bounced", f"{figures.bounced or 0:,.0f}"),
        _line("reported as spam", f"{figures.complained or 0:,.0f}"),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, value: str, *, missed: bool = False) -> str:
    return f"{name:<22}{value:>12}" + ("   missed" if missed else "")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} %"
