"""The machine of vectors' imports, on the interpreter that the local cloud runs it with."""

import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import yaml
from ministack.services import stepfunctions

from local.layout import ROOT
from tests.fakes.machine import TaskError

INPUT = {"tenant_id": "t", "import_id": "i"}
PARTS = [{"ordinal": number, "offset": number * 10, "length": 10} for number in range(3)]

type Function = Callable[[dict[str, Any]], Any]


def definition() -> dict[str, Any]:
    text = (ROOT / "statemachines/vectors_import.asl.yaml").read_text()
    parsed: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+)Function\}", lambda found: found[1].lower(), text))
    return parsed


class Machine:
    """Runs it once, with functions of ours in place of the deployed ones."""

    def __init__(self, **functions: Function) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._functions: dict[str, Function] = {
            "plan": lambda _: {"bucket": "b", "key": "plans/i.json"},
            "chunk": lambda payload: {"stored": payload["part"]["length"]},
            "steps": lambda _: {},
        } | functions
        with ExitStack() as stack:
            stack.enter_context(patch.object(stepfunctions, "_call_lambda", self._invoke))
            stack.enter_context(patch.object(stepfunctions, "_resolve_lambda_function_ref", lambda name, **_: name))
            stack.enter_context(patch.object(stepfunctions, "_emit_execution_status_event", lambda _: None))
            stack.enter_context(patch.object(stepfunctions, "_SFN_WAIT_SCALE", 0))
            stack.enter_context(patch.object(stepfunctions, "_s3_object_text", self._object))
            self.status = self._run()

    def told(self, function: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.calls if name == function]

    def _run(self) -> str:
        made = {"name": f"m-{uuid4()}", "definition": json.dumps(definition()), "roleArn": "arn:aws:iam::1:role/m"}
        machine = json.loads(stepfunctions._create_state_machine(made)[2])["stateMachineArn"]
        asked = {"stateMachineArn": machine, "input": json.dumps(INPUT)}
        execution = stepfunctions._executions[json.loads(stepfunctions._start_execution(asked)[2])["executionArn"]]
        end = time.monotonic() + 20
        while execution["status"] == "RUNNING":
            assert time.monotonic() < end, "the machine does not end"
            time.sleep(0.003)
        return str(execution["status"])

    def _invoke(self, name: str, payload: dict[str, Any]) -> Any:
        self.calls.append((name, payload))
        try:
            return self._functions[name](payload)
        except TaskError as error:
            raise stepfunctions._ExecutionError(error.name, json.dumps(error.body())) from error

    def _object(self, bucket: str, key: str) -> str:
        assert (bucket, key) == ("b", "plans/i.json")
        return json.dumps(PARTS)


def failing(name: str, times: int = 1_000) -> Function:
    left = [times]

    def function(payload: dict[str, Any]) -> Any:
        if left[0]:
            left[0] -= 1
            raise TaskError(name, "so it is")
        return {}

    return function


def test_every_part_is_worked_and_then_it_ends() -> None:
    machine = Machine()
    assert machine.status == "SUCCEEDED"
    worked = sorted(machine.told("chunk"), key=lambda each: each["part"]["ordinal"])
    assert worked == [{**INPUT, "part": part} for part in PARTS]
    assert machine.calls[0] == ("plan", INPUT)
    assert machine.told("steps") == [{"step": "finish", **INPUT}]


def test_a_list_of_one_part_is_a_list() -> None:
    with patch.object(Machine, "_object", lambda *_: json.dumps(PARTS[:1])):
        machine = Machine()
    assert [each["part"] for each in machine.told("chunk")] == PARTS[:1]


def test_what_passes_is_tried_again() -> None:
    machine = Machine(chunk=failing("unavailable", 2), plan_=failing("none", 0))
    assert machine.status == "SUCCEEDED"
    assert len(machine.told("chunk")) == 5


def test_a_plan_that_refuses_the_file_says_why() -> None:
    machine = Machine(plan=failing("invalid"))
    assert machine.status == "FAILED"
    (said,) = machine.told("steps")
    assert (said["step"], said["tenant_id"]) == ("fail", "t")
    assert "so it is" in said["reason"]
    assert machine.told("chunk") == []


def test_a_part_that_fails_for_good_fails_the_import() -> None:
    machine = Machine(chunk=failing("invalid"))
    assert machine.status == "FAILED"
    (said,) = machine.told("steps")
    assert said["step"] == "fail"
    assert "Some parts could not be written" in said["reason"]
