"""Tests for the compiler's output. tests/functional/test_compiled_state_machines.py runs the state machines."""

import json
import os
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.errors import InvalidInput
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.compiler import compiler
from email_sender.workflows.compiler.compiler import compile_definition
from email_sender.workflows.definition import step_reader
from email_sender.workflows.definition.model import Definition
from tests.unit.workflows.samples import OUTREACH, TARGETS, TENANT, WORKFLOW, compile_raw, parse

GOLDEN = Path(__file__).with_name("outreach.asl.json")


def chain(size: int) -> dict[str, Any]:
    """Return steps in rows of three, each reading an earlier step; every tenth step has a condition."""
    entries = []
    for index in range(size):
        before = f"s{index - 1 if index % 3 else index - 3}"
        entry: dict[str, Any] = {"id": f"s{index}", "uses": "email.send", "with": {"draft": "d"}}
        if index:
            entry |= {"needs": [before], "with": {"draft": f"{{% $steps.{before}.email_id %}}"}} if index >= 3 else {}
        if index % 10 == 9:
            entry["when"] = f"{{% $steps.{before}.status = 'sent' %}}"
        entries.append(entry)
    return {"name": "chain", "steps": entries}


def every_state(states: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return all states of a state machine, including those inside Parallel and Map states."""
    all_states = []
    for name, state in states.items():
        all_states.append((name, state))
        inner = [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]
        for machine in inner:
            all_states.extend(every_state(machine["States"]))
    return all_states


def test_the_outreach_example_compiles_to_the_golden_file() -> None:
    text = json.dumps(compile_raw(OUTREACH), indent=2) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize("name", ["start", "succeeded", "failed", "run", "level"])
def test_a_compiled_machine_has_each_state_once(name: str) -> None:
    """A step whose id is the name of one of the machine's own states must not replace it."""
    other_name = "a"
    assert len(states_of(name)) == len(states_of(other_name))


def states_of(step_id: str) -> list[str]:
    raw = {"name": "n", "steps": [{"id": step_id, "uses": "email.send", "with": {"draft": "d"}}]}
    return [name for name, _ in every_state(compile_raw(raw)["States"])]


def test_compiling_a_definition_twice_returns_the_same_bytes() -> None:
    first = json.dumps(compile_raw(chain(30)))
    assert all(json.dumps(compile_raw(chain(30))) == first for _ in range(3))


def test_state_names_are_unique_and_short() -> None:
    names = [name for name, _ in every_state(compile_raw(chain(60))["States"])]
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= 80
    longest = {"id": "x" * 64, "uses": "email.send", "for_each": "{% [1] %}", "on_error": "continue"}
    raw = {"name": "long", "steps": [longest | {"when": "{% true %}", "with": {"draft": "d"}}]}
    assert max(len(name) for name, _ in every_state(compile_raw(raw)["States"])) <= 80


@pytest.mark.parametrize("raw", [OUTREACH, chain(20)], ids=["outreach", "chain"])
def test_every_transition_leads_to_a_state_and_every_state_is_reachable(raw: dict[str, Any]) -> None:
    def check(machine: dict[str, Any]) -> None:
        states, targets = machine["States"], {machine["StartAt"]}
        for state in states.values():
            targets |= {state[key] for key in ("Next", "Default") if key in state}
            targets |= {transition["Next"] for transition in (*state.get("Catch", []), *state.get("Choices", []))}
            for inner in (*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])):
                check(inner)
        assert targets == set(states)  # nothing is missing, nothing is out of reach

    check(compile_raw(raw))


@pytest.mark.parametrize("raw", [OUTREACH, chain(20)], ids=["outreach", "chain"])
def test_the_state_machine_matches_the_asl_schema(raw: dict[str, Any]) -> None:
    data = resources.files("cfnlint.data.schemas.other.step_functions").joinpath("statemachine.json")
    machine = compile_raw(raw)
    for _, state in every_state(machine["States"]):
        # The schema ignores the state machine's own QueryLanguage and has none for Succeed.
        state |= {} if state["Type"] == "Succeed" else {"QueryLanguage": "JSONata"}
    assert [error.message for error in Draft7Validator(json.loads(data.read_text())).iter_errors(machine)] == []


def test_every_callback_has_a_timeout() -> None:
    states = dict(every_state(compile_raw(OUTREACH)["States"]))
    tokens = [state for state in states.values() if state.get("Resource", "").endswith(".waitForTaskToken")]
    assert [state["TimeoutSeconds"] for state in tokens] == [3 * 86_400]


def test_a_step_cannot_override_its_tenant_or_run() -> None:
    raw = {
        "name": "x",
        "steps": [
            {
                "id": "a",
                "uses": "event.publish",
                "with": {"type": "t", "data": {"tenant_id": "other", "run_id": "{% $run.id %}"}},
            }
        ],
    }
    payload = compile_raw(raw)["States"]["a"]["Arguments"]["Payload"]
    assert payload["tenant_id"] == TENANT
    assert payload["with"]["data"] == {"tenant_id": "other", "run_id": "{% $run.id %}"}


def test_platform_values_are_quoted() -> None:
    machine = compile_definition(
        parse(OUTREACH), tenant_id='{% $inputs."x" %}', workflow_id="w", version=1, targets=TARGETS
    )
    assert machine["States"]["select"]["Arguments"]["Payload"]["tenant_id"] == '{% "{% $inputs.\\"x\\" %}" %}'


def test_the_definitions_retry_comes_before_the_platforms() -> None:
    retry = dict(every_state(compile_raw(OUTREACH)["States"]))["send.item"]["Retry"]
    assert retry[0] == {
        "ErrorEquals": ["throttled", "unavailable"],
        "IntervalSeconds": 2,
        "BackoffRate": 2.0,
        "MaxAttempts": 4,
    }
    # A step waits up to a day for a stopped manager.
    assert retry[1]["ErrorEquals"] == ["stopped"]
    assert retry[1]["MaxAttempts"] * retry[1]["MaxDelaySeconds"] > 86_000
    assert "Lambda.TooManyRequestsException" in retry[2]["ErrorEquals"]


def test_a_single_attempt_adds_no_retry_for_the_step() -> None:
    raw = {
        "name": "x",
        "steps": [{"id": "a", "uses": "email.send", "retry": {"max_attempts": 1}, "with": {"draft": "d"}}],
    }
    retried_errors = {error for retrier in compile_raw(raw)["States"]["a"]["Retry"] for error in retrier["ErrorEquals"]}
    assert not retried_errors & {"throttled", "unavailable", "States.ALL"}


def test_a_timeout_is_retried_under_the_engines_names() -> None:
    raw = {
        "name": "x",
        "steps": [{"id": "a", "uses": "email.send", "retry": {"on": ["timeout"]}, "with": {"draft": "d"}}],
    }
    assert "States.Timeout" in compile_raw(raw)["States"]["a"]["Retry"][0]["ErrorEquals"]


def test_a_missing_target_function_is_a_lookup_error() -> None:
    with pytest.raises(LookupError, match=r"no function for 'vectors\.search'"):
        compile_raw(OUTREACH, {})


def test_an_oversized_state_machine_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "MAX_MACHINE_BYTES", 10_000)
    with pytest.raises(InvalidInput, match="the maximum is 10000 bytes"):
        compile_raw(chain(10))


def compile_seconds(definition: Definition) -> float:
    """Return the CPU time of one compilation: the best of five, because the computer is shared."""
    times = []
    for _ in range(5):
        start = time.process_time()
        compile_definition(definition, tenant_id=TENANT, workflow_id=WORKFLOW, version=1, targets=TARGETS)
        times.append(time.process_time() - start)
    return min(times)


def test_a_hundred_steps_compile_quickly() -> None:
    assert compile_seconds(parse(chain(100))) < 0.5


def test_compile_time_grows_linearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_reader, "MAX_STEPS", 2_000)
    monkeypatch.setattr(compiler, "MAX_MACHINE_BYTES", 10_000_000)
    small, large = compile_seconds(parse(chain(100))), compile_seconds(parse(chain(1_000)))
    assert large < 25 * small  # ten times the steps; the rest allows for a busy computer


def test_the_largest_allowed_definition_fits_the_size_limit() -> None:
    size = len(json.dumps(compile_raw(chain(400)), separators=(",", ":")))
    assert size < compiler.MAX_MACHINE_BYTES


def test_the_jsonata_adapter_reports_the_roots_of_an_expression() -> None:
    assert JsonataExpressions().check("$steps.a & $item").roots == {"steps", "item"}


@pytest.mark.parametrize("action", list(ACTION_CATALOGUE), ids=lambda action: action.name)
def test_every_action_has_a_description_and_object_schemas(action: Any) -> None:
    assert action.description.endswith(".")
    assert action.input_schema["type"] == action.result_schema["type"] == "object"
