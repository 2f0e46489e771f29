"""python -m benchmarks: measure, side by side with what is beneath; print, and write .local/bench.json.

Each figure is a median of several runs, made in this run and no other. A measure that did not run
says so. FULL=1 searches 100,000 points instead of 10,000.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import bulk, compiling, events, functions, vectors
from local.layout import ROOT


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio` is value / compared_value; `met` compares it, or the value where nothing is compared."""

    measure: str
    value: float | None
    unit: str
    compared_with: str
    compared_value: float | None
    at_least: float | None = None
    at_most: float | None = None
    runs: int = 5

    @property
    def ratio(self) -> float | None:
        if self.value is None or not self.compared_value:
            return None
        return self.value / self.compared_value

    @property
    def met(self) -> bool | None:
        judged = self.ratio if self.compared_value is not None else self.value
        if judged is None or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or judged >= self.at_least) and (self.at_most is None or judged <= self.at_most)

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def rows(scratch: Path) -> list[Row]:
    found: list[Row] = []
    for name, measured in (("functions", functions.measure), ("compiling", compiling.measure)):
        found += _safely(name, measured)
    for name, with_servers in (
        ("events", events.measure),
        ("vectors", vectors.measure),
        ("bulk", bulk.measure),
        ("memory", bulk.measure_memory),
    ):
        (scratch / name).mkdir()
        found += _safely(name, with_servers, scratch / name)
    return found


def _safely[**P](name: str, measure: Callable[P, list[dict[str, Any]]], *args: P.args, **kwargs: P.kwargs) -> list[Row]:
    """A bench that breaks says so, and the others go on."""
    try:
        return [Row(**each) for each in measure(*args, **kwargs)]
    except Exception as error:
        return [Row(f"{name}: did not run: {type(error).__name__}: {error}", None, "", "", None, runs=0)]


def main() -> int:
    console = Console(width=150)
    load = os.getloadavg()[0]
    console.print(f"{os.cpu_count()} cores, load {load:.1f} before")
    with tempfile.TemporaryDirectory() as scratch:
        found = rows(Path(scratch))
    table = Table("measure", "value", "unit", "compared with", "its value", "ratio", "wanted", "met", "runs")
    for row in found:
        wanted = f"≥ {row.at_least}" if row.at_least is not None else f"≤ {row.at_most}" if row.at_most else ""
        table.add_row(
            row.measure, _number(row.value), row.unit, row.compared_with, _number(row.compared_value),
            _number(row.ratio), wanted, {True: "yes", False: "no", None: ""}[row.met], str(row.runs),
        )  # fmt: skip
    console.print(table)
    target = ROOT / ".local/bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([row.as_json() for row in found], indent=1) + "\n")
    return 0


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
