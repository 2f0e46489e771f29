"""Run compiled state machines on MiniStack's Step Functions interpreter, in this process and without its server."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from ministack.services import stepfunctions

from tests.fakes.state_machine import DEADLINE, Calls, Handler, Outcome, TaskError, run_ids

_ROLE = "arn:aws:iam::123456789012:role/machine"


class MiniStackMachines:
    def __init__(self) -> None:
        # By run: threads of an execution may outlive it.
        self._calls: dict[str, Calls] = {}
        self._run_ids = run_ids()

    def answer(self, token: str, output: str) -> None:
        stepfunctions._send_task_success({"taskToken": token, "output": output})

    def invoke(self, _: str, payload: dict[str, Any]) -> Any:
        """Replace MiniStack's own Lambda call."""
        try:
            return self._calls[payload["run_id"]](json.loads(json.dumps(payload)))
        except TaskError as error:
            raise stepfunctions._ExecutionError(error.name, json.dumps(error.body())) from error

    def run(self, machine: dict[str, Any], inputs: Any, handler: Handler) -> Outcome:
        calls = Calls(next(self._run_ids), handler)
        self._calls[calls.run_id] = calls
        created = _body(
            stepfunctions._create_state_machine(
                {"name": f"m-{uuid4()}", "definition": json.dumps(machine), "roleArn": _ROLE}
            )
        )
        started = {"run_id": calls.run_id, "inputs": inputs}
        start_request = {"stateMachineArn": created["stateMachineArn"], "input": json.dumps(started)}
        execution = stepfunctions._executions[_body(stepfunctions._start_execution(start_request))["executionArn"]]
        end = time.monotonic() + DEADLINE
        while execution["status"] == "RUNNING":
            assert time.monotonic() < end, "The state machine does not end."
            time.sleep(0.003)
        return calls.outcome(execution["status"], execution["output"], execution.get("error"), execution.get("cause"))


@contextmanager
def ministack_machines() -> Iterator[MiniStackMachines]:
    machines = MiniStackMachines()
    with ExitStack() as stack:
        stack.enter_context(patch.object(stepfunctions, "_call_lambda", machines.invoke))
        # MiniStack knows only the functions of its own account.
        stack.enter_context(patch.object(stepfunctions, "_resolve_lambda_function_ref", lambda name, **_: name))
        stack.enter_context(patch.object(stepfunctions, "_emit_execution_status_event", lambda _: None))
        stack.enter_context(patch.object(stepfunctions, "_SFN_WAIT_SCALE", 0))
        yield machines


def _body(response: Any) -> dict[str, Any]:
    status, _, body = response
    assert status == 200, body
    parsed: dict[str, Any] = json.loads(body)
    return parsed
