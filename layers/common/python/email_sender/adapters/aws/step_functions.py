"""AWS Step Functions. Implements workflows.ports.WorkflowEngine and the engines of imports and of vector jobs."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.errors import NotFound
from email_sender.workflows.model import Run
from email_sender.workflows.ports import ExecutionStatus

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import EncryptionConfigurationTypeDef

    from email_sender.vectors.imports.model import ImportKind
    from email_sender.vectors.jobs.model import Job

_UNAVAILABLE = "AWS Step Functions did not respond or rejected the request."

_STATUS = {
    "RUNNING": ExecutionStatus.RUNNING,
    "PENDING_REDRIVE": ExecutionStatus.RUNNING,
    "SUCCEEDED": ExecutionStatus.SUCCEEDED,
    "FAILED": ExecutionStatus.FAILED,
    "TIMED_OUT": ExecutionStatus.TIMED_OUT,
    "ABORTED": ExecutionStatus.ABORTED,
}


class StepFunctionsEngine:
    """`arn_prefix` is "arn:aws:states:<region>:<account>"; `role_arn` is the role of the state machines.

    `key_arn` is the KMS key that encrypts the histories of their executions; empty: a key of AWS.
    """

    def __init__(self, client: Callable[[], "SFNClient"], arn_prefix: str, role_arn: str, key_arn: str = "") -> None:
        self._client, self._prefix, self._role, self._key = client, arn_prefix, role_arn, key_arn

    def ensure(self, machine: str, definition: Mapping[str, Any]) -> None:
        text, encryption = json.dumps(definition), self._encryption()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                self._client().create_state_machine(
                    name=machine,
                    definition=text,
                    roleArn=self._role,
                    type="STANDARD",
                    encryptionConfiguration=encryption,
                )
            except self._client().exceptions.StateMachineAlreadyExists:
                # A commit that failed left this state machine behind with another definition. Nothing has started it.
                self._client().update_state_machine(
                    stateMachineArn=self._machine_arn(machine),
                    definition=text,
                    roleArn=self._role,
                    encryptionConfiguration=encryption,
                )

    def start(self, machine: str, run: Run) -> str:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                response = client.start_execution(
                    stateMachineArn=self._machine_arn(machine),
                    name=str(run.id),
                    input=json.dumps(
                        {
                            "run_id": str(run.id),
                            "inputs": run.inputs,
                            "passed": list(run.passed),
                            "cause": run.cause,
                        }
                    ),
                )
            except client.exceptions.ExecutionAlreadyExists:
                return f"{self._prefix}:execution:{machine}:{run.id}"
            except client.exceptions.StateMachineDoesNotExist:
                raise NotFound("The state machine is not registered.") from None
        return response["executionArn"]

    def remove(self, machine: str) -> None:
        """Delete the state machine, and stop its executions. Repeatable."""
        with translate_aws_errors(_UNAVAILABLE):
            self._client().delete_state_machine(stateMachineArn=self._machine_arn(machine))

    def status(self, execution: str) -> ExecutionStatus:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                response = client.describe_execution(executionArn=execution)
            except client.exceptions.ExecutionDoesNotExist:
                return ExecutionStatus.FORGOTTEN
        return _STATUS[response["status"]]

    def stop(self, execution: str) -> None:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                client.stop_execution(executionArn=execution, error="cancelled", cause="Cancelled by a person.")
            except client.exceptions.ExecutionDoesNotExist:
                return

    def send_task_success(self, task_token: str, result: Mapping[str, Any]) -> None:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE), _ignore_stale_token(client):
            client.send_task_success(taskToken=task_token, output=json.dumps(result))

    def send_task_failure(self, task_token: str, error: str, message: str) -> None:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE), _ignore_stale_token(client):
            client.send_task_failure(taskToken=task_token, error=error, cause=message)

    def _encryption(self) -> "EncryptionConfigurationTypeDef":
        if not self._key:
            return {"type": "AWS_OWNED_KEY"}
        # Each call of KMS serves for so many seconds.
        return {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": self._key, "kmsDataKeyReusePeriodSeconds": 300}

    def _machine_arn(self, machine: str) -> str:
        return f"{self._prefix}:stateMachine:{machine}"


@contextmanager
def _ignore_stale_token(client: "SFNClient") -> Iterator[None]:
    """Ignore a task token that is no longer valid: the run ended, or the step has already received its result."""
    exceptions = client.exceptions
    with suppress(exceptions.TaskTimedOut, exceptions.TaskDoesNotExist, exceptions.InvalidToken):
        yield


class _DeployedStateMachines:
    """State machines of the deployment. Executions are named after their work, so that a repeated start finds them."""

    def __init__(self, client: Callable[[], "SFNClient"]) -> None:
        self._client = client

    def _start_once(self, machine: str, name: str, body: Mapping[str, Any]) -> str:
        client, input_json = self._client(), json.dumps(body)
        with translate_aws_errors(_UNAVAILABLE):
            try:
                return client.start_execution(stateMachineArn=machine, name=name, input=input_json)["executionArn"]
            except client.exceptions.ExecutionAlreadyExists:
                first = machine.replace(":stateMachine:", ":execution:") + f":{name}"
            if self.is_running(first):
                return first
            # It ended without recording its end. The new execution skips finished work. It needs a new name, because
            # Step Functions reserves a name for 90 days.
            return client.start_execution(stateMachineArn=machine, input=input_json)["executionArn"]

    def is_running(self, execution: str) -> bool:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                return client.describe_execution(executionArn=execution)["status"] == "RUNNING"
            except client.exceptions.ExecutionDoesNotExist:
                return False


class StepFunctionsImports(_DeployedStateMachines):
    """The state machines of imports, by kind. Implements vectors.imports.model.ImportEngine."""

    def __init__(self, client: Callable[[], "SFNClient"], machines: "Mapping[ImportKind, str]") -> None:
        super().__init__(client)
        self._machines = machines

    def start_import(self, kind: "ImportKind", import_id: UUID, tenant_id: UUID) -> str:
        body = {"tenant_id": str(tenant_id), "import_id": str(import_id)}
        return self._start_once(self._machines[kind], str(import_id), body)


class StepFunctionsJobs(_DeployedStateMachines):
    """The state machine of exports and migrations. Implements vectors.jobs.model.JobMachine."""

    def __init__(self, client: Callable[[], "SFNClient"], machine: str) -> None:
        super().__init__(client)
        self._machine = machine

    def start_job(self, job: "Job", tenant_id: UUID) -> str:
        body = {"tenant_id": str(tenant_id), "job_id": str(job.id), "mode": str(job.status)}
        return self._start_once(self._machine, f"{job.id}-{job.status}", body)


class StepFunctionsRotations(_DeployedStateMachines):
    """The state machine of key rotations. Implements security.key_rotation.RotationMachine."""

    def __init__(self, client: Callable[[], "SFNClient"], machine: str) -> None:
        super().__init__(client)
        self._machine = machine

    def start_rotation(self, tenant_id: UUID, version: int) -> str:
        return self._start_once(
            self._machine, f"{tenant_id}-{version}", {"tenant_id": str(tenant_id), "version": version}
        )
