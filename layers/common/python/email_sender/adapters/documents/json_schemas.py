"""Validate values and JSON Schemas (draft 2020-12) that users provide, in bounded time.

Implements workflows.ports.InputChecker and workflows.definition.parser.SchemaChecker. A tenant's schema must not occupy
a function that serves others: patterns run in linear time (RE2), equal elements are found by their text, and a
validation has a budget, because references can multiply each other. The budget counts work and not time, so that the
same value always has the same answer: on a busy machine, or during a garbage collection, a simple value takes long too.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from email_sender.errors import Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_MAX_PROBLEMS = 20
# Keywords whose content is no schema.
_VALUES = frozenset({"const", "default", "enum", "examples"})
# A unit is one keyword applied to one small value: about 3 microseconds. An array of 10,000 objects with five typed
# properties each takes 70,000.
BUDGET = 250_000
_TOO_COMPLEX = Problem("", f"The check takes more than {BUDGET:,} steps. The schema or the value is too complex.")

type Keyword = Callable[[Any, Any, Any, Any], Iterator["ValidationError"] | None]


class _BudgetExceeded(Exception):
    pass


class JsonSchemaChecker:
    def problems(self, schema: Mapping[str, Any], value: Any) -> Sequence[Problem]:
        """Return the problems of a value. A value whose check exceeds the budget has a problem too."""
        from referencing import Registry

        # A schema that was stored under older rules.
        if unsupported := list(_unsupported(schema, ""))[:_MAX_PROBLEMS]:
            return unsupported
        # The empty registry prevents the library from fetching referenced schemas from the network.
        validator = _validator_class(BUDGET)(dict(schema), registry=Registry())
        problems = []
        try:
            for error in validator.iter_errors(value):
                problems.append(_problem(error))
                if len(problems) == _MAX_PROBLEMS:
                    break
        except (_BudgetExceeded, RecursionError):
            return [*problems, _TOO_COMPLEX]
        return problems

    def check(self, schema: Mapping[str, Any]) -> list[Problem]:
        """Return the problems of a schema."""
        from jsonschema import Draft202012Validator

        meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
        problems = [_problem(error) for error in meta.iter_errors(dict(schema))][:_MAX_PROBLEMS]
        return problems or list(_unsupported(schema, ""))[:_MAX_PROBLEMS]


def _validator_class(budget: int) -> type["Validator"]:
    """Return a validator that stops between two keywords when the budget is used up."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    left = budget

    def bounded(keyword: Keyword) -> Keyword:
        def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator["ValidationError"] | None:
            nonlocal left
            left -= _cost(value, instance)
            if left < 0:
                raise _BudgetExceeded
            return keyword(validator, value, instance, schema)

        return check

    keywords: dict[str, Keyword] = {**Draft202012Validator.VALIDATORS, **_LINEAR}
    extended: type[Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {name: bounded(check) for name, check in keywords.items()}
    )
    return extended


def _cost(value: Any, instance: Any) -> int:
    """Return the units of one keyword: a pattern reads the whole text, and `enum` compares with each of its values."""
    alternatives = len(value) if isinstance(value, list | dict) else 1
    size = len(instance) if isinstance(instance, str | list | dict) else 1
    return 1 + alternatives * size // 100


def _pattern(_validator: Any, pattern: Any, instance: Any, _schema: Any) -> Iterator["ValidationError"]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not _compile(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, properties: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator["ValidationError"]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in properties.items():
        for name, value in instance.items():
            if _compile(pattern).search(name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator["ValidationError"]:
    from jsonschema.exceptions import ValidationError

    if not isinstance(instance, dict):
        return
    patterns = [_compile(pattern) for pattern in schema.get("patternProperties", {})]
    known = schema.get("properties", {})
    extra = [name for name in instance if name not in known and not any(pattern.search(name) for pattern in patterns)]
    if isinstance(allowed, dict):
        for name in extra:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extra:
        names = ", ".join(repr(name) for name in extra)
        yield ValidationError(f"Additional properties are not allowed ({names})")


def _unique_items(_validator: Any, unique: Any, instance: Any, _schema: Any) -> Iterator["ValidationError"]:
    from jsonschema.exceptions import ValidationError

    if unique and isinstance(instance, list):
        texts = {json.dumps(_numbers_as_floats(element), sort_keys=True) for element in instance}
        if len(texts) < len(instance):
            yield ValidationError("The array has equal elements.")


# Keywords that the library checks by backtracking, or by comparing each element with each other.
_LINEAR: Mapping[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}


def _numbers_as_floats(value: Any) -> Any:
    """1 and 1.0 are equal in JSON Schema; true and 1 are not."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**53 else value
    if isinstance(value, list):
        return [_numbers_as_floats(element) for element in value]
    if isinstance(value, dict):
        return {name: _numbers_as_floats(element) for name, element in value.items()}
    return value


@cache
def _options() -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    return options


def _compile(pattern: str) -> Any:
    import re2

    return re2.compile(pattern, _options())


def _unsupported(schema: Any, pointer: str) -> Iterator[Problem]:
    """Yield a problem for each regular expression that RE2 does not have, such as look-around and back-references."""
    import re2

    if isinstance(schema, list):
        for number, element in enumerate(schema):
            yield from _unsupported(element, f"{pointer}/{number}")
        return
    if not isinstance(schema, dict):
        return
    properties = schema.get("patternProperties")
    patterns = [(f"{pointer}/patternProperties", name) for name in properties] if isinstance(properties, dict) else []
    if patterns and "unevaluatedProperties" in schema:
        # The library looks for these by backtracking.
        yield Problem(pointer, "unevaluatedProperties is not supported beside patternProperties.")
    if isinstance(schema.get("pattern"), str):
        patterns.append((f"{pointer}/pattern", schema["pattern"]))
    for where, pattern in patterns:
        try:
            _compile(pattern)
        except re2.error as error:
            reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
            yield Problem(where, f"The pattern {pattern!r} is not supported: {reason} (RE2 syntax).")
    for name, element in schema.items():
        if name not in _VALUES:
            yield from _unsupported(element, f"{pointer}/{name}")


def _problem(error: "ValidationError") -> Problem:
    return Problem("".join(f"/{part}" for part in error.absolute_path), error.message)
