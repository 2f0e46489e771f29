"""What is different between two versions of a definition."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """Steps by id; of a changed one, which of its fields. `fields` are those of the definition itself.

    `text` is a unified diff (three lines of context) of both as JSON.
    """

    added: Sequence[str]
    removed: Sequence[str]
    changed: Mapping[str, Sequence[str]]
    fields: Sequence[str] = field(default_factory=tuple)
    text: str = ""


def difference(before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, str]) -> Difference:
    """`names` head the text: which version is which."""
    old, new = _steps(before), _steps(after)
    changed = {step: _fields(old[step], new[step]) for step in new if step in old}
    lines = difflib.unified_diff(_lines(before), _lines(after), *names, lineterm="")
    return Difference(
        added=[step for step in new if step not in old],
        removed=[step for step in old if step not in new],
        changed={step: fields for step, fields in changed.items() if fields},
        fields=[each for each in _fields(before, after) if each != "steps"],
        text="\n".join(lines),
    )


def _steps(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(step["id"]): step for step in definition["steps"]}


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    absent = object()
    return sorted(key for key in {*before, *after} if before.get(key, absent) != after.get(key, absent))


def _lines(definition: Mapping[str, Any]) -> list[str]:
    return json.dumps(definition, indent=2, ensure_ascii=False).splitlines()
