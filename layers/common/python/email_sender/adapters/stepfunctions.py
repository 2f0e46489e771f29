"""AWS Step Functions. Implements workflows.ports.Engine."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.errors import NotFound, Unavailable
from email_sender.workflows.ports import ExecutionStatus

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from email_sender.vectors.import_model import ImportKind
    from email_sender.vectors.job_model import Job

_STATUS = {
    "RUNNING": ExecutionStatus.RUNNING,
    "PENDING_REDRIVE": ExecutionStatus.RUNNING,
    "SUCCEEDED": ExecutionStatus.SUCCEEDED,
    "FAILED": ExecutionStatus.FAILED,
    "TIMED_OUT": ExecutionStatus.TIMED_OUT,
    "ABORTED": ExecutionStatus.ABORTED,
}


class StepFunctionsEngine:
    """`arn_prefix` is "arn:aws:states:<region>:<account>"; `role_arn` is what machines run as."""

    def __init__(self, client: Callable[[], "SFNClient"], arn_prefix: str, role_arn: str) -> None:
        self._client, self._prefix, self._role = client, arn_prefix, role_arn

    def ensure(self, machine: str, definition: Mapping[str, Any]) -> None:
        with _translated():
            try:
                self._client().create_state_machine(
                    name=machine, definition=json.dumps(definition), roleArn=self._role, type="STANDARD"
                )
            except self._client().exceptions.StateMachineAlreadyExists:
                # Another definition under this name: a machine left by a commit that failed, which nothing started.
                self._client().update_state_machine(
                    stateMachineArn=self._machine_arn(machine), definition=json.dumps(definition), roleArn=self._role
                )

    def start(self, machine: str, run_id: UUID, inputs: Mapping[str, Any], passed: Sequence[str] = ()) -> str:
        client = self._client()
        with _translated():
            try:
                answer = client.start_execution(
                    stateMachineArn=self._machine_arn(machine),
                    name=str(run_id),
                    input=json.dumps({"run_id": str(run_id), "inputs": inputs, "passed": list(passed)}),
                )
            except client.exceptions.ExecutionAlreadyExists:
                return f"{self._prefix}:execution:{machine}:{run_id}"
            except client.exceptions.StateMachineDoesNotExist:
                raise NotFound("The engine does not know the machine.") from None
        return answer["executionArn"]

    def status(self, execution: str) -> ExecutionStatus:
        client = self._client()
        with _translated():
            try:
                answer = client.describe_execution(executionArn=execution)
            except client.exceptions.ExecutionDoesNotExist:
                return ExecutionStatus.FORGOTTEN
        return _STATUS[answer["status"]]

    def stop(self, execution: str) -> None:
        client = self._client()
        with _translated():
            try:
                client.stop_execution(executionArn=execution, error="cancelled", cause="Cancelled by a person.")
            except client.exceptions.ExecutionDoesNotExist:
                return

    def answer(self, task_token: str, result: Mapping[str, Any]) -> None:
        client = self._client()
        with _translated(), _nobody_waits(client):
            client.send_task_success(taskToken=task_token, output=json.dumps(result))

    def refuse(self, task_token: str, error: str, message: str) -> None:
        client = self._client()
        with _translated(), _nobody_waits(client):
            client.send_task_failure(taskToken=task_token, error=error, cause=message)

    def _machine_arn(self, machine: str) -> str:
        return f"{self._prefix}:stateMachine:{machine}"


@contextmanager
def _nobody_waits(client: "SFNClient") -> Iterator[None]:
    """The run ended, or the step was told already: nothing is left to say."""
    known = client.exceptions
    with suppress(known.TaskTimedOut, known.TaskDoesNotExist, known.InvalidToken):
        yield


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable("The workflow engine did not answer.") from error


class _Machines:
    """Machines of the deployment, whose executions are named for what they do, so that a repeat finds them."""

    def __init__(self, client: Callable[[], "SFNClient"]) -> None:
        self._client = client

    def _started(self, machine: str, name: str, body: Mapping[str, Any]) -> str:
        client, text = self._client(), json.dumps(body)
        with _translated():
            try:
                return client.start_execution(stateMachineArn=machine, name=name, input=text)["executionArn"]
            except client.exceptions.ExecutionAlreadyExists:
                first = machine.replace(":stateMachine:", ":execution:") + f":{name}"
            if self.is_running(first):
                return first
            # It ended without a word. A second run finds done what was done; a name is used once in 90 days.
            return client.start_execution(stateMachineArn=machine, input=text)["executionArn"]

    def is_running(self, execution: str) -> bool:
        client = self._client()
        with _translated():
            try:
                return client.describe_execution(executionArn=execution)["status"] == "RUNNING"
            except client.exceptions.ExecutionDoesNotExist:
                return False


class StepFunctionsImports(_Machines):
    """The machines of imports, by kind. Implements vectors.import_model.ImportEngine."""

    def __init__(self, client: Callable[[], "SFNClient"], machines: "Mapping[ImportKind, str]") -> None:
        super().__init__(client)
        self._machines = machines

    def start_import(self, kind: "ImportKind", import_id: UUID, tenant_id: UUID) -> str:
        body = {"tenant_id": str(tenant_id), "import_id": str(import_id)}
        return self._started(self._machines[kind], str(import_id), body)


class StepFunctionsJobs(_Machines):
    """The machine of exports and migrations. Implements vectors.job_model.JobMachine."""

    def __init__(self, client: Callable[[], "SFNClient"], machine: str) -> None:
        super().__init__(client)
        self._machine = machine

    def start_job(self, job: "Job", tenant_id: UUID) -> str:
        body = {"tenant_id": str(tenant_id), "job_id": str(job.id), "mode": str(job.status)}
        return self._started(self._machine, f"{job.id}-{job.status}", body)
