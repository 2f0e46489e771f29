"""Agents and chains against recorded runs of n8n 2.41.1, whose model and services a server stood in for.

A case has the nodes, the items, and what was asked one after the other: the model, with its system text, turns and
tools, or another system. Cases are those that agree; docs/decisions/0056 counts the others.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from email_sender.workflows.n8n.item_nodes import RECORDED_AGENTS
from sandbox_lambda import engine

_FILE = Path(__file__).parents[1] / "data" / "n8n-agent-cases.ndjson"
CASES: list[dict[str, Any]] = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]


def test_the_versions_that_imports_call_recorded_have_cases() -> None:
    versions = {name: set[float]() for name in RECORDED_AGENTS}
    for case in CASES:
        versions[case["nodes"][0]["type"]].add(case["nodes"][0]["typeVersion"])
    assert versions == RECORDED_AGENTS


def run(case: Mapping[str, Any], answers: list[Any]) -> Mapping[str, Any]:
    start = {"name": "Start", "type": "code"}
    first = case["nodes"][0]["name"]
    request = {
        "workflow": {
            "name": "rec",
            "nodes": [start, *case["nodes"]],
            "connections": {"Start": {"main": [[{"node": first, "index": 0}]]}, **case["connections"]},
            "settings": {"executionOrder": "v1", "timezone": "UTC"},
        },
        "given": [{"node": "Start", "outputs": [case["given"]]}],
        "returns": [first],
        "responses": answers,
        "now": 1,
        "seed": "00",
    }
    return dict(json.loads(engine.run(json.dumps(request), 20)))


def check(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
    if "memory" in recorded:
        assert asked == recorded["memory"]
    elif "request" in recorded:
        assert [asked["method"], asked["url"]] == recorded["request"]
    else:
        model = recorded["model"]
        assert asked["system"] == model["system"]
        assert [[turn["role"], turn["text"]] for turn in asked["turns"]] == model["turns"]
        for tool, expected in zip(asked.get("tools", []), model["tools"] or [], strict=False):
            assert {name: tool[name] for name in expected} == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_recorded_run(case: dict[str, Any]) -> None:
    answers: list[Any] = []
    while (answer := run(case, answers)).get("requests"):
        place = len(answers)
        recorded = case["asked"][place : place + len(answer["requests"])]
        for asked, expected in zip(answer["requests"], recorded, strict=True):
            check(asked, expected)
        answers += [entry["answer"] for entry in recorded]
    assert len(answers) == len(case["asked"])
    assert (answer["error"] or {}).get("message") == case["error"]
    runs = answer["runs"].get(case["nodes"][0]["name"])
    assert (runs[-1].get("outputs") if runs else None) == case["outputs"]
