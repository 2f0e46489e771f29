"""n8n.node with nodes that send requests: each is sent once, and a repeated step goes on where it was."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.aws.lambda_sandbox import Answer
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import Forbidden, InvalidInput, Unavailable
from email_sender.kit.tasks.call import TaskCall
from email_sender.security.permissions import Role
from email_sender.workflows.model import Run, RunStatus
from tests.database import Cluster
from tests.fakes.engine_sandbox import EngineSandbox
from tests.functional.workflow_scenario import WorkflowScenario
from workflows_lambda.actions import n8n_node, n8n_requests

# The second request has what the first one answered, the time, and random numbers.
NODES: list[dict[str, Any]] = [
    {"name": "Start", "type": "n8n-nodes-base.manualTrigger"},
    {"name": "Ask", "type": "n8n-nodes-base.httpRequest", "typeVersion": 4.2,
     "parameters": {"url": "https://crm.example.com/people"}},
    {"name": "Tell", "type": "n8n-nodes-base.httpRequest", "typeVersion": 4.2,
     "parameters": {"method": "POST", "url": "https://crm.example.com/told", "sendBody": True, "specifyBody": "json",
                    "jsonBody": "={{ {who: $json.name, at: $now.toMillis(), pick: Math.random()} }}"}},
]  # fmt: skip
CONNECTIONS = {"Start": {"main": [[{"node": "Ask"}]]}, "Ask": {"main": [[{"node": "Tell"}]]}}


class ProcessEnd(BaseException):
    """Stands for the end of the process."""


@dataclass
class Server:
    """The other system. `on_request` gets the number of the request, before the response goes back."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    on_request: Callable[[int], None] = lambda _number: None
    body: str = '{"name": "Ann Example"}'
    status: int = 200

    def send_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.requests.append(dict(request))
        self.on_request(len(self.requests))
        return {"status": self.status, "headers": {"content-type": "application/json"}, "text": self.body}

    def sent(self, path: str) -> list[Any]:
        bodies = [base64.b64decode(one["body"]) for one in self.requests if one["url"].endswith(path)]
        return [json.loads(body or b"null") for body in bodies]


@dataclass
class Step:
    scenario: WorkflowScenario
    server: Server = field(default_factory=Server)

    def run(self, run: Run, nodes: list[dict[str, Any]] = NODES, people: int = 1) -> Mapping[str, Any]:
        arguments = {
            "workflow": {"name": "w", "nodes": nodes, "connections": CONNECTIONS, "settings": {"executionOrder": "v1"}},
            "given": [{"node": "Start", "outputs": [[{"number": number} for number in range(people)]]}],
            "returns": [{"name": "out", "node": nodes[-1]["name"], "output": 0}],
        }
        return n8n_node.run_nodes(TaskCall(self.scenario.tenant, run.id, "ask", -1, arguments, "ann", Role.ADMIN))

    def stored(self, run: Run) -> list[Any]:
        return self.scenario.cluster.query("select * from step_responses where run_id = %s", run.id)


class Enabled:
    def enabled(self, _feature: object, _tenant: UUID) -> bool:
        return True


@pytest.fixture
def step(cluster: Cluster, app_role: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch) -> Step:
    units = PostgresWorkflowUnits(app_role, None, cluster.vault(app_role))
    step = Step(WorkflowScenario(cluster, units, tenant))
    monkeypatch.setattr(n8n_node, "sandbox", EngineSandbox)
    monkeypatch.setattr(n8n_requests, "live_features", Enabled)
    monkeypatch.setattr(n8n_requests, "workflow_units", lambda: units)
    monkeypatch.setattr(n8n_requests, "outbound", lambda: step.server)
    return step


def test_nodes_send_requests_one_after_the_other(step: Step) -> None:
    run = step.scenario.start_run()
    assert step.run(run) == {"items": {"out": [{"name": "Ann Example"}]}}
    assert step.server.sent("/people") == [None]
    (told,) = step.server.sent("/told")
    assert told["who"] == "Ann Example"
    assert "idempotency-key" not in step.server.requests[0]["headers"]
    assert step.server.requests[1]["headers"]["idempotency-key"]


def test_a_process_that_ends_between_two_requests_does_not_send_the_first_again(step: Step) -> None:
    run = step.scenario.start_run()

    def end(number: int) -> None:
        if number == 2:
            raise ProcessEnd

    step.server.on_request = end
    with pytest.raises(ProcessEnd):
        step.run(run)
    step.server.on_request = lambda _number: None
    step.run(run)
    assert step.server.sent("/people") == [None]
    # The second request may have arrived. It is the same again, with the time, the random numbers and the key it had.
    first, second = step.server.requests[1:]
    assert first == second


def test_a_process_that_ends_after_the_last_response_sends_nothing_again(step: Step) -> None:
    run = step.scenario.start_run()
    first = step.run(run)
    assert step.run(run) == first
    assert len(step.server.requests) == 2


def test_requests_of_all_items_are_sent_at_once_and_only_missing_ones_again(step: Step) -> None:
    run = step.scenario.start_run()

    def end(number: int) -> None:
        if number == 3:
            raise ProcessEnd

    step.server.on_request = end
    with pytest.raises(ProcessEnd):
        step.run(run, NODES[:2], people=5)
    stored = len(step.stored(run))
    step.server.on_request = lambda _number: None
    assert len(step.run(run, NODES[:2], people=5)["items"]["out"]) == 5
    assert len(step.stored(run)) == 5
    assert 5 < len(step.server.requests) <= 10 - stored


def test_responses_are_encrypted_and_go_with_the_run(step: Step) -> None:
    run = step.scenario.start_run()
    step.run(run)
    rows = step.stored(run)
    assert len(rows) == 2
    assert all(b"Ann" not in bytes(row["response_enc"]) for row in rows)
    step.scenario.runs.end(step.scenario.tenant, run.id, RunStatus.SUCCEEDED)
    assert step.stored(run) == []


def test_runs_of_the_same_step_know_nothing_of_each_other(step: Step) -> None:
    first, second = step.scenario.start_run(), step.scenario.runs.start
    step.run(first)
    again = second(step.scenario.tenant, UUID(int=7), first.workflow_id, {"query": "x"}, _ann())
    step.run(again)
    told = step.server.sent("/told")
    assert len(told) == 2
    assert told[0]["pick"] != told[1]["pick"]


def _ann() -> Any:
    from tests.functional.workflow_scenario import ANN

    return ANN


def test_a_step_that_takes_long_goes_on_when_it_is_repeated(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    run = step.scenario.start_run()
    monkeypatch.setattr(n8n_requests, "_SECONDS", -1)
    with pytest.raises(Unavailable, match="have sent 0 requests"):
        step.run(run)
    monkeypatch.setattr(n8n_requests, "_SECONDS", 60)
    assert step.run(run)["items"]["out"]


@pytest.mark.parametrize(
    ("people", "body", "message"),
    [(501, "{}", "more than 500 requests"), (2, '"' + "x" * 2_400_000 + '"', "have more than 4,500,000 characters")],
)
def test_requests_and_responses_are_limited(step: Step, people: int, body: str, message: str) -> None:
    step.server.body = body
    with pytest.raises(InvalidInput, match=message):
        step.run(step.scenario.start_run(), NODES[:2], people)


def test_a_tenant_without_requests_sends_none(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    class Disabled:
        def enabled(self, _feature: object, _tenant: UUID) -> bool:
            return False

    monkeypatch.setattr(n8n_requests, "live_features", Disabled)
    with pytest.raises(Forbidden, match="http"):
        step.run(step.scenario.start_run())
    assert step.server.requests == []


@pytest.mark.parametrize(
    "request_", [3, {}, {"method": "TRACE", "url": "https://a.example"}, {"method": "GET", "url": "https://a.example",
     "auth": {"secret": "../other", "place": "header"}}, {"method": "GET", "url": "https://a.example", "seconds": 1e9}],
)  # fmt: skip
def test_what_is_no_request_is_refused(step: Step, monkeypatch: pytest.MonkeyPatch, request_: object) -> None:
    class Forged:
        def run(self, _request: Mapping[str, Any]) -> Answer:
            return Answer(runs={}, error=None, requests=[request_])

    monkeypatch.setattr(n8n_node, "sandbox", Forged)
    with pytest.raises(InvalidInput, match="request is invalid"):
        step.run(step.scenario.start_run())
    assert step.server.requests == []
