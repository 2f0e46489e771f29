"""Items that are too large for the state of an execution: stored by one step, and loaded by the next ones."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.postgres import stored_items
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import InvalidInput
from email_sender.kit.tasks.call import TaskCall
from email_sender.security.permissions import Role
from email_sender.workflows.model import Run, RunStatus, StepRecord, StepStatus
from email_sender.workflows.stored_items import reference
from tests.database import Cluster
from tests.fakes.engine_sandbox import EngineSandbox
from tests.functional.workflow_scenario import WorkflowScenario
from workflows_lambda.actions import http_request, n8n_node, step_items
from workflows_lambda.actions.run_results import result_of_run

# Each person with a greeting, and how many there are.
GREET: list[dict[str, Any]] = [
    {"name": "People", "type": "n8n-nodes-base.manualTrigger"},
    {"name": "Greet", "type": "n8n-nodes-base.code", "typeVersion": 2,
     "parameters": {"jsCode": "return $input.all().map(({json}) => ({json: {...json, text: `Dear ${json.name}`}}))"}},
]  # fmt: skip
COUNT: list[dict[str, Any]] = [
    {"name": "Greet", "type": "n8n-nodes-base.code"},
    {"name": "Count", "type": "n8n-nodes-base.code", "typeVersion": 2,
     "parameters": {"jsCode": "return [{json: {count: $input.all().length, last: $input.last().json.text}}]"}},
]  # fmt: skip
PEOPLE = [{"name": f"Ann {number}"} for number in range(5_000)]


class Steps:
    def __init__(self, scenario: WorkflowScenario, units: PostgresWorkflowUnits) -> None:
        self.scenario, self.units = scenario, units

    def call(self, run: Run, step: str, arguments: Mapping[str, Any]) -> TaskCall:
        return TaskCall(self.scenario.tenant, run.id, step, -1, arguments, "ann", Role.ADMIN, lineage=run.lineage)

    def run(
        self, run: Run, nodes: list[dict[str, Any]], items: object, *, stored: bool = True, others: object = ()
    ) -> Mapping[str, Any]:
        given, last = nodes[0]["name"], nodes[-1]["name"]
        arguments = {
            "workflow": {
                "name": "w",
                "nodes": [*nodes, {"name": "Other", "type": "n8n-nodes-base.noOp"}],
                "connections": {given: {"main": [[{"node": last}]]}},
                "settings": {"executionOrder": "v1"},
            },
            "given": [{"node": given, "outputs": [items]}, {"node": "Other", "outputs": [others]}],
            "returns": [{"name": "out", "node": last, "output": 0, "stored": stored}],
        }
        return n8n_node.run_nodes(self.call(run, last.lower(), arguments))

    def rows(self, run: Run) -> list[Any]:
        query = "select * from stored_items where run_id = %s order by id, number"
        return self.scenario.cluster.query(query, run.id)


@pytest.fixture
def steps(cluster: Cluster, app_role: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch) -> Steps:
    units = PostgresWorkflowUnits(app_role, None, cluster.vault(app_role))
    monkeypatch.setattr(n8n_node, "sandbox", EngineSandbox)
    monkeypatch.setattr(step_items, "workflow_units", lambda: units)
    return Steps(WorkflowScenario(cluster, units, tenant), units)


def test_a_step_gets_the_items_that_another_one_stored(steps: Steps) -> None:
    run = steps.scenario.start_run()
    greeted = steps.run(run, GREET, PEOPLE)["items"]["out"]
    assert greeted == reference(UUID(greeted["stored_items"]), 5_000)
    # What two branches gave is in one list: stored items and others.
    result = steps.run(run, COUNT, [greeted, {"text": "Dear Bo"}], others=[greeted])
    assert result == {"items": {"out": [{"count": 5_001, "last": "Dear Bo"}]}}


def test_few_items_and_those_that_expressions_need_stay_in_the_result(steps: Steps) -> None:
    run = steps.scenario.start_run()
    assert steps.run(run, GREET, PEOPLE[:2])["items"]["out"][1] == {"name": "Ann 1", "text": "Dear Ann 1"}
    assert len(steps.run(run, GREET, PEOPLE, stored=False)["items"]["out"]) == 5_000
    assert steps.run(run, GREET, [])["items"]["out"] == []
    assert steps.rows(run) == []


def test_items_are_stored_encrypted_in_parts_and_read_by_the_page(steps: Steps) -> None:
    run = steps.scenario.start_run()
    greeted = steps.run(run, GREET, PEOPLE)["items"]["out"]
    rows = steps.rows(run)
    assert len(rows) > 1
    assert [row["first"] for row in rows] == [sum(one["count"] for one in rows[:n]) for n in range(len(rows))]
    assert all(b"Ann" not in bytes(row["items_enc"]) for row in rows)
    items_id = UUID(greeted["stored_items"])
    with steps.units(steps.scenario.tenant) as unit:
        for first in (0, rows[1]["first"] - 1, rows[1]["first"], 4_999):
            page = unit.stored_items.page(items_id, [run.id], first, 3)
            assert [item["name"] for item in page] == [one["name"] for one in PEOPLE[first : first + 3]]
        assert unit.stored_items.page(items_id, [run.id], 5_000, 3) == []
        assert unit.stored_items.page(items_id, [uuid4()], 0, 3) == []


def test_items_of_other_runs_are_not_loaded(steps: Steps) -> None:
    first = steps.scenario.start_run()
    greeted = steps.run(first, GREET, PEOPLE)["items"]["out"]
    other = replace(first, id=uuid4())
    result = steps.run(other, COUNT, [greeted, reference(uuid4(), 3)])
    assert result["items"]["out"][0]["count"] == 2, "they are items like others"
    goes_on = replace(first, id=uuid4(), lineage=[first.id])
    assert steps.run(goes_on, COUNT, [greeted])["items"]["out"][0]["count"] == 5_000


def test_a_request_sends_the_items(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Mapping[str, Any]] = []

    class Server:
        def send_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
            sent.append(request)
            return {"status": 200, "headers": {}, "body": None}

    monkeypatch.setattr(http_request, "outbound", Server)
    run = steps.scenario.start_run()
    greeted = steps.run(run, GREET, PEOPLE)["items"]["out"]
    http_request.fetch(
        steps.call(run, "tell", {"url": "https://a.example", "method": "POST", "body": {"people": greeted}})
    )
    assert len(json.loads(base64.b64decode(sent[0]["body"]))["people"]) == 5_000


def test_a_calling_workflow_gets_the_items_of_what_ran_last(steps: Steps) -> None:
    run = steps.scenario.start_run()
    greeted = steps.run(run, GREET, PEOPLE)
    at = steps.scenario.clock()
    with steps.scenario.units(steps.scenario.tenant) as unit:
        unit.runs.record(run.id, StepRecord("greet", -1, "n8n.node", StepStatus.SUCCEEDED, at, 1, greeted, None, at))
        unit.commit()
    steps.scenario.runs.end(steps.scenario.tenant, run.id, RunStatus.SUCCEEDED)
    result = result_of_run(steps.scenario.runs.get(steps.scenario.tenant, run.id))
    loaded = step_items.loaded_of_runs(steps.scenario.tenant, [run.id], result)
    assert len(loaded["items"]) == 5_000


def test_a_run_can_not_fill_the_database(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    run = steps.scenario.start_run()
    steps.run(run, GREET, PEOPLE)
    size = sum(len(row["items_enc"]) for row in steps.rows(run))
    monkeypatch.setattr(stored_items, "_MAX_RUN_BYTES", size * 2 - 1)
    before = len(steps.rows(run))
    with pytest.raises(InvalidInput, match="have more than 0 MB"):
        steps.run(run, GREET, PEOPLE)
    assert len(steps.rows(run)) == before
