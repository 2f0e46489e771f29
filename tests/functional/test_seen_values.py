"""removeDuplicates across executions, on PostgreSQL, against n8n 2.41.1.

A line of n8n-seen-cases.ndjson has nodes in a row, and calls of the workflow one after the other: the items that came
in, and those that the last node kept and left out, or that it failed. They were recorded in the zone of New York.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import InvalidInput
from email_sender.kit.system_clock import new_id
from email_sender.kit.tasks.call import TaskCall
from email_sender.security.permissions import Role
from email_sender.workflows.model import Run
from tests.database import Cluster
from tests.fakes.engine_sandbox import EngineSandbox
from tests.functional.workflow_scenario import ANN, DEFINITION, INPUTS, WorkflowScenario
from workflows_lambda.actions import n8n_memory, n8n_node, n8n_requests

LINES = (Path(__file__).parents[1] / "data/n8n-seen-cases.ndjson").read_text(encoding="utf-8").split("\n")
CASES = [json.loads(line) for line in LINES if line]
SEEN = {"operation": "removeItemsSeenInPreviousExecutions", "dedupeValue": "={{ $json.id }}"}
CLEAR = {"operation": "clearDeduplicationHistory", "mode": "cleanDatabase"}


class Workflow:
    def __init__(self, scenario: WorkflowScenario, name: str = "seen") -> None:
        self.scenario = scenario
        self.id = scenario.workflows.create(scenario.tenant, new_id(), {**DEFINITION, "name": name}, ANN).id

    def start(self) -> Run:
        return self.scenario.runs.start(self.scenario.tenant, new_id(), self.id, INPUTS, ANN)

    def run(
        self, nodes: Sequence[Mapping[str, Any]], items: Sequence[Mapping[str, Any]], run: Run | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Return what the last node kept and left out."""
        names = [f"Dup {number}" for number in range(len(nodes))]
        arguments = {
            "workflow": {
                "nodes": [
                    {"name": "Items", "type": "n8n-nodes-base.manualTrigger"},
                    *(
                        {"name": name, "type": "n8n-nodes-base.removeDuplicates", "typeVersion": 2, "parameters": one}
                        for name, one in zip(names, nodes, strict=True)
                    ),
                ],
                "connections": {
                    source: {"main": [[{"node": target}]]}
                    for source, target in zip(["Items", *names], names, strict=False)
                },
                "settings": {"executionOrder": "v1", "timezone": "America/New_York"},
            },
            "given": [{"node": "Items", "outputs": [list(items)]}],
            "returns": [{"name": f"out{output}", "node": names[-1], "output": output} for output in (0, 1)],
        }
        one = run or self.start()
        call = TaskCall(self.scenario.tenant, one.id, "dup", -1, arguments, "ann", Role.ADMIN, lineage=one.lineage)
        result = n8n_node.run_nodes(call)["items"]
        return result["out0"], result["out1"]


@pytest.fixture
def workflow(cluster: Cluster, app_role: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    units = PostgresWorkflowUnits(app_role, None, cluster.vault(app_role))
    monkeypatch.setattr(n8n_node, "sandbox", EngineSandbox)
    for module in (n8n_memory, n8n_requests):
        monkeypatch.setattr(module, "workflow_units", lambda: units)
    return Workflow(WorkflowScenario(cluster, units, tenant))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_runs_keep_what_n8n_keeps(workflow: Workflow, case: dict[str, Any]) -> None:
    for call in case["calls"]:
        if call.get("fails"):
            with pytest.raises(InvalidInput, match=r"failed|history size"):
                workflow.run(case["nodes"], call["items"])
        else:
            assert workflow.run(case["nodes"], call["items"]) == (call["kept"], call["left"])


def test_a_step_that_is_repeated_sees_the_same_as_before(workflow: Workflow) -> None:
    """Its first attempt may have died after the values were stored, and before the answer was."""
    items, run = [{"id": 1}, {"id": 2}], workflow.start()
    first = workflow.run([SEEN], items, run)
    assert first == (items, [])
    workflow.scenario.cluster.execute("delete from step_responses where run_id = %s", run.id)
    assert workflow.run([SEEN], items, run) == first
    assert workflow.run([SEEN], items) == ([], items)
    upwards = {**SEEN, "logic": "removeItemsUpToStoredIncrementalKey", "incrementalDedupeValue": "={{ $json.id }}"}
    other = workflow.start()
    assert workflow.run([upwards], items, other) == (items, [])
    workflow.scenario.cluster.execute("delete from step_responses where run_id = %s", other.id)
    assert workflow.run([upwards], items, other) == (items, [])


def test_a_run_that_goes_on_from_a_failed_one_sees_what_that_one_saw(workflow: Workflow) -> None:
    items, failed = [{"id": 1}], workflow.start()
    assert workflow.run([SEEN], items, failed) == (items, [])
    again = workflow.start()
    workflow.scenario.cluster.execute("update runs set lineage = array[%s::uuid] where id = %s", failed.id, again.id)
    resumed = workflow.scenario.runs.get(workflow.scenario.tenant, again.id).run
    assert workflow.run([SEEN], items, resumed) == (items, [])


def test_a_run_that_goes_on_sees_no_items_as_old_because_another_run_came_first(workflow: Workflow) -> None:
    """With a schedule this is the normal case: the next run comes before somebody retries the failed one."""
    upwards = {**SEEN, "logic": "removeItemsUpToStoredIncrementalKey", "incrementalDedupeValue": "={{ $json.id }}"}
    first = [{"id": 5}, {"id": 10}]
    failed = workflow.start()
    # Twice in one step.
    assert workflow.run([upwards, upwards], first, failed) == (first, [])
    assert workflow.run([upwards, upwards], [{"id": 12}]) == ([{"id": 12}], [])
    again = workflow.start()
    workflow.scenario.cluster.execute("update runs set lineage = array[%s::uuid] where id = %s", failed.id, again.id)
    resumed = workflow.scenario.runs.get(workflow.scenario.tenant, again.id).run
    assert workflow.run([upwards, upwards], first, resumed) == (first, [])
    assert workflow.run([upwards, upwards], [{"id": 12}]) == ([], [])


def test_nodes_and_workflows_have_histories_of_their_own_or_share_one(workflow: Workflow) -> None:
    items, shared = [{"id": 1}], {**SEEN, "options": {"scope": "workflow"}}
    assert workflow.run([SEEN, SEEN], items) == (items, [])
    assert workflow.run([shared], items) == (items, [])
    assert workflow.run([shared], items) == ([], items)
    assert Workflow(workflow.scenario, name="other").run([SEEN], items) == (items, [])


@pytest.mark.parametrize("logic", ["removeItemsWithAlreadySeenKeyValues", "removeItemsUpToStoredIncrementalKey"])
def test_a_cleared_history_is_empty(workflow: Workflow, logic: str) -> None:
    items = [{"id": 1}]
    seen = {**SEEN, "logic": logic, "incrementalDedupeValue": "={{ $json.id }}"}
    for options in ({}, {"scope": "workflow"}):
        for _ in range(2):
            assert workflow.run([{**seen, "options": options}], items) == (items, [])
            # The items go on.
            assert workflow.run([{**CLEAR, "options": options}], items)[0] == items


def test_values_are_stored_as_keyed_hashes(workflow: Workflow) -> None:
    workflow.run([SEEN], [{"id": "ann@people.example"}])
    rows = workflow.scenario.cluster.query("select * from seen_values where workflow_id = %s", workflow.id)
    assert [len(bytes(row["value_hash"])) for row in rows] == [32]
    assert "ann" not in str(rows)
