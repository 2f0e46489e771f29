"""Workflows that call each other, against n8n 2.41.1: what executeWorkflow gives for each way to call.

A line of n8n-call-cases.ndjson has the calling node, the called workflow, the items at the node, and what it gave. Two
people were its items. In n8n, a mapped field without a value is missing in the called workflow; here it is null.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from email_sender.security.permissions import Role
from email_sender.workflows.model import Run, RunDetail, RunStatus, StepRecord, StepStatus
from tests.fakes.state_machine import TaskError
from tests.fakes.workflow_reference import ReferenceOutcome, run_reference
from tests.unit.workflows.n8n.samples import connections_to, import_and_parse, items_in
from tests.unit.workflows.n8n.sandbox import run_nodes
from tests.unit.workflows.samples import parse
from workflows_lambda.actions.run_results import result_of_run

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data/n8n-call-cases.ndjson").read_text(encoding="utf-8").splitlines()
]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_call_gives_what_it_gives_in_n8n(case: dict[str, Any]) -> None:
    called = parse(import_and_parse(case["called"]).definition)
    details: list[RunDetail] = []

    def run_called(call: dict[str, Any]) -> Any:
        outcome = run_reference(called, call["with"]["inputs"], _run_nodes, TaskError, "call")
        details.append(_detail(called, outcome))
        return {"run_id": str(len(details) - 1)}

    def respond(call: dict[str, Any]) -> Any:
        if call["action"] == "n8n.node":
            return run_nodes(call["with"], lambda request: result_of_run(details[int(request["run"]["id"])]))
        return run_called(call) if call["action"] == "workflow.call" else call["with"]

    outcome = run_reference(parse(import_and_parse(_calling(case)).definition), {}, respond, TaskError)
    assert outcome.status == "SUCCEEDED", outcome
    if case["gave"] is None:
        assert (details, outcome.statuses["all"]) == ([], "skipped")
    else:
        assert (items_in(outcome, "all") if outcome.statuses["all"] == "succeeded" else []) == case["gave"]


def _calling(case: dict[str, Any]) -> dict[str, Any]:
    """Return the calling workflow: a node that gives the items, the node of the case, and one that passes on."""
    people = f"return {json.dumps([{'json': item} for item in case['items']])}"
    nodes = [
        {"name": "Start", "type": "n8n-nodes-base.manualTrigger", "typeVersion": 1, "parameters": {}},
        {"name": "P", "type": "n8n-nodes-base.code", "typeVersion": 2, "parameters": {"jsCode": people}},
        {**case["node"], "name": "Call"},
        {"name": "All", "type": "n8n-nodes-base.noOp", "typeVersion": 1, "parameters": {}},
    ]
    connections = {"Start": connections_to("P"), "P": connections_to("Call"), "Call": connections_to("All")}
    return {"name": "caller", "nodes": nodes, "connections": connections, "settings": {"executionOrder": "v1"}}


def _run_nodes(call: dict[str, Any]) -> Any:
    return run_nodes(call["with"]) if call["action"] == "n8n.node" else call["with"]


def _detail(definition: Any, outcome: ReferenceOutcome) -> RunDetail:
    """Return the run of a called workflow as it is stored: its steps ended one after the other."""
    assert outcome.status == "SUCCEEDED", outcome
    run = Run(UUID(int=1), UUID(int=2), 1, RunStatus.SUCCEEDED, {}, "ann", Role.USER, NOW)
    names = [name for level in definition.levels for name in level if outcome.statuses[name] == "succeeded"]
    steps = []
    for number, name in enumerate(names):
        action = definition.steps[name].action.name
        step = StepRecord(name, -1, "" if action == "transform" else action, StepStatus.SUCCEEDED, NOW)
        steps.append(replace(step, result=outcome.results[name], finished_at=NOW + timedelta(seconds=number)))
    return RunDetail(run, steps)
