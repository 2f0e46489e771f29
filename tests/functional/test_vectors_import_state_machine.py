"""The state machine of vector imports, on the interpreter of the local cloud."""

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
from tests.fakes.state_machine import TaskError

INPUT = {"tenant_id": "t", "import_id": "i"}
PARTS = [{"ordinal": number, "offset": number * 10, "length": 10} for number in range(3)]

type Function = Callable[[dict[str, Any]], Any]


def definition() -> dict[str, Any]:
    text = (ROOT / "template/statemachines/vectors_import.asl.yaml").read_text()
    document: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+)Function\}", lambda match: match[1].lower(), text))
    return document


class ImportMachineRun:
    """Run the state machine once, with test functions in place of the deployed ones."""

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

    def payloads_of(self, function: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.calls if name == function]

    def _run(self) -> str:
        machine_request = {
            "name": f"m-{uuid4()}",
            "definition": json.dumps(definition()),
            "roleArn": "arn:aws:iam::1:role/m",
        }
        machine = json.loads(stepfunctions._create_state_machine(machine_request)[2])["stateMachineArn"]
        execution_request = {"stateMachineArn": machine, "input": json.dumps(INPUT)}
        execution = stepfunctions._executions[
            json.loads(stepfunctions._start_execution(execution_request)[2])["executionArn"]
        ]
        end = time.monotonic() + 20
        while execution["status"] == "RUNNING":
            assert time.monotonic() < end, "the state machine does not end"
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
    remaining = [times]

    def function(payload: dict[str, Any]) -> Any:
        if remaining[0]:
            remaining[0] -= 1
            raise TaskError(name, "so it is")
        return {}

    return function


def test_every_part_is_processed_and_then_the_import_finishes() -> None:
    machine = ImportMachineRun()
    assert machine.status == "SUCCEEDED"
    chunk_payloads = sorted(machine.payloads_of("chunk"), key=lambda payload: payload["part"]["ordinal"])
    assert chunk_payloads == [{**INPUT, "part": part} for part in PARTS]
    assert machine.calls[0] == ("plan", INPUT)
    assert machine.payloads_of("steps") == [{"step": "finish", **INPUT}]


def test_a_plan_of_one_part_is_a_list() -> None:
    with patch.object(ImportMachineRun, "_object", lambda *_: json.dumps(PARTS[:1])):
        machine = ImportMachineRun()
    assert [payload["part"] for payload in machine.payloads_of("chunk")] == PARTS[:1]


def test_a_transient_error_is_retried() -> None:
    machine = ImportMachineRun(chunk=failing("unavailable", 2), plan_=failing("none", 0))
    assert machine.status == "SUCCEEDED"
    assert len(machine.payloads_of("chunk")) == 5


def test_a_plan_that_refuses_the_file_reports_the_reason() -> None:
    machine = ImportMachineRun(plan=failing("invalid"))
    assert machine.status == "FAILED"
    (failure,) = machine.payloads_of("steps")
    assert (failure["step"], failure["tenant_id"]) == ("fail", "t")
    assert "so it is" in failure["reason"]
    assert machine.payloads_of("chunk") == []


def test_a_part_that_fails_permanently_fails_the_import() -> None:
    machine = ImportMachineRun(chunk=failing("invalid"))
    assert machine.status == "FAILED"
    (failure,) = machine.payloads_of("steps")
    assert failure["step"] == "fail"
    assert "Some parts could not be written" in failure["reason"]
