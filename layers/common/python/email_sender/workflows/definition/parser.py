"""Parse a workflow definition: the document, its name, inputs and settings. steps.py reads the steps."""

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

from email_sender.errors import InvalidInput, Problem
from email_sender.workflows.action_model import Catalogue
from email_sender.workflows.definition.document import DocumentReader, join_pointer
from email_sender.workflows.definition.durations import YEAR
from email_sender.workflows.definition.expressions import ExpressionChecker
from email_sender.workflows.definition.graph import compute_levels
from email_sender.workflows.definition.model import MAX_BYTES, Definition
from email_sender.workflows.definition.step_reader import read_steps
from email_sender.workflows.triggers.parser import missing_inputs, read_triggers

_KEYS = frozenset({"name", "description", "inputs", "triggers", "settings", "steps"})
_MAX_DEPTH = 24
_MAX_NODES = 50_000
_DEFAULT_TIMEOUT_SECONDS = 7 * 86_400


class SchemaChecker(Protocol):
    def check(self, schema: Mapping[str, Any]) -> list[Problem]:
        """Return the problems of a JSON Schema, with pointers relative to it."""


def parse_definition(
    raw: Mapping[str, Any],
    catalogue: Catalogue,
    expressions: ExpressionChecker,
    schemas: SchemaChecker | None = None,
) -> Definition:
    """Parse and validate a definition.

    `raw` is parsed JSON or YAML; it is not changed. Without `schemas`, the JSON Schema in `inputs` is checked only for
    references outside the document.

    Raises:
        InvalidInput: with every problem of the definition.
    """
    reader = DocumentReader()
    _reject_oversized(raw, reader)
    if reader.problems:
        raise _invalid_workflow(reader)
    reader.check_keys(raw, "", _KEYS, ("name", "steps"))
    name = reader.read_text(raw["name"], "/name", 100) if "name" in raw else None
    description = reader.read_text(raw["description"], "/description", 2_000) if raw.get("description") else ""
    inputs = _inputs(raw.get("inputs", {}), schemas, reader)
    triggers = read_triggers(raw.get("triggers", []), reader)
    timeout = _timeout(raw.get("settings", {}), reader)
    steps = read_steps(raw["steps"], catalogue, expressions, reader) if "steps" in raw else {}
    if reader.problems:
        raise _invalid_workflow(reader)
    for number, trigger in enumerate(triggers):
        for input_name in missing_inputs(trigger, inputs):
            reader.report(
                f"/triggers/{number}",
                f"its runs would lack the required input {input_name!r}; add it to this trigger's inputs",
            )
    if reader.problems:
        raise _invalid_workflow(reader)
    rows = compute_levels({step.id: step.after for step in steps.values()})
    return Definition(
        name=name or "",
        description=description or "",
        inputs=inputs,
        triggers=triggers,
        timeout_seconds=timeout,
        steps=steps,
        levels=tuple(tuple(row) for row in rows),
    )


def _invalid_workflow(reader: DocumentReader) -> InvalidInput:
    count = len(reader.problems)
    return InvalidInput(f"The workflow has {'a problem' if count == 1 else f'{count} problems'}.", reader.problems)


def _timeout(settings: object, reader: DocumentReader) -> int:
    values = reader.read_mapping(settings, "/settings")
    if values is None:
        return _DEFAULT_TIMEOUT_SECONDS
    reader.check_keys(values, "/settings", {"timeout"}, ())
    return reader.read_duration(
        values.get("timeout", "P7D"), "/settings/timeout", 1, YEAR, default=_DEFAULT_TIMEOUT_SECONDS
    )


def _inputs(value: object, schemas: SchemaChecker | None, reader: DocumentReader) -> Mapping[str, Any]:
    schema = reader.read_mapping(value, "/inputs")
    if schema is None:
        return {}
    if schema.get("type", "object") != "object":
        reader.report("/inputs/type", "must be 'object', because a run's inputs are named values")
    _reject_external_references(schema, "/inputs", reader)
    for problem in schemas.check(schema) if schemas else ():
        reader.report(f"/inputs{problem.pointer}", problem.message)
    return schema


def _reject_external_references(value: object, pointer: str, reader: DocumentReader) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("$ref", "$dynamicRef") and isinstance(inner, str) and not inner.startswith("#"):
                reader.report(
                    join_pointer(pointer, key), "must begin with '#': references outside this schema are not allowed"
                )
            _reject_external_references(inner, join_pointer(pointer, key), reader)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _reject_external_references(inner, join_pointer(pointer, index), reader)


def _reject_oversized(raw: object, reader: DocumentReader) -> None:
    """Reject oversized documents first, so that later code cannot recurse too deeply or expand shared YAML nodes."""
    if not isinstance(raw, Mapping):
        reader.report("", "a workflow must be an object with name and steps")
        return
    nodes = 0
    stack: list[tuple[object, str, int]] = [(raw, "", 0)]
    while stack:
        value, pointer, depth = stack.pop()
        nodes += 1
        if depth > _MAX_DEPTH:
            reader.report("", f"is nested deeper than {_MAX_DEPTH} levels")
            return
        if nodes > _MAX_NODES:
            reader.report("", f"has more than {_MAX_NODES} values")
            return
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):
                    reader.report(pointer, f"the key {key!r} must be a string: put it in quotes")
                else:
                    stack.append((inner, join_pointer(pointer, key), depth + 1))
        elif isinstance(value, list | tuple):
            stack.extend((inner, join_pointer(pointer, index), depth + 1) for index, inner in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            reader.report(pointer, "must be a finite number")
        elif value is not None and not isinstance(value, str | int | float):
            reader.report(pointer, f"a {type(value).__name__} is not a JSON value: put it in quotes")
    if (
        not reader.problems
        and (size := len(json.dumps(raw, ensure_ascii=False).encode("utf-8", "replace"))) > MAX_BYTES
    ):
        reader.report("", f"has {size} bytes; the maximum is {MAX_BYTES} bytes")
