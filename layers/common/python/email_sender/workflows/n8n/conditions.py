"""Translates the conditions of n8n's if, filter and switch nodes, in the current and in the older export format."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from email_sender.workflows.n8n.expressions import Untranslatable

# Translates a parameter's value into JSONata over $json.
type Value = Callable[[object], str]

_COMPARISON_OPERATORS: Final[Mapping[str, str]] = {
    "equals": "=", "equal": "=", "notEquals": "!=", "notEqual": "!=", "gt": ">", "larger": ">", "gte": ">=",
    "largerEqual": ">=", "lt": "<", "smaller": "<", "lte": "<=", "smallerEqual": "<=", "after": ">", "before": "<",
}  # fmt: skip


def translate_conditions(raw: object, combine: object, value: Value) -> str:
    """Return the JSONata of one condition for `conditions` in the current or the older format.

    Raises:
        Untranslatable: a condition has no exact counterpart; the message names it.
    """
    if not isinstance(raw, dict):
        raise Untranslatable("it has no conditions")
    if isinstance(raw.get("conditions"), list):
        options = raw.get("options")
        if isinstance(options, dict) and options.get("caseSensitive") is False:
            raise Untranslatable("comparisons that ignore case are not supported")
        parts = [_translate_condition(entry, value) for entry in raw["conditions"]]
        connective = "or" if raw.get("combinator") == "or" else "and"
    else:
        parts = [
            _comparison(kind, entry.get("operation", "equal"), value(entry.get("value1")), entry.get("value2"), value)
            for kind, entries in raw.items()
            for entry in (entries if isinstance(entries, list) else ())
            if isinstance(entry, dict)
        ]
        connective = "or" if combine == "any" else "and"
    if not parts:
        raise Untranslatable("it has no conditions")
    return "(" + f" {connective} ".join(parts) + ")"


def _translate_condition(raw: object, value: Value) -> str:
    if not isinstance(raw, dict) or not isinstance(raw.get("operator"), dict):
        raise Untranslatable("a condition has no operator")
    operator = raw["operator"]
    left = value(raw.get("leftValue"))
    return _comparison(str(operator.get("type")), operator.get("operation"), left, raw.get("rightValue"), value)


def _comparison(kind: str, operation: object, left: str, right: object, value: Value) -> str:
    if operation in ("exists", "notExists"):
        return _negate_if(f"$exists({left})", operation == "notExists")
    if operation in ("empty", "isEmpty", "notEmpty", "isNotEmpty"):
        # A missing value counts as empty, and so do an empty text, list and object.
        return _negate_if(f"$not($boolean({left}))", operation in ("notEmpty", "isNotEmpty"))
    if operation in ("true", "false"):
        return f"({left} = {operation})"
    right_value = _right_operand(kind, right, value)
    if operation in _COMPARISON_OPERATORS:
        return f"({left} {_COMPARISON_OPERATORS[str(operation)]} {right_value})"
    if operation in ("contains", "notContains") and kind == "string":
        return _negate_if(f"$contains($string({left}), {right_value})", operation == "notContains")
    if operation in ("contains", "notContains") and kind == "array":
        return _negate_if(f"({right_value} in {left})", operation == "notContains")
    if operation in ("startsWith", "notStartsWith") and kind == "string":
        return _negate_if(
            f"($substring({left}, 0, $length({right_value})) = {right_value})", operation == "notStartsWith"
        )
    if operation in ("endsWith", "notEndsWith") and kind == "string":
        return _negate_if(f"($substring({left}, -$length({right_value})) = {right_value})", operation == "notEndsWith")
    raise Untranslatable(f"the comparison {str(operation)[:40]!r} of type {kind[:40]} is not supported")


def _negate_if(test: str, negated: bool) -> str:
    return f"$not({test})" if negated else test


def _right_operand(kind: str, right: Any, value: Value) -> str:
    """Translate the right operand. n8n may store a number as text."""
    if kind == "number" and isinstance(right, str) and not right.startswith("="):
        try:
            number = float(right)
        except ValueError:
            raise Untranslatable(f"{right[:40]!r} is not a number") from None
        return value(int(number) if number.is_integer() else number)
    return value(right)
