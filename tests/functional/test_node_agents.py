"""n8n.node with agents: the model is asked once for each turn, tools run with its arguments, and memory lasts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.aws.lambda_sandbox import parse_answer
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited, Unavailable
from email_sender.kit.system_clock import now
from email_sender.kit.tasks.call import TaskCall
from email_sender.security.features import Feature
from email_sender.security.permissions import Role
from email_sender.security.quotas import QuotaExceeded
from email_sender.workflows.generation import GeneratedText, Prompt, ToolCall
from email_sender.workflows.model import Run, RunDetail, RunStatus, StepRecord, StepStatus
from tests.database import Cluster
from tests.fakes.engine_sandbox import EngineSandbox
from tests.functional.test_node_requests import ProcessEnd, Server
from tests.functional.workflow_scenario import WorkflowScenario
from workflows_lambda.actions import n8n_memory, n8n_models, n8n_node, n8n_requests

AGENT: dict[str, Any] = {
    "name": "Agent", "type": "agent", "typeVersion": 2.2,
    "parameters": {"promptType": "define", "text": "=Who is {{ $json.id }}?", "options": {"systemMessage": "Be kind."}},
}  # fmt: skip
LOOK_UP: dict[str, Any] = {
    "name": "Look up", "type": "httpRequestTool", "typeVersion": 4.2,
    "parameters": {"toolDescription": "Find a person.", "method": "POST", "sendBody": True, "specifyBody": "json",
                   "url": "=https://crm.example.com/{{ $fromAI('id', 'the number', 'number') }}",
                   "jsonBody": "={{ {asked: $json.id} }}"},
}  # fmt: skip
MEMORY: dict[str, Any] = {
    "name": "Memory", "type": "memoryBufferWindow", "typeVersion": 1.3,
    "parameters": {"sessionIdType": "customKey", "sessionKey": "={{ $json.session }}", "contextWindowLength": 1},
}  # fmt: skip
PARSER: dict[str, Any] = {
    "name": "Parser", "type": "outputParserStructured", "typeVersion": 1.3,
    "parameters": {"jsonSchemaExample": '{"name": "Ann", "age": 3}'},
}  # fmt: skip
KINDS = {"Memory": "ai_memory", "Parser": "ai_outputParser"}


@dataclass
class Model:
    """A text model that gives these answers: a text, or calls of tools."""

    answers: list[str | list[ToolCall] | Exception]
    prompts: list[Prompt] = field(default_factory=list)
    counted: list[tuple[int, int]] = field(default_factory=list)
    model: str = "m"

    def write(self, prompt: Prompt) -> GeneratedText:
        self.prompts.append(prompt)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return GeneratedText(answer, 10, 2) if isinstance(answer, str) else GeneratedText("", 10, 2, answer)

    @contextmanager
    def tokens(self, _tenant: UUID, expected: int) -> Iterator[Any]:
        yield lambda used: self.counted.append((expected, used))


@dataclass
class Agents:
    scenario: WorkflowScenario
    model: Model
    server: Server = field(default_factory=Server)

    def run(
        self,
        run: Run,
        *belonging: Mapping[str, Any],
        items: Sequence[Any] = ({"id": 7},),
        role: Role = Role.ADMIN,
        **parameters: Any,
    ) -> Any:
        agent = {**AGENT, "parameters": {**AGENT["parameters"], **parameters}}
        edge = [[{"node": "Agent", "index": 0}]]
        connections = {one["name"]: {KINDS.get(one["name"], "ai_tool"): edge} for one in belonging}
        arguments = {
            "workflow": {
                "name": "w",
                "nodes": [{"name": "Start", "type": "manualTrigger"}, agent, *belonging],
                "connections": {"Start": {"main": [[{"node": "Agent"}]]}, **connections},
                "settings": {"executionOrder": "v1"},
            },
            "given": [{"node": "Start", "outputs": [list(items)]}],
            "returns": [{"name": "out", "node": "Agent", "output": 0}],
        }
        call = TaskCall(self.scenario.tenant, run.id, "ask", -1, arguments, "ann", role)
        return n8n_node.run_nodes(call)["items"]["out"]


class Enabled:
    def __init__(self, *disabled: Feature) -> None:
        self._disabled = disabled

    def enabled(self, feature: Feature, _tenant: UUID) -> bool:
        return feature not in self._disabled


@pytest.fixture
def agents(cluster: Cluster, app_role: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch) -> Agents:
    units = PostgresWorkflowUnits(app_role, None, cluster.vault(app_role))
    agents = Agents(WorkflowScenario(cluster, units, tenant), Model([]))
    monkeypatch.setattr(n8n_node, "sandbox", EngineSandbox)
    monkeypatch.setattr(n8n_requests, "live_features", Enabled)
    monkeypatch.setattr(n8n_requests, "workflow_units", lambda: units)
    monkeypatch.setattr(n8n_memory, "workflow_units", lambda: units)
    monkeypatch.setattr(n8n_requests, "outbound", lambda: agents.server)
    monkeypatch.setattr(n8n_models, "text_model", lambda _seconds: agents.model)
    monkeypatch.setattr(n8n_models, "model_tokens", lambda *given: agents.model.tokens(*given))
    return agents


def call(arguments: str = '{"id": 7}', name: str = "Look_up", number: str = "c1") -> list[ToolCall]:
    return [ToolCall(number, name, arguments)]


def test_an_agent_calls_a_tool_and_answers(agents: Agents) -> None:
    agents.model.answers = [call(), "It is Ann Example."]
    assert agents.run(agents.scenario.start_run(), LOOK_UP) == [{"output": "It is Ann Example."}]
    (request,) = agents.server.requests
    assert request["url"] == "https://crm.example.com/7"
    first, second = agents.model.prompts
    (tool,) = first.tools
    assert (tool.name, tool.description) == ("Look_up", "Find a person.")
    assert tool.parameters["properties"] == {"id": {"type": "number", "description": "the number"}}
    assert tool.parameters["required"] == ["id"]
    assert (first.system, [turn.text for turn in first.turns]) == ("Be kind.", ["Who is 7?"])
    assert [turn.role for turn in second.turns] == ["user", "assistant", "tool"]
    assert second.turns[-1].text == '[{"name":"Ann Example"}]'
    assert [used for _expected, used in agents.model.counted] == [12, 12]


def test_a_process_that_ends_asks_and_calls_nothing_twice(agents: Agents) -> None:
    agents.model.answers = [call(), call(number="c2"), "It is Ann Example."]
    run = agents.scenario.start_run()

    def end(number: int) -> None:
        if number == 2:
            raise ProcessEnd

    agents.server.on_request = end
    with pytest.raises(ProcessEnd):
        agents.run(run, LOOK_UP)
    asked = len(agents.model.prompts)
    agents.server.on_request = lambda _number: None
    assert agents.run(run, LOOK_UP) == [{"output": "It is Ann Example."}]
    # The model was asked for the third turn only, and the second call has the same key again.
    assert (asked, len(agents.model.prompts)) == (2, 3)
    first, second, third = (request["headers"]["idempotency-key"] for request in agents.server.requests)
    assert first != second == third
    assert agents.run(run, LOOK_UP) == [{"output": "It is Ann Example."}]
    assert len(agents.model.prompts) == 3


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (call(name="nothing"), "nothing is not a valid tool, try another one."),
        (call(name="LOOK_up"), '[{"name":"Ann Example"}]'),
        (call('{"other": 1}'), '[{"name":"Ann Example"}]'),
    ],
)
def test_the_model_is_told_what_became_of_its_call(agents: Agents, asked: list[ToolCall], told: str) -> None:
    agents.model.answers = [asked, "Done."]
    agents.run(agents.scenario.start_run(), LOOK_UP)
    assert agents.model.prompts[1].turns[-1].text == told


def test_a_tool_that_fails_is_no_failure_of_the_agent(agents: Agents) -> None:
    agents.model.answers = [call(), "I could not find out."]
    agents.server.status = 404
    assert agents.run(agents.scenario.start_run(), LOOK_UP) == [{"output": "I could not find out."}]
    assert "could not be found" in agents.model.prompts[1].turns[-1].text


def test_an_agent_ends_after_its_rounds(agents: Agents) -> None:
    agents.model.answers = [call(), call()]
    (item,) = agents.run(agents.scenario.start_run(), LOOK_UP, options={"maxIterations": 2})
    assert item == {"output": "Agent stopped due to max iterations."}


def test_arguments_that_are_no_json_fail_the_node(agents: Agents) -> None:
    agents.model.answers = [call("{")]
    with pytest.raises(InvalidInput, match="doesn't fit required format"):
        agents.run(agents.scenario.start_run(), LOOK_UP)


def test_a_parser_gives_data_and_a_wrong_answer_is_asked_for_again(agents: Agents) -> None:
    agents.model.answers = ["Ann is 3.", '{"name": "Ann", "age": 3, "more": 1}']
    items = agents.run(agents.scenario.start_run(), PARSER, hasOutputParser=True)
    assert items == [{"output": {"name": "Ann", "age": 3}}]
    assert '"required": ["name", "age"]' in agents.model.prompts[0].turns[-1].text


def test_an_answer_that_does_not_match_its_schema_twice_fails_the_node(agents: Agents) -> None:
    agents.model.answers = ["Ann", '{"name": 1, "age": 3}']
    with pytest.raises(InvalidInput, match="doesn't fit required format"):
        agents.run(agents.scenario.start_run(), PARSER, hasOutputParser=True)


def test_items_are_asked_for_at_once_and_tools_see_their_own_item(agents: Agents) -> None:
    agents.model.answers = [call(), call(), "One.", "Two."]
    items = agents.run(agents.scenario.start_run(), LOOK_UP, items=[{"id": 1}, {"id": 2}])
    assert {item["output"] for item in items} == {"One.", "Two."}
    assert sorted(body["asked"] for body in agents.server.sent("/7")) == [1, 2]


def test_a_session_is_remembered_in_the_next_run_of_the_workflow(agents: Agents) -> None:
    first = agents.scenario.start_run()
    second = agents.scenario.start_run(first.workflow_id)
    for run, session, answer in ((first, "s", "One."), (second, "s", "Two.")):
        agents.model.answers = [answer]
        agents.run(run, MEMORY, items=[{"id": answer, "session": session}])
    agents.model.answers = ["Three.", "Four."]
    third = agents.scenario.start_run(first.workflow_id)
    agents.run(third, MEMORY, items=[{"id": 3, "session": "s"}, {"id": 4, "session": "s"}])
    agents.model.answers = ["Nobody."]
    agents.run(agents.scenario.start_run(first.workflow_id), MEMORY, items=[{"id": 5, "session": "other"}])
    assert [[turn.text for turn in prompt.turns] for prompt in agents.model.prompts] == [
        ["Who is One.?"],
        ["Who is One.?", "One.", "Who is Two.?"],
        # Only the last pair is remembered, and an item sees what was said for the one before it.
        ["Who is Two.?", "Two.", "Who is 3?"],
        ["Who is 3?", "Three.", "Who is 4?"],
        ["Who is 5?"],
    ]
    # A repeated step stores nothing twice.
    agents.run(third, MEMORY, items=[{"id": 3, "session": "s"}, {"id": 4, "session": "s"}])
    tenant = agents.scenario.tenant
    stored = agents.scenario.cluster.query("select * from conversations where tenant_id = %s", tenant)
    assert len(stored) == 5
    assert all(b"Who is" not in bytes(row["turns_enc"]) for row in stored)


def test_a_session_without_a_name_fails_the_node(agents: Agents) -> None:
    with pytest.raises(InvalidInput, match="Error in sub-node Memory"):
        agents.run(agents.scenario.start_run(), MEMORY)


def test_what_was_sent_beside_a_failure_is_not_sent_again(agents: Agents) -> None:
    """Two items ask at once: the tool of one, and the model of the other, which does not answer."""
    agents.model.answers = [call(), "Two.", Unavailable("The text model did not respond.")]
    run = agents.scenario.start_run()
    # The second item's conversation is longer by one turn, so that its model is asked while the first one's tool runs.
    with pytest.raises(Unavailable):
        agents.run(run, LOOK_UP, items=[{"id": 1}, {"id": 2}, {"id": 3}])
    sent = len(agents.server.requests)
    stored = len(agents.scenario.cluster.query("select * from step_responses where run_id = %s", run.id))
    agents.model.answers = ["Three.", "One."]
    items = agents.run(run, LOOK_UP, items=[{"id": 1}, {"id": 2}, {"id": 3}])
    assert len(items) == 3
    assert stored == 2, "the answers beside the failure are kept"
    assert (sent, len(agents.server.requests)) == (0, 1)


def test_an_agent_can_be_the_tool_of_an_agent(agents: Agents) -> None:
    inner = {"name": "Expert", "type": "agentTool", "typeVersion": 2.2,
             "parameters": {"toolDescription": "Knows.", "text": "={{ $fromAI('question') }}"}}  # fmt: skip
    agents.model.answers = [call('{"question": "Why?"}', "Expert"), "Because.", "It says: because."]
    assert agents.run(agents.scenario.start_run(), inner) == [{"output": "It says: because."}]
    outer, expert, last = agents.model.prompts
    assert outer.tools[0].parameters["required"] == ["question"]
    assert [turn.text for turn in expert.turns] == ["Why?"]
    assert last.turns[-1].text == '[{"output":"Because."}]'


def test_a_tool_that_draws_lots_gives_the_same_for_the_same_call(agents: Agents) -> None:
    code = "const d = $getWorkflowStaticData(); d.n = (d.n ?? 0) + 1; return `${Math.random()} ${Date.now()} ${d.n}`"
    lots = {"name": "Lots", "type": "toolCode", "typeVersion": 1.3, "parameters": {"description": "x", "jsCode": code}}
    agents.model.answers = [call("{}", "Lots", "c1"), call("{}", "Lots", "c2"), "Done."]
    agents.run(agents.scenario.start_run(), lots)
    second, third = agents.model.prompts[1:]
    assert second.turns[2].text == third.turns[2].text
    assert third.turns[2].text != third.turns[4].text


def test_tools_have_names_of_their_own(agents: Agents) -> None:
    tools: list[dict[str, Any]] = [
        {"name": name, "type": "toolThink", "typeVersion": 1.1, "parameters": {}} for name in ("検索", "翻訳")
    ]
    old = {
        "name": "Code",
        "type": "toolCode",
        "parameters": {"name": "my tool", "description": "x", "jsCode": "return 1"},
    }
    agents.model.answers = ["Done."]
    agents.run(agents.scenario.start_run(), *tools, old)
    assert [tool.name for tool in agents.model.prompts[0].tools] == ["my_tool", "_", "__2"]


def test_the_first_error_ends_the_node(agents: Agents) -> None:
    agents.model.answers = [Conflict("No."), "Two."]
    with pytest.raises(InvalidInput, match="'Agent' failed: No"):
        agents.run(agents.scenario.start_run(), MEMORY, items=[{"id": 1, "session": "s"}, {"id": 2, "session": "s"}])
    assert len(agents.model.prompts) == 1


# ---- Other workflows, and vectors -----------------------------------------------------------------------------------

CALL_OTHER: dict[str, Any] = {
    "name": "Other", "type": "toolWorkflow", "typeVersion": 2.2,
    "parameters": {"description": "Ask the other.", "workflowId": {"value": "x", "cachedResultName": "other"}},
}  # fmt: skip


@dataclass
class Runs:
    """Runs of other workflows. Each is open for some questions, and then has this end. `last` are its last items."""

    status: RunStatus = RunStatus.SUCCEEDED
    open_for: int = 0
    error: Exception | None = None
    last: Mapping[str, Any] = field(default_factory=dict)
    called: list[tuple[UUID, str, Mapping[str, Any]]] = field(default_factory=list)

    def call(self, _tenant: UUID, run_id: UUID, workflow: str, inputs: Mapping[str, Any], _caller: UUID) -> None:
        if self.error is not None:
            raise self.error
        self.called.append((run_id, workflow, inputs))

    def get(self, _tenant: UUID, run_id: UUID) -> RunDetail:
        self.open_for -= 1
        status = RunStatus.RUNNING if self.open_for >= 0 else self.status
        run = Run(run_id, uuid4(), 1, status, {}, "ann", Role.ADMIN, now(), error={"message": "it broke"})
        ends = [now() - timedelta(seconds=second) for second in (2, 1, 0)]
        several = {"items": {"z_0": [{"n": 2}], "later_0": [{"n": 3}], "d_0": []}, "last": "later_0"}
        results: list[Mapping[str, Any]] = [{"items": {"a_0": [{"n": 1}]}}, several, {"items": self.last}]
        steps = [
            StepRecord(f"s{place}", -1, "n8n.node", StepStatus.SUCCEEDED, end, result=result, finished_at=end)
            for place, (end, result) in enumerate(zip(ends, results, strict=True))
        ]
        computed = StepRecord("computed", -1, "", StepStatus.SUCCEEDED, now(), finished_at=now() + timedelta(seconds=1))
        return RunDetail(run, [*steps, computed])


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        (Runs(open_for=2), '[{"n":3}]'),
        (Runs(last={"e_0": []}), "[]"),
        (Runs(RunStatus.FAILED), '[{"error":"The workflow has failed: it broke"}]'),
        (Runs(error=NotFound("Workflow 'other' not found.")), """[{"error":"Workflow 'other' not found."}]"""),
    ],
)
def test_a_tool_that_is_a_workflow_gives_its_last_items(
    agents: Agents, monkeypatch: pytest.MonkeyPatch, runs: Runs, told: str
) -> None:
    monkeypatch.setattr(n8n_requests, "run_service", lambda: runs)
    monkeypatch.setattr(n8n_requests, "_POLL_SECONDS", 0)
    agents.model.answers = [call('{"input": "who?"}', "Other"), "Done."]
    run = agents.scenario.start_run()
    agents.run(run, CALL_OTHER)
    assert agents.model.prompts[1].turns[-1].text == told
    agents.run(run, CALL_OTHER)
    assert [called[1:] for called in runs.called] == ([] if runs.error else [("other", {"query": "who?"})])


def test_a_workflow_that_takes_long_is_not_started_again(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(open_for=10**9)
    monkeypatch.setattr(n8n_requests, "run_service", lambda: runs)
    monkeypatch.setattr(n8n_requests, "_POLL_SECONDS", 0)
    monkeypatch.setattr(n8n_requests, "_SECONDS", 0.2)
    agents.model.answers = [call('{"input": "who?"}', "Other")]
    run = agents.scenario.start_run()
    with pytest.raises(Unavailable, match="still runs"):
        agents.run(run, CALL_OTHER)
    runs.open_for, agents.model.answers = 0, ["Done."]
    assert agents.run(run, CALL_OTHER) == [{"output": "Done."}]
    first, second = runs.called
    assert first == second, "the same run, which exists"


def test_a_search_needs_the_right_to_read_vectors(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    class Passages:
        def find(self, _tenant: UUID, collection: str, text: str, limit: int) -> Any:
            return [{"text": f"{collection} {text} {limit}", "metadata": {}, "score": 1}]

    monkeypatch.setattr(n8n_requests, "passages", Passages)
    store = {"name": "Look up", "type": "vectorStoreQdrant", "parameters": {"mode": "retrieve-as-tool", "topK": 2}}
    agents.model.answers = [call('{"input": "who?"}'), "Done."]
    run = agents.scenario.start_run()
    agents.run(run, store)
    assert agents.model.prompts[1].turns[-1].text == '[{"pageContent":"message_vectors who? 2","metadata":{}}]'
    agents.model.answers = [call('{"input": "who?"}')]
    with pytest.raises(Forbidden):
        agents.run(agents.scenario.start_run(run.workflow_id), store, role=Role.OPERATOR)


@pytest.mark.parametrize("error", [Unavailable("The text model did not respond."), RateLimited("Throttled.")])
def test_a_model_that_does_not_answer_can_be_asked_again(agents: Agents, error: Exception) -> None:
    run = agents.scenario.start_run()
    agents.model.answers = [call(), error]
    with pytest.raises(Unavailable):
        agents.run(run, LOOK_UP)
    agents.model.answers = ["It is Ann Example."]
    assert agents.run(run, LOOK_UP) == [{"output": "It is Ann Example."}]
    assert len(agents.server.requests) == 1


def test_a_tenant_without_tokens_or_models_gets_a_clear_error(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    agents.model.answers = [QuotaExceeded("No tokens are left today.")]
    run = agents.scenario.start_run()
    with pytest.raises(QuotaExceeded):
        agents.run(run, LOOK_UP)
    monkeypatch.setattr(n8n_requests, "live_features", lambda: Enabled(Feature.AI_GENERATE))
    with pytest.raises(Forbidden, match="ai_generate"):
        agents.run(run, LOOK_UP)


@pytest.mark.parametrize(
    "asked",
    [
        {"turns": []},
        {"turns": [{"role": "system", "text": ""}]},
        {"turns": [{"role": "user", "text": ""}], "tools": [{"name": "a b", "description": "", "parameters": {}}]},
        {"turns": [{"role": "user", "text": "x" * 500_001}]},
        {"turns": [{"role": "assistant", "text": "x"}], "schema": {"type": "object"}},
        {"recall": {"session": "", "limit": 1}},
        {"search": {"collection": "message_vectors", "text": "", "limit": 1}},
        {"search": {"collection": "message_vectors", "text": "x", "limit": 51}},
        {"call": {"workflow": "", "inputs": {}}},
        {"call": {"workflow": "x", "inputs": []}},
        {"remember": {"session": "s", "turns": [{"role": "tool", "text": ""}]}},
        {"method": "GET", "url": "https://a.example", "recall": {"session": "s", "limit": 1}},
    ],
)
def test_what_code_beside_nodes_asks_for_is_checked(
    agents: Agents, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hostile:
        def run(self, _request: Mapping[str, Any]) -> Any:

            return parse_answer(json.dumps({"runs": {}, "error": None, "requests": [asked]}))

    monkeypatch.setattr(n8n_node, "sandbox", Hostile)
    with pytest.raises(InvalidInput):
        agents.run(agents.scenario.start_run())
    assert agents.model.prompts == []
