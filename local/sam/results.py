"""The results of a run of the samples."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.sam.images import Image


@dataclass(frozen=True, slots=True)
class SampleResult:
    """One invocation or request. `difference` describes an unexpected result; None if it was as expected."""

    name: str
    seconds: float
    difference: str | None = None

    def __str__(self) -> str:
        line = f"{'ok  ' if self.difference is None else 'FAIL'} {self.name:34} {self.seconds:5.1f} s"
        return line if self.difference is None else f"{line}\n     {self.difference}"


@dataclass(slots=True)
class Outcome:
    """The results on one image, and the reasons for what was not run."""

    image: Image
    engine: str
    tried: list[SampleResult] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> list[SampleResult]:
        return [result for result in self.tried if result.difference is not None]

    @property
    def passed(self) -> bool:
        return bool(self.tried) and not self.failed

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        lines = [
            f"image      {self.image.label}",
            f"engine     Docker {self.engine}",
            f"as expected {len(self.tried) - len(self.failed)} of {len(self.tried)}",
        ]
        if self.image.why is not None:
            lines.append(f"not used   AWS's own image: {self.image.why}")
        lines += [f"not run    {name}: {reason}" for name, reason in self.not_run.items()]
        lines += [f"failed     {result.name}: {result.difference}" for result in self.failed]
        return lines

    def write(self, path: Path) -> None:
        """Write the results as JSON."""
        content = {**asdict(self), "passed": self.passed}
        path.write_text(json.dumps(content, indent=2) + "\n")
