"""Run compiled state machines on moto's Step Functions interpreter; a Python callable answers its Lambda calls.

moto evaluates JSONata with a Java library. Here jsonata-python replaces it, extended with the functions that Step
Functions adds. Waits between retries and in Wait states are skipped.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import boto3
import jsonata
from moto import mock_aws
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.string import string_expression
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.jsonata import jsonata as moto_jsonata
from moto.stepfunctions.parser.asl.jsonata import validations
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

from tests.fakes.state_machine import DEADLINE, Calls, Handler, Outcome, TaskError, run_ids

_ROLE = "arn:aws:iam::123456789012:role/machine"


class MotoMachines:
    def __init__(self, client: Any) -> None:
        self._client = client
        # By run: threads of an execution may outlive it.
        self._calls: dict[str, Calls] = {}
        self._run_ids = run_ids()

    def answer(self, token: str, output: str) -> None:
        self._client.send_task_success(taskToken=token, output=output)

    def invoke(self, parameters: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Replace moto's own Lambda call."""
        try:
            payload = json.loads(parameters["Payload"])
            return {"StatusCode": 200, "Payload": self._calls[payload["run_id"]](payload)}
        except TaskError as error:
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": error.body()}

    def run(self, machine: dict[str, Any], inputs: Any, handler: Handler) -> Outcome:
        calls = Calls(next(self._run_ids), handler)
        self._calls[calls.run_id] = calls
        created = self._client.create_state_machine(name=f"m-{uuid4()}", definition=json.dumps(machine), roleArn=_ROLE)
        started = self._client.start_execution(
            stateMachineArn=created["stateMachineArn"],
            name=str(uuid4()),
            input=json.dumps({"run_id": calls.run_id, "inputs": inputs}),
        )
        end = time.monotonic() + DEADLINE
        while (now := self._client.describe_execution(executionArn=started["executionArn"]))["status"] == "RUNNING":
            assert time.monotonic() < end, "The state machine does not end."
            time.sleep(0.003)
        return calls.outcome(now["status"], now.get("output"), now.get("error"), now.get("cause"))


@contextmanager
def moto_machines() -> Iterator[MotoMachines]:
    with ExitStack() as stack:
        stack.enter_context(mock_aws(config={"stepfunctions": {"execute_state_machine": True}}))
        machines = MotoMachines(boto3.client("stepfunctions", "eu-west-1"))
        for module in (moto_jsonata, string_expression, validations):
            stack.enter_context(patch.object(module, "eval_jsonata_expression", _evaluate))
        stack.enter_context(patch.object(lambda_eval_utils, "_invoke_lambda_function", machines.invoke))
        stack.enter_context(patch.object(retrier_decl, "time", _NoSleep()))
        stack.enter_context(patch.object(WaitFunction, "_wait_interval", lambda *_, **__: None))
        stack.enter_context(patch.object(string_expression.StringJSONata, "_eval_body", _query_errors()))
        # moto parses the definition again when it runs it; parsing it once is enough.
        stack.enter_context(patch.object(StepFunctionsParserBackend, "_validate_definition", staticmethod(_accept)))
        # moto does not pass on the States.… errors of a branch; AWS does.
        stack.enter_context(patch.object(branches_decl, "CustomErrorName", ErrorName))
        yield machines


def _accept(definition: str) -> None:
    """Accept every definition."""


class _NoSleep:
    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, _: float) -> None:
        pass


def _evaluate(expression: str) -> Any:
    try:
        compiled = jsonata.Jsonata(expression)
        compiled.register_lambda("parse", json.loads)
        return compiled.evaluate(None)
    except Exception as error:
        raise moto_jsonata.JSONataException("UNKNOWN", str(error)) from error


def _query_errors() -> Callable[[Any, Any], None]:
    """Report an expression error as States.QueryEvaluationError, as AWS does; moto reports States.Runtime."""
    original = string_expression.StringJSONata._eval_body

    def body(self: Any, env: Any) -> None:
        try:
            original(self, env)
        except moto_jsonata.JSONataException as error:
            name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
            details = {"cause": str(error.details), "error": name.error_name}
            raise FailureEventException(
                FailureEvent(
                    env=env,
                    error_name=name,
                    event_type=HistoryEventType.EvaluationFailed,
                    event_details=EventDetails(evaluationFailedEventDetails=details),
                )
            ) from error

    return body
