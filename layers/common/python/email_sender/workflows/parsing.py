"""Read a definition: the whole document, its name, inputs and settings. Steps are read in steps.py."""

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

from email_sender.errors import InvalidInput, Problem
from email_sender.workflows.catalogue import Catalogue
from email_sender.workflows.definition import MAX_BYTES, Definition
from email_sender.workflows.durations import YEAR
from email_sender.workflows.expressions import ExpressionChecker
from email_sender.workflows.graph import levels
from email_sender.workflows.reading import Findings, join
from email_sender.workflows.steps import read_steps
from email_sender.workflows.triggers import missing_inputs, read_triggers

_KEYS = frozenset({"name", "description", "inputs", "triggers", "settings", "steps"})
_DEPTH = 24
_NODES = 50_000
_WEEK = 7 * 86_400


class SchemaChecker(Protocol):
    def check(self, schema: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with a JSON Schema, pointers relative to it."""


def parse_definition(
    raw: Mapping[str, Any],
    catalogue: Catalogue,
    expressions: ExpressionChecker,
    schemas: SchemaChecker | None = None,
) -> Definition:
    """Return the definition, or raise InvalidInput with every problem found.

    `raw` is parsed JSON or YAML; it is not changed. Without `schemas` the `inputs` are kept as they are, but for
    references that lead outside the document.
    """
    found = Findings()
    _refuse_bombs(raw, found)
    if found.problems:
        raise _refused(found)
    found.keys(raw, "", _KEYS, ("name", "steps"))
    name = found.text(raw["name"], "/name", 100) if "name" in raw else None
    description = found.text(raw["description"], "/description", 2_000) if raw.get("description") else ""
    inputs = _inputs(raw.get("inputs", {}), schemas, found)
    triggers = read_triggers(raw.get("triggers", []), found)
    timeout = _timeout(raw.get("settings", {}), found)
    steps = read_steps(raw["steps"], catalogue, expressions, found) if "steps" in raw else {}
    if found.problems:
        raise _refused(found)
    for number, trigger in enumerate(triggers):
        for each in missing_inputs(trigger, inputs):
            found.add(f"/triggers/{number}", f"its runs would have no {each!r}: give it in this trigger's inputs")
    if found.problems:
        raise _refused(found)
    rows = levels({step.id: step.after for step in steps.values()})
    return Definition(
        name=name or "",
        description=description or "",
        inputs=inputs,
        triggers=triggers,
        timeout_seconds=timeout,
        steps=steps,
        levels=tuple(tuple(row) for row in rows),
    )


def _refused(found: Findings) -> InvalidInput:
    count = len(found.problems)
    return InvalidInput(f"the workflow has {'a problem' if count == 1 else f'{count} problems'}", found.problems)


def _timeout(settings: object, found: Findings) -> int:
    known = found.mapping(settings, "/settings")
    if known is None:
        return _WEEK
    found.keys(known, "/settings", {"timeout"}, ())
    return found.duration(known.get("timeout", "P7D"), "/settings/timeout", 1, YEAR, default=_WEEK)


def _inputs(value: object, schemas: SchemaChecker | None, found: Findings) -> Mapping[str, Any]:
    schema = found.mapping(value, "/inputs")
    if schema is None:
        return {}
    if schema.get("type", "object") != "object":
        found.add("/inputs/type", "must be 'object': a run's inputs are named values")
    _refuse_outside_references(schema, "/inputs", found)
    for problem in schemas.check(schema) if schemas else ():
        found.add(f"/inputs{problem.pointer}", problem.message)
    return schema


def _refuse_outside_references(value: object, pointer: str, found: Findings) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("$ref", "$dynamicRef") and isinstance(inner, str) and not inner.startswith("#"):
                found.add(join(pointer, key), "must stay inside this schema and begin with '#'")
            _refuse_outside_references(inner, join(pointer, key), found)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_outside_references(inner, join(pointer, index), found)


def _refuse_bombs(raw: object, found: Findings) -> None:
    """First, so that nothing after it can recurse too deep or expand YAML's shared nodes without end."""
    if not isinstance(raw, Mapping):
        found.add("", "a workflow must be an object with name and steps")
        return
    nodes = 0
    stack: list[tuple[object, str, int]] = [(raw, "", 0)]
    while stack:
        value, pointer, depth = stack.pop()
        nodes += 1
        if depth > _DEPTH:
            found.add("", f"is nested deeper than {_DEPTH} levels")
            return
        if nodes > _NODES:
            found.add("", f"has more than {_NODES} values")
            return
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):
                    found.add(pointer, f"the key {key!r} must be a text: put it in quotes")
                else:
                    stack.append((inner, join(pointer, key), depth + 1))
        elif isinstance(value, list | tuple):
            stack.extend((inner, join(pointer, index), depth + 1) for index, inner in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            found.add(pointer, "must be a finite number")
        elif value is not None and not isinstance(value, str | int | float):
            found.add(pointer, f"a {type(value).__name__} is not a JSON value: put it in quotes")
    if not found.problems and (size := len(json.dumps(raw, ensure_ascii=False).encode("utf-8", "replace"))) > MAX_BYTES:
        found.add("", f"has {size} bytes, and a workflow may have {MAX_BYTES}")
