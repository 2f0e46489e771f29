"""The sandbox against n8n: workflows, and what n8n 2.41.1 gave for each of their nodes.

n8n-cases.ndjson is a matrix of operators and types, and small flows. n8n-cases-more.ndjson has more nodes, extension
methods, merges and loops.

N8N_CASES names another file of cases. A line has: id, asks (what the case is about), status, workflow, and `n8n`: for
each node its runs, each with the items of each output (`main`) or with an `error`.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from email_sender.workflows.n8n import item_nodes
from sandbox_lambda import engine

DATA = Path(__file__).parents[1] / "data"
RECORDED = (DATA / "n8n-cases.ndjson", DATA / "n8n-cases-more.ndjson")
FILES = (Path(os.environ["N8N_CASES"]),) if os.environ.get("N8N_CASES") else RECORDED
# Other tests and the engine share the processors.
SECONDS = 30


def cases(*files: Path) -> Iterator[Mapping[str, Any]]:
    for file in files:
        # Texts may hold separators that other ways to split lines see.
        for line in file.read_text(encoding="utf-8").split("\n"):
            if line.strip():
                yield json.loads(line)


def _of_first_execution(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a node that removes duplicates gets in the first execution of a workflow: it has seen nothing."""
    return {"fresh": [True] * len(request["seen"]["values"])} if "seen" in request else {"before": None}


def run(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """Run a workflow from its manual trigger, which gives one empty item. Returns what a case has."""
    start = next(node["name"] for node in workflow["nodes"] if node["type"].endswith(".manualTrigger"))
    request = {"workflow": workflow, "given": [{"node": start, "outputs": [[{}]]}]}
    answer = json.loads(engine.run(json.dumps(request), SECONDS))
    while requests := answer.get("requests"):
        request["responses"] = [*request.get("responses", []), *map(_of_first_execution, requests)]
        answer = json.loads(engine.run(json.dumps(request), SECONDS))
    nodes = {
        name: [{"main": one["outputs"]} if "outputs" in one else {"error": one["error"]} for one in runs]
        for name, runs in answer["runs"].items()
    }
    return {"status": "error" if answer["error"] else "success", "n8n": {start: [{"main": [[{}]]}], **nodes}}


@pytest.mark.parametrize("case", list(cases(*FILES)), ids=lambda case: case["id"])
def test_a_workflow_gives_what_n8n_gave(case: Mapping[str, Any]) -> None:
    assert run(case["workflow"]) == {"status": case["status"], "n8n": case["n8n"]}, case["asks"]


def test_exact_is_said_of_the_recorded_versions_alone() -> None:
    recorded: dict[str, set[float]] = {}
    for case in cases(*RECORDED):
        for node in case["workflow"]["nodes"]:
            recorded.setdefault(node["type"].rpartition(".")[2], set()).add(node.get("typeVersion", 1))
    for kind in ("manualTrigger", "wait"):
        recorded.pop(kind)
    # The others are in test_service_cases.py.
    assert recorded == {
        name: item_nodes.RECORDED[name] for name in item_nodes.RECORDED if name not in item_nodes.RECORDED_LATER
    }
