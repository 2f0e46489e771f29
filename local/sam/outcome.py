"""What a run of the samples came to."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.sam.images import Image


@dataclass(frozen=True, slots=True)
class Tried:
    """One invocation or request. `difference` says what was otherwise than expected; None where nothing was."""

    name: str
    seconds: float
    difference: str | None = None

    def __str__(self) -> str:
        line = f"{'ok  ' if self.difference is None else 'FAIL'} {self.name:34} {self.seconds:5.1f} s"
        return line if self.difference is None else f"{line}\n     {self.difference}"


@dataclass(slots=True)
class Outcome:
    """What was tried on which image, and what was not, with its reason."""

    image: Image
    engine: str
    tried: list[Tried] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> list[Tried]:
        return [each for each in self.tried if each.difference is not None]

    @property
    def passed(self) -> bool:
        return bool(self.tried) and not self.failed

    def lines(self) -> list[str]:
        """The report, for a person."""
        lines = [
            f"image      {self.image.shown}",
            f"engine     Docker {self.engine}",
            f"as expected {len(self.tried) - len(self.failed)} of {len(self.tried)}",
        ]
        if self.image.why is not None:
            lines.append(f"not tried  AWS's own image: {self.image.why}")
        lines += [f"not run    {name}: {why}" for name, why in self.not_run.items()]
        lines += [f"failed     {each.name}: {each.difference}" for each in self.failed]
        return lines

    def write(self, path: Path) -> None:
        """The same as JSON."""
        content = {**asdict(self), "passed": self.passed}
        path.write_text(json.dumps(content, indent=2) + "\n")
