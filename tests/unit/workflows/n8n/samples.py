"""Exports of n8n, and what the definitions that they become give, run by the reference interpreter."""

from itertools import pairwise
from typing import Any

from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.workflows.n8n.converter import ImportResult
from email_sender.workflows.n8n.importer import import_n8n
from tests.fakes.state_machine import TaskError
from tests.fakes.workflow_reference import ReferenceOutcome, run_reference
from tests.unit.workflows.n8n.sandbox import AnswerRequest, run_nodes
from tests.unit.workflows.samples import parse

EXPRESSIONS = JsonataExpressions()
PEOPLE = [{"name": "Ada", "age": 36, "tags": ["x", "y"]}, {"name": "Bob", "age": 7, "tags": []}]


# The versions of new nodes.
VERSIONS = {"set": 3.4, "if": 2.2, "filter": 2.2, "switch": 3.2, "merge": 3.2, "removeDuplicates": 2, "code": 2}


def node(name: str, kind: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    version = VERSIONS.get(kind, 1)
    return {
        "name": name, "type": f"n8n-nodes-base.{kind}", "typeVersion": version, "parameters": parameters or {}, **more
    }  # fmt: skip


def export(*nodes: dict[str, Any], **links: Any) -> dict[str, Any]:
    """Build an export: a trigger, a node that lists PEOPLE, then `nodes` in a row. `links` overrides connections."""
    start = node("Start", "manualTrigger")
    people = node("People", "splitOut", {"fieldToSplitOut": "people"})
    row = [start, people, *nodes]
    connections: dict[str, Any] = {
        source["name"]: {"main": [[{"node": target["name"], "type": "main", "index": 0}]]}
        for source, target in pairwise(row)
    }
    connections |= links.get("connections", {})
    settings = {"executionOrder": "v1"}
    return {"name": "sample", "nodes": row, "connections": connections, "settings": settings}


def connections_to(*outputs: str | list[str]) -> dict[str, Any]:
    """Return a node's connections: for each output its target node or nodes ("name/1" is the second input)."""
    targets_by_output = [[output] if isinstance(output, str) else output for output in outputs]
    return {
        "main": [
            [
                {"node": target.partition("/")[0], "index": int(target.partition("/")[2] or 0)}
                for target in targets
                if target
            ]
            for targets in targets_by_output
        ]
    }


def import_and_parse(raw: dict[str, Any]) -> ImportResult:
    result = import_n8n(raw, EXPRESSIONS)
    parse(result.definition)  # fails for a definition that cannot be stored
    return result


def run(raw: dict[str, Any], handler: Any = None, answer_request: AnswerRequest | None = None) -> ReferenceOutcome:
    definition = parse(import_and_parse(raw).definition)

    def respond(call: dict[str, Any]) -> Any:
        if call["action"] == "n8n.node":
            return run_nodes(call["with"], answer_request)
        return handler(call) if handler else call["with"]

    return run_reference(definition, {"people": PEOPLE}, respond, TaskError)


def items(raw: dict[str, Any], name: str, output: int = 0) -> Any:
    """Return the items at an output of the node of this step id, which nothing follows."""
    outcome = run(raw)
    assert outcome.status == "SUCCEEDED", outcome
    return items_in(outcome, name, output)


def items_in(outcome: ReferenceOutcome, name: str, output: int = 0) -> Any:
    key = f"{name}_{output}"
    results = [result for result in outcome.results.values() if isinstance(result, dict)]
    returned = [result["items"] for result in results if isinstance(result.get("items"), dict)]
    (found,) = [named[key] for named in returned if key in named]
    return found


def conversions(raw: dict[str, Any]) -> dict[str, str]:
    return {entry.node: str(entry.outcome) for entry in import_and_parse(raw).report}
