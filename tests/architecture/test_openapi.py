"""Tests of the OpenAPI document that the gateway serves."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

DOCUMENT = json.loads(Path("functions/gateway/gateway_lambda/http/openapi.json").read_text())
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def examples() -> dict[str, tuple[Any, Any]]:
    """Return the schema and the example of every body that has an example."""
    found_examples = {}
    for name, operation in OPERATIONS.items():
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for part, body in bodies.items():
            content = body.get("content", {}).get("application/json", {})
            if "example" in content:
                found_examples[f"{name} {part}"] = (content["schema"], content["example"])
    return found_examples


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_matches_its_schema(name: str) -> None:
    schema, example = EXAMPLES[name]
    root = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(root, format_checker=FormatChecker()).validate(example)


def test_ten_routes_have_examples_of_the_request_and_the_response() -> None:
    routes = {name.rpartition(" ")[0] for name in EXAMPLES}
    with_body = {route for route in routes if "requestBody" in OPERATIONS[route]}
    assert len(with_body) >= 10
    assert {f"{route} request" for route in with_body} <= set(EXAMPLES)


def test_the_areas_are_listed_in_the_order_in_which_a_user_needs_them() -> None:
    names = [tag["name"] for tag in DOCUMENT["tags"]]
    assert names[:6] == ["auth", "imports", "search", "contacts", "templates", "workflows"]
    assert {tag for operation in OPERATIONS.values() for tag in operation["tags"]} == set(names)


def test_each_summary_is_one_short_phrase_and_unique() -> None:
    summaries = [operation["summary"] for operation in OPERATIONS.values()]
    assert all("\n" not in summary and "  " not in summary and len(summary) <= 80 for summary in summaries)
    assert len(set(summaries)) == len(summaries), sorted(s for s in summaries if summaries.count(s) > 1)
