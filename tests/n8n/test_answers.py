"""What the caller of a webhook gets, against n8n 2.41.1: its answer for each of some nodes, and modes of the webhook.

A line of n8n-answers.ndjson has the parameters of the webhook, the nodes behind it in a row, and the `answer`.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from email_sender.workflows.n8n import item_nodes
from tests.unit.workflows.n8n.samples import import_and_parse, run
from workflows_lambda.actions.webhook_answer import AnswerIn

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
    answers: list[dict[str, Any]] = []

    def take(call: dict[str, Any]) -> Any:
        assert call["action"] == "webhook.answer"
        answers.append(AnswerIn.model_validate(call["with"]).model_dump())
        return call["with"]

    outcome = run(export(case), take)
    expected = case["answer"]
    assert outcome.status == ("FAILED" if expected["status"] == 500 else "SUCCEEDED"), outcome
    if expected["status"] == 500:
        assert answers == []
        return
    (answer,) = answers
    if expected["status"] == 204:
        answer["headers"] = {}
    assert answer == {**expected, "base64": False}


def test_the_report_has_the_nodes_of_the_export_and_the_webhook_waits() -> None:
    for case in CASES:
        result = import_and_parse(export(case))
        assert [entry.node for entry in result.report] == ["Hook", *(node["name"] for node in case["nodes"])]
        assert result.definition["triggers"] == [{"webhook": {"answer_within": "PT20S"}}]


def test_what_is_said_to_be_compared_was_compared() -> None:
    compared = {
        node["typeVersion"] for case in CASES for node in case["nodes"] if node["type"].endswith(".respondToWebhook")
    }
    assert compared == item_nodes.RECORDED_ANSWERS
