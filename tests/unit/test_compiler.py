"""What the compiler writes. What the machines do is in tests/functional/test_compiled_machines.py."""

import json
import os
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from email_sender.adapters.jsonata_expressions import JsonataExpressions
from email_sender.errors import InvalidInput
from email_sender.workflows import compiler, steps
from email_sender.workflows.catalogue import SPINE
from email_sender.workflows.compiler import compile_definition
from email_sender.workflows.definition import Definition
from tests.unit.workflow_samples import OUTREACH, TARGETS, TENANT, WORKFLOW, compiled, parse

GOLDEN = Path(__file__).with_name("outreach.asl.json")


def chain(size: int) -> dict[str, Any]:
    """Steps in rows of three, each reading the one before, every tenth with a condition."""
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
    """All states of a machine, those inside Parallel and Map too."""
    found = []
    for name, state in states.items():
        found.append((name, state))
        inner = [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]
        for machine in inner:
            found.extend(every_state(machine["States"]))
    return found


def test_the_outreach_example() -> None:
    text = json.dumps(compiled(OUTREACH), indent=2) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_same_definition_gives_the_same_bytes() -> None:
    first = json.dumps(compiled(chain(30)))
    assert all(json.dumps(compiled(chain(30))) == first for _ in range(3))


def test_state_names_are_unique_and_short() -> None:
    names = [name for name, _ in every_state(compiled(chain(60))["States"])]
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= 80
    longest = {"id": "x" * 64, "uses": "email.send", "for_each": "{% [1] %}", "on_error": "continue"}
    raw = {"name": "long", "steps": [longest | {"when": "{% true %}", "with": {"draft": "d"}}]}
    assert max(len(name) for name, _ in every_state(compiled(raw)["States"])) <= 80


@pytest.mark.parametrize("raw", [OUTREACH, chain(20)], ids=["outreach", "chain"])
def test_every_way_leads_to_a_state(raw: dict[str, Any]) -> None:
    def check(machine: dict[str, Any]) -> None:
        states, targets = machine["States"], {machine["StartAt"]}
        for state in states.values():
            targets |= {state[key] for key in ("Next", "Default") if key in state}
            targets |= {way["Next"] for way in (*state.get("Catch", []), *state.get("Choices", []))}
            for inner in (*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])):
                check(inner)
        assert targets == set(states)  # nothing is missing, nothing is out of reach

    check(compiled(raw))


@pytest.mark.parametrize("raw", [OUTREACH, chain(20)], ids=["outreach", "chain"])
def test_the_machine_is_what_the_schema_of_asl_allows(raw: dict[str, Any]) -> None:
    data = resources.files("cfnlint.data.schemas.other.step_functions").joinpath("statemachine.json")
    machine = compiled(raw)
    for _, state in every_state(machine["States"]):
        # The schema does not look up to the machine's own QueryLanguage, and knows none for Succeed.
        state |= {} if state["Type"] == "Succeed" else {"QueryLanguage": "JSONata"}
    assert [error.message for error in Draft7Validator(json.loads(data.read_text())).iter_errors(machine)] == []


def test_every_callback_has_a_timeout() -> None:
    states = dict(every_state(compiled(OUTREACH)["States"]))
    tokens = [state for state in states.values() if state.get("Resource", "").endswith(".waitForTaskToken")]
    assert [state["TimeoutSeconds"] for state in tokens] == [3 * 86_400]


def test_a_step_cannot_say_whose_it_is() -> None:
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
    payload = compiled(raw)["States"]["a"]["Arguments"]["Payload"]
    assert payload["tenant_id"] == TENANT
    assert payload["with"]["data"] == {"tenant_id": "other", "run_id": "{% $run.id %}"}


def test_what_the_platform_gives_is_quoted() -> None:
    machine = compile_definition(
        parse(OUTREACH), tenant_id='{% $inputs."x" %}', workflow_id="w", version=1, targets=TARGETS
    )
    assert machine["States"]["select"]["Arguments"]["Payload"]["tenant_id"] == '{% "{% $inputs.\\"x\\" %}" %}'


def test_first_the_retry_of_the_definition_then_the_platforms() -> None:
    retry = dict(every_state(compiled(OUTREACH)["States"]))["send.item"]["Retry"]
    assert retry[0] == {
        "ErrorEquals": ["throttled", "unavailable"],
        "IntervalSeconds": 2,
        "BackoffRate": 2.0,
        "MaxAttempts": 4,
    }
    # A stopped manager is waited for: a day, if need be.
    assert retry[1]["ErrorEquals"] == ["stopped"]
    assert retry[1]["MaxAttempts"] * retry[1]["MaxDelaySeconds"] > 86_000
    assert "Lambda.TooManyRequestsException" in retry[2]["ErrorEquals"]


def test_one_try_is_no_retry() -> None:
    raw = {
        "name": "x",
        "steps": [{"id": "a", "uses": "email.send", "retry": {"max_attempts": 1}, "with": {"draft": "d"}}],
    }
    named = {error for each in compiled(raw)["States"]["a"]["Retry"] for error in each["ErrorEquals"]}
    assert not named & {"throttled", "unavailable", "States.ALL"}


def test_a_timeout_is_retried_under_the_engines_names() -> None:
    raw = {
        "name": "x",
        "steps": [{"id": "a", "uses": "email.send", "retry": {"on": ["timeout"]}, "with": {"draft": "d"}}],
    }
    assert "States.Timeout" in compiled(raw)["States"]["a"]["Retry"][0]["ErrorEquals"]


def test_a_missing_function_is_a_fault_of_the_deployment() -> None:
    with pytest.raises(LookupError, match=r"no function for 'vectors\.search'"):
        compiled(OUTREACH, {})


def test_a_machine_has_a_greatest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "MAX_MACHINE_BYTES", 10_000)
    with pytest.raises(InvalidInput, match="may have 10000"):
        compiled(chain(10))


def compile_seconds(definition: Definition) -> float:
    """Of the processor, the best of five: the machine is shared."""
    times = []
    for _ in range(5):
        start = time.process_time()
        compile_definition(definition, tenant_id=TENANT, workflow_id=WORKFLOW, version=1, targets=TARGETS)
        times.append(time.process_time() - start)
    return min(times)


def test_a_hundred_steps_compile_in_fifty_milliseconds() -> None:
    assert compile_seconds(parse(chain(100))) < 0.05


def test_the_cost_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MAX_STEPS", 2_000)
    monkeypatch.setattr(compiler, "MAX_MACHINE_BYTES", 10_000_000)
    small, large = compile_seconds(parse(chain(100))), compile_seconds(parse(chain(1_000)))
    assert large < 25 * small  # ten times the steps; the rest is a noisy machine


def test_the_largest_definition_fits() -> None:
    size = len(json.dumps(compiled(chain(400)), separators=(",", ":")))
    assert size < compiler.MAX_MACHINE_BYTES


def test_the_checker_is_the_ports() -> None:
    assert JsonataExpressions().check("$steps.a & $item").roots == {"steps", "item"}


@pytest.mark.parametrize("action", list(SPINE), ids=lambda action: action.name)
def test_every_action_is_described(action: Any) -> None:
    assert action.description.endswith(".")
    assert action.input_schema["type"] == action.result_schema["type"] == "object"
