"""JSON Schemas of tenants: the same answers as the library's, in bounded time."""

import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from email_sender.adapters.documents.json_schemas import BUDGET, JsonSchemaChecker

CHECKER = JsonSchemaChecker()
# Seconds of the processor. The whole budget takes about one; on a slow machine that measures coverage, about six.
# Without the budget, the checks would not end within hours.
LIMIT = 30.0


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"pattern": "^a+$"}, ["aaa", "b", "xa", 1, None]),
        ({"pattern": "é|日本"}, ["caf\u00e9", "日本語", "x"]),
        ({"patternProperties": {"^s_": {"type": "string"}}}, [{"s_a": "x"}, {"s_a": 1}, {"t": 1}, 1, {}]),
        (
            {"properties": {"a": {}}, "patternProperties": {"^b": {}}, "additionalProperties": False},
            [{"a": 1}, {"b1": 1}, {"c": 1}, {"a": 1, "c": 1}, []],
        ),
        ({"additionalProperties": {"type": "integer"}}, [{"a": 1}, {"a": "x"}, {}]),
        (
            {"uniqueItems": True},
            [[1, 2], [1, 1.0], [True, 1], [{"a": 1}, {"a": 1.0}], [[], []], ["1", 1], [None, False]],
        ),
        ({"uniqueItems": False}, [[1, 1]]),
        ({"$defs": {"n": {"type": "number"}}, "items": {"$ref": "#/$defs/n"}}, [[1], ["x"]]),
        ({"enum": [{"pattern": "(?=a)"}]}, [{"pattern": "(?=a)"}, 1]),
    ],
)
def test_values_are_judged_as_the_library_does(schema: dict[str, Any], values: list[Any]) -> None:
    assert CHECKER.check(schema) == []
    for value in values:
        assert bool(CHECKER.problems(schema, value)) is not Draft202012Validator(schema).is_valid(value), value


def test_a_problem_names_the_place_in_the_value() -> None:
    (problem,) = CHECKER.problems({"patternProperties": {"^s_": {"type": "string"}}}, {"s_a": 1})
    assert problem.pointer == "/s_a"


@pytest.mark.parametrize(
    ("schema", "pointer", "message"),
    [
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "/properties/a/pattern", "(RE2 syntax)"),
        ({"patternProperties": {r"(a)\1": {}}}, "/patternProperties", "(RE2 syntax)"),
        ({"allOf": [{"pattern": "("}]}, "/allOf/0/pattern", "pattern"),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "", "beside patternProperties"),
    ],
)
def test_what_cannot_be_checked_in_linear_time_is_refused(schema: dict[str, Any], pointer: str, message: str) -> None:
    (problem,) = CHECKER.check(schema)
    assert (problem.pointer, message in problem.message) == (pointer, True)
    # A schema that was stored before is refused when it is used.
    assert CHECKER.problems(schema, {}) != []


def doubling(depth: int) -> dict[str, Any]:
    """Return a schema in which each definition refers to the next one twice."""
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    return {"$defs": {**definitions, f"d{depth}": {"type": "number"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "value", "is_valid"),
    [
        # A harmless stand-in for patterns on which backtracking takes exponential time.
        ({"pattern": "^(a|a)*$"}, "a" * 5_000, True),
        ({"uniqueItems": True}, [[n] for n in range(20_000)] + [{}], True),
        (doubling(40), 1, False),
        ({"$ref": "#"}, 1, False),
    ],
)
def test_a_costly_schema_ends_in_time(schema: dict[str, Any], value: Any, is_valid: bool) -> None:
    started = time.thread_time()
    problems = CHECKER.problems(schema, value)
    assert time.thread_time() - started < LIMIT
    assert (problems == []) is is_valid


def test_the_budget_is_for_work_and_not_for_time() -> None:
    rows = [{"a": 1, "b": "x", "c": True, "d": None, "e": [1]} for _ in range(10_000)]
    types = {"a": "integer", "b": "string", "c": "boolean", "d": "null", "e": "array"}
    schema = {"items": {"type": "object", "properties": {name: {"type": kind} for name, kind in types.items()}}}
    assert CHECKER.problems(schema, rows) == []
    (problem,) = CHECKER.problems(schema, rows * 5)
    assert f"{BUDGET:,} steps" in problem.message


@pytest.mark.parametrize("schema", [{"anyOf": [{"pattern": "b"}] * 100}, {"enum": [f"{n}" for n in range(1_000)]}])
def test_a_long_text_costs_more(schema: dict[str, Any]) -> None:
    assert "steps" not in CHECKER.problems(schema, "a" * 100)[-1].message
    assert "steps" in CHECKER.problems(schema, "a" * 1_000_000)[-1].message
