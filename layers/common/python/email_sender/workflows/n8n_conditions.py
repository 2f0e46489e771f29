"""The conditions of n8n's if, filter and switch, in both shapes that exports have."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from email_sender.workflows.n8n_expressions import Untranslatable

# A parameter's value as JSONata over $json.
type Value = Callable[[object], str]

_COMPARED: Final[Mapping[str, str]] = {
    "equals": "=", "equal": "=", "notEquals": "!=", "notEqual": "!=", "gt": ">", "larger": ">", "gte": ">=",
    "largerEqual": ">=", "lt": "<", "smaller": "<", "lte": "<=", "smallerEqual": "<=", "after": ">", "before": "<",
}  # fmt: skip


def condition(raw: object, combine: object, value: Value) -> str:
    """One truth, of `conditions` as newer versions write them or as older ones do.

    Raises:
        Untranslatable: naming what has no exact counterpart.
    """
    if not isinstance(raw, dict):
        raise Untranslatable("it has no conditions")
    if isinstance(raw.get("conditions"), list):
        options = raw.get("options")
        if isinstance(options, dict) and options.get("caseSensitive") is False:
            raise Untranslatable("a comparison that ignores case")
        parts = [_newer(each, value) for each in raw["conditions"]]
        joined = "or" if raw.get("combinator") == "or" else "and"
    else:
        parts = [
            _test(kind, each.get("operation", "equal"), value(each.get("value1")), each.get("value2"), value)
            for kind, entries in raw.items()
            for each in (entries if isinstance(entries, list) else ())
            if isinstance(each, dict)
        ]
        joined = "or" if combine == "any" else "and"
    if not parts:
        raise Untranslatable("it has no conditions")
    return "(" + f" {joined} ".join(parts) + ")"


def _newer(raw: object, value: Value) -> str:
    if not isinstance(raw, dict) or not isinstance(raw.get("operator"), dict):
        raise Untranslatable("a condition without an operator")
    operator = raw["operator"]
    left = value(raw.get("leftValue"))
    return _test(str(operator.get("type")), operator.get("operation"), left, raw.get("rightValue"), value)


def _test(kind: str, operation: object, left: str, right: object, value: Value) -> str:
    if operation in ("exists", "notExists"):
        return _not(f"$exists({left})", operation == "notExists")
    if operation in ("empty", "isEmpty", "notEmpty", "isNotEmpty"):
        # A text, a list and an object are empty alike, and so is what is not there.
        return _not(f"$not($boolean({left}))", operation in ("notEmpty", "isNotEmpty"))
    if operation in ("true", "false"):
        return f"({left} = {operation})"
    other = _right(kind, right, value)
    if operation in _COMPARED:
        return f"({left} {_COMPARED[str(operation)]} {other})"
    if operation in ("contains", "notContains") and kind == "string":
        return _not(f"$contains($string({left}), {other})", operation == "notContains")
    if operation in ("contains", "notContains") and kind == "array":
        return _not(f"({other} in {left})", operation == "notContains")
    if operation in ("startsWith", "notStartsWith") and kind == "string":
        return _not(f"($substring({left}, 0, $length({other})) = {other})", operation == "notStartsWith")
    if operation in ("endsWith", "notEndsWith") and kind == "string":
        return _not(f"($substring({left}, -$length({other})) = {other})", operation == "notEndsWith")
    raise Untranslatable(f"the comparison {str(operation)[:40]!r} of a {kind[:40]}")


def _not(test: str, negated: bool) -> str:
    return f"$not({test})" if negated else test


def _right(kind: str, right: Any, value: Value) -> str:
    """A number may stand in a field as text."""
    if kind == "number" and isinstance(right, str) and not right.startswith("="):
        try:
            number = float(right)
        except ValueError:
            raise Untranslatable(f"{right[:40]!r} is no number") from None
        return value(int(number) if number.is_integer() else number)
    return value(right)
