"""Tests for n8n nodes with which a model reads a text: extraction, classes, sentiments, summaries."""

import json
from typing import Any

import pytest

from tests.fakes.workflow_reference import ReferenceOutcome
from tests.unit.workflows.n8n.samples import connections_to, conversions, export, items_in, node, run

CATEGORIES = {
    "categories": [
        {"category": "Grown up", "description": "=older than {{ 17 }}"},
        {"category": "Child", "description": "younger"},
    ]
}


def run_with_model(raw: dict[str, Any], answers: dict[str, Any], calls: list[Any] | None = None) -> ReferenceOutcome:
    """Run an import with a model that has an answer for each prompt."""

    def respond(call: dict[str, Any]) -> Any:
        if "prompt" not in call["with"]:
            return call["with"]
        if calls is not None:
            calls.append(call["with"])
        answer = answers[call["with"]["prompt"]]
        return {"model": "m", "text": answer} if isinstance(answer, str) else {"model": "m", "data": answer}

    outcome = run(raw, respond)
    assert outcome.status == "SUCCEEDED", outcome
    return outcome


def sorting(kind: str, parameters: dict[str, Any], outputs: int) -> dict[str, Any]:
    """Return an export with a node whose outputs lead to the nodes "Out 0", "Out 1"…"""
    outs = [node(f"Out {number}", "noOp") for number in range(outputs)]
    links = connections_to(*(out["name"] for out in outs))
    apart = {out["name"]: connections_to() for out in outs}
    return export(node("Sort", kind, parameters), *outs, connections={"Sort": links, **apart})


def names_at(outcome: ReferenceOutcome, output: int) -> list[str]:
    try:
        return [item["name"] for item in items_in(outcome, f"out-{output}")]
    except ValueError:  # the step was skipped: it had no items
        return []


def test_fields_are_extracted_as_the_nodes_schema_says() -> None:
    attributes = {"attributes": [{"name": "age", "type": "number", "description": "in years", "required": True}]}
    raw = export(
        node("Read", "informationExtractor", {"text": "={{ $json.name }}", "attributes": attributes}),
        node("Keep", "noOp"),
    )
    calls: list[Any] = []
    outcome = run_with_model(raw, {"Ada": {"age": 36}, "Bob": {"age": 7}}, calls)
    assert items_in(outcome, "keep") == [{"output": {"age": 36}}, {"output": {"age": 7}}]
    assert calls[0]["schema"] == {
        "type": "object",
        "properties": {"age": {"type": "number", "description": "in years"}},
        "required": ["age"],
    }


@pytest.mark.parametrize(
    ("options", "answer_of_bob", "expected"),
    [
        ({}, "Child", [["Ada"], ["Bob"]]),
        ({}, "none of them", [["Ada"], []]),
        ({"fallback": "other"}, "none of them", [["Ada"], [], ["Bob"]]),
        ({"multiClass": True}, ["Grown up", "Child"], [["Ada", "Bob"], ["Bob"]]),
    ],
)
def test_a_text_classifier_gives_each_category_its_items(
    options: dict[str, Any], answer_of_bob: Any, expected: list[list[str]]
) -> None:
    parameters = {"inputText": "={{ $json.name }}", "categories": CATEGORIES, "options": options}
    raw = sorting("textClassifier", parameters, len(expected))
    calls: list[Any] = []
    grown_up = ["Grown up"] if options.get("multiClass") else "Grown up"
    outcome = run_with_model(raw, {"Ada": {"category": grown_up}, "Bob": {"category": answer_of_bob}}, calls)
    assert [names_at(outcome, number) for number in range(len(expected))] == expected
    assert "Grown up: older than 17" in calls[0]["system"]
    assert "none of them" in json.dumps(calls[0]["schema"])
    assert conversions(raw)["Sort"] == "approximated"


def test_the_first_of_two_categories_with_one_name_gets_the_items() -> None:
    twice = {"categories": [{"category": "Child"}, {"category": "Child"}, {"category": "Grown up"}]}
    raw = sorting("textClassifier", {"inputText": "={{ $json.name }}", "categories": twice}, 3)
    outcome = run_with_model(raw, {"Ada": {"category": "Grown up"}, "Bob": {"category": "Child"}})
    assert [names_at(outcome, number) for number in range(3)] == [["Bob"], [], ["Ada"]]


def test_a_sentiment_decides_about_the_output_and_stays_with_the_item() -> None:
    parameters = {"inputText": "={{ $json.name }}", "options": {"categories": "Good, Bad"}}
    raw = sorting("sentimentAnalysis", parameters, 2)
    outcome = run_with_model(raw, {"Ada": {"category": "Bad"}, "Bob": {"category": "Bad"}})
    assert names_at(outcome, 0) == []
    assert items_in(outcome, "out-1")[0] == {
        "name": "Ada",
        "age": 36,
        "tags": ["x", "y"],
        "sentimentAnalysis": {"category": "Bad"},
    }


@pytest.mark.parametrize(
    ("version", "options", "prompt", "expected"),
    [
        (2, {}, '{"name":"Ada","age":36,"tags":["x","y"]}', {"response": {"text": "short"}}),
        (
            2.1,
            {"summarizationMethodAndPrompts": {"values": {"prompt": 'Sum up: "{text}"'}}},
            'Sum up: "{"name":"Ada","age":36,"tags":["x","y"]}"',
            {"output": {"text": "short"}},
        ),
    ],
)
def test_a_summary_is_made_of_each_item(version: float, options: Any, prompt: str, expected: Any) -> None:
    summary = node("Short", "chainSummarization", {"options": options}, executeOnce=True) | {"typeVersion": version}
    outcome = run_with_model(export(summary, node("Keep", "noOp")), {prompt: "short"})
    assert items_in(outcome, "keep") == [expected]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("textClassifier", {"inputText": "x", "categories": {"categories": [{"category": "={{ $json.name }}"}]}}),
        ("sentimentAnalysis", {"inputText": "x", "options": {"categories": "={{ $json.name }}"}}),
        ("chainSummarization", {"operationMode": "documentLoader"}),
    ],
)
def test_what_the_conversion_cannot_know_is_not_supported(kind: str, parameters: Any) -> None:
    assert conversions(export(node("Sort", kind, parameters) | {"typeVersion": 2}))["Sort"] == "unsupported"
