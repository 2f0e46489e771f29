"""python -m benchmarks: compare each part with the software below it, print a table and write .local/bench.json.

Each figure is the median of several runs of this invocation. A benchmark that failed has a row with its error.
FULL=1 searches 100,000 points instead of 10,000.
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

from benchmarks import bulk, compiling, embedding, events, functions, mailbox, sandbox, steps, vectors
from local.layout import ROOT


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure. `ratio` is value / compared_value.

    The limits `at_least` and `at_most` apply to the ratio, or to the value if there is no compared value.
    """

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
    def is_met(self) -> bool | None:
        figure = self.ratio if self.compared_value is not None else self.value
        if figure is None or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or figure >= self.at_least) and (self.at_most is None or figure <= self.at_most)

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio, "met": self.is_met}


def collect_rows(scratch: Path) -> list[Row]:
    results: list[Row] = []
    for name, measure in (
        ("functions", functions.measure),
        ("compiling", compiling.measure),
        ("sandbox", sandbox.measure),
        ("embedding", embedding.measure),
    ):
        results += _safely(name, measure)
    for name, measure_with_servers in (
        ("events", events.measure),
        ("vectors", vectors.measure),
        ("bulk", bulk.measure),
        ("memory", bulk.measure_memory),
        ("mailbox", mailbox.measure),
        ("steps", steps.measure),
    ):
        (scratch / name).mkdir()
        results += _safely(name, measure_with_servers, scratch / name)
    return results


def _safely[**P](name: str, measure: Callable[P, list[dict[str, Any]]], *args: P.args, **kwargs: P.kwargs) -> list[Row]:
    """Return the rows of a benchmark, or one row with its error, so that the other benchmarks still run."""
    try:
        return [Row(**fields) for fields in measure(*args, **kwargs)]
    except Exception as error:
        return [Row(f"{name}: did not run: {type(error).__name__}: {error}", None, "", "", None, runs=0)]


def main() -> int:
    console = Console(width=150)
    load = os.getloadavg()[0]
    console.print(f"{os.cpu_count()} cores, load average {load:.1f} before the benchmarks")
    with tempfile.TemporaryDirectory() as scratch:
        results = collect_rows(Path(scratch))
    table = Table("measure", "value", "unit", "compared with", "compared value", "ratio", "target", "met", "runs")
    for row in results:
        target_value = f"≥ {row.at_least}" if row.at_least is not None else f"≤ {row.at_most}" if row.at_most else ""
        table.add_row(
            row.measure, _number(row.value), row.unit, row.compared_with, _number(row.compared_value),
            _number(row.ratio), target_value, {True: "yes", False: "no", None: ""}[row.is_met], str(row.runs),
        )  # fmt: skip
    console.print(table)
    target = ROOT / ".local/bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([row.as_json() for row in results], indent=1) + "\n")
    return 0


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
