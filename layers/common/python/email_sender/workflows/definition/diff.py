"""Compare two versions of a workflow definition."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """The differences between two versions of a definition.

    `added` and `removed` are step ids. `changed` maps step ids to the names of their changed fields. `fields` are the
    changed fields of the definition itself. `text` is a unified diff of both versions as JSON, with three lines of
    context.
    """

    added: Sequence[str]
    removed: Sequence[str]
    changed: Mapping[str, Sequence[str]]
    fields: Sequence[str] = field(default_factory=tuple)
    text: str = ""


def compare_definitions(before: Mapping[str, Any], after: Mapping[str, Any], labels: tuple[str, str]) -> Difference:
    """Compare two definitions. `labels` name the two versions in the unified diff."""
    old, new = _steps(before), _steps(after)
    changed = {step: _fields(old[step], new[step]) for step in new if step in old}
    lines = difflib.unified_diff(_lines(before), _lines(after), *labels, lineterm="")
    return Difference(
        added=[step for step in new if step not in old],
        removed=[step for step in old if step not in new],
        changed={step: fields for step, fields in changed.items() if fields},
        fields=[field_name for field_name in _fields(before, after) if field_name != "steps"],
        text="\n".join(lines),
    )


def _steps(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(step["id"]): step for step in definition["steps"]}


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    absent = object()
    return sorted(key for key in {*before, *after} if before.get(key, absent) != after.get(key, absent))


def _lines(definition: Mapping[str, Any]) -> list[str]:
    return json.dumps(definition, indent=2, ensure_ascii=False).splitlines()
