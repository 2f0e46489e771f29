"""Tests of the OpenAPI document that the gateway serves."""

import json
import re
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


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_examples_of_its_request_and_its_answer(name: str) -> None:
    parts = {"request": OPERATIONS[name].get("requestBody", {}), **OPERATIONS[name]["responses"]}
    with_json = {
        part
        for part, body in parts.items()
        if part not in ("default", "401") and "application/json" in body.get("content", {})
    }
    assert {f"{name} {part}" for part in with_json} <= set(EXAMPLES)


def test_an_operation_id_is_a_short_phrase_and_unique() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(_[a-z0-9]+){0,4}", name)] == []


def linked_parameters() -> dict[str, set[str]]:
    """Return, for each operation, the path parameters that links to it fill."""
    found: dict[str, set[str]] = {}
    for operation in OPERATIONS.values():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                found.setdefault(link["operationId"], set()).update(link["parameters"])
    return found


# No answer has the token of an email, and the id of stored items stands under a name that the workflow gives.
UNSUPPLIED = ("{token}", "{items_id}")


@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if "{" in name and not any(one in name for one in UNSUPPLIED)]
)
def test_another_operation_supplies_each_id(name: str) -> None:
    assert set(re.findall(r"\{(\w+)\}", name)) == linked_parameters()[OPERATIONS[name]["operationId"]]


def test_a_link_finds_its_value_in_the_example() -> None:
    """Otherwise a link would name a field that no answer has."""
    links = 0
    for name, operation in OPERATIONS.items():
        for status, answer in operation["responses"].items():
            for link in answer.get("links", {}).values():
                for value in link["parameters"].values():
                    if value.startswith("$response.body#"):
                        _, example = EXAMPLES[f"{name} {status}"]
                        assert isinstance(resolve_pointer(example, value.partition("#")[2]), str | int), (name, value)
                        links += 1
    assert links > 80


def resolve_pointer(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def test_the_areas_are_listed_in_the_order_in_which_a_user_needs_them() -> None:
    names = [tag["name"] for tag in DOCUMENT["tags"]]
    assert names[:6] == ["auth", "imports", "search", "contacts", "templates", "workflows"]
    assert {tag for operation in OPERATIONS.values() for tag in operation["tags"]} == set(names)


def test_each_summary_is_one_short_phrase_and_unique() -> None:
    summaries = [operation["summary"] for operation in OPERATIONS.values()]
    assert all("\n" not in summary and "  " not in summary and len(summary) <= 80 for summary in summaries)
    assert len(set(summaries)) == len(summaries), sorted(s for s in summaries if summaries.count(s) > 1)
