"""What the caller of a webhook gets, against n8n 2.41.1: its answer for each of some nodes, and modes of the webhook.

A line of n8n-answers.ndjson has the parameters of the webhook, the nodes behind it in a row, and the `answer`.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from email_sender.kit.tasks.call import TaskCall
from email_sender.security.permissions import Role
from email_sender.workflows.n8n import item_nodes
from tests.fakes.workflow_reference import ReferenceOutcome
from tests.unit.workflows.n8n.samples import import_and_parse, run
from workflows_lambda.actions.webhook_answer import answer

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data/n8n-answers.ndjson").read_text(encoding="utf-8").split("\n")
    if line
]


def export(case: dict[str, Any]) -> dict[str, Any]:
    hook = {"name": "Hook", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "parameters": case["webhook"]}
    row = [hook, *case["nodes"]]
    connections = {
        source["name"]: {"main": [[{"node": target["name"], "type": "main", "index": 0}]]}
        for source, target in pairwise(row)
    }
    return {"name": "answers", "nodes": row, "connections": connections, "settings": {"executionOrder": "v1"}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_caller_gets_what_n8n_answers(case: dict[str, Any]) -> None:
    outcome, answers = outcome_of(export(case))
    expected = case["answer"]
    assert outcome.status == ("FAILED" if expected["status"] == 500 else "SUCCEEDED"), outcome
    if expected["status"] == 500:
        assert answers == []
        return
    (given,) = answers
    if expected["status"] == 204:
        given["headers"] = {}
    assert given == {**expected, "base64": False}


def outcome_of(raw: dict[str, Any]) -> tuple[ReferenceOutcome, list[dict[str, Any]]]:
    """Return how a run of the workflow ends, and what its steps answer."""
    answers: list[dict[str, Any]] = []

    def take(call: dict[str, Any]) -> Any:
        assert call["action"] == "webhook.answer"
        task = TaskCall(uuid4(), uuid4(), "answer", -1, call["with"], "ann", Role.USER)
        answers.append(dict(answer(task)))
        return call["with"]

    return run(raw, take), answers


def respond(parameters: dict[str, Any], version: float = 1.1) -> dict[str, Any]:
    kind = "n8n-nodes-base.respondToWebhook"
    return {"name": "Respond", "type": kind, "typeVersion": version, "parameters": parameters}


def test_headers_that_an_answer_cannot_have_are_left_out_with_a_note() -> None:
    names = ("Access-Control-Allow-Origin", "Set-Cookie", "X-Fine", "X-Odd")
    entries = [{"name": name, "value": "\u2192" if name == "X-Odd" else "*"} for name in names]
    node = respond({"respondWith": "noData", "options": {"responseHeaders": {"entries": entries}}})
    raw = export({"webhook": {"responseMode": "responseNode"}, "nodes": [node]})
    outcome, (given,) = outcome_of(raw)
    assert outcome.status == "SUCCEEDED"
    assert given["headers"] == {"content-type": "application/json; charset=utf-8", "x-fine": "*"}
    (entry,) = (entry for entry in import_and_parse(raw).report if entry.node == "Respond")
    assert "the headers Access-Control-Allow-Origin, Set-Cookie are left out" in entry.notes


def test_a_node_does_nothing_where_no_caller_waits() -> None:
    """Stored workflows have such nodes, which only passed their items on."""
    for parameters in ({"respondWith": "jwt"}, {"respondWith": "json", "responseBody": "{"}, {"respondWith": "binary"}):
        outcome, answers = outcome_of(export({"webhook": {}, "nodes": [respond(parameters)]}))
        assert (outcome.status, answers) == ("SUCCEEDED", [])


def test_a_status_that_no_answer_has_fails_the_node() -> None:
    node = respond({"respondWith": "noData", "options": {"responseCode": 101}})
    outcome, answers = outcome_of(export({"webhook": {"responseMode": "responseNode"}, "nodes": [node]}))
    assert (outcome.status, answers) == ("FAILED", [])


def test_of_several_last_nodes_the_one_that_ran_last_answers() -> None:
    """As n8n runs branches: the upper one first."""
    code = {"type": "n8n-nodes-base.code", "typeVersion": 2}
    nodes = [
        {**code, "name": name, "position": [200, y], "parameters": {"jsCode": f"return [{{json: {{of: '{name}'}}}}]"}}
        for name, y in (("Lower", 300), ("Upper", 0))
    ]
    raw = export({"webhook": {"responseMode": "lastNode"}, "nodes": nodes})
    targets = [{"node": name, "type": "main", "index": 0} for name in ("Lower", "Upper")]
    raw["connections"] = {"Hook": {"main": [targets]}}
    _outcome, (given,) = outcome_of(raw)
    assert json.loads(given["body"]) == {"of": "Lower"}


def test_the_report_has_the_nodes_of_the_export_and_the_webhook_waits() -> None:
    for case in CASES:
        result = import_and_parse(export(case))
        assert [entry.node for entry in result.report] == ["Hook", *(node["name"] for node in case["nodes"])]
        assert result.definition["triggers"] == [{"webhook": {"auth": "secret", "answer_within": "PT20S"}}]


def test_what_is_said_to_be_compared_was_compared() -> None:
    compared = {
        node["typeVersion"] for case in CASES for node in case["nodes"] if node["type"].endswith(".respondToWebhook")
    }
    assert compared == item_nodes.RECORDED_ANSWERS
