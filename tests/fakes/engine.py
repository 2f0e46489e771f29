"""An in-memory workflow engine with the methods of workflows.ports.WorkflowEngine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from email_sender.errors import NotFound
from email_sender.workflows.model import Run
from email_sender.workflows.ports import ExecutionStatus


class FakeWorkflowEngine:
    """`on_start` and `on_answer` are called before the operation and may raise."""

    def __init__(self) -> None:
        self.machines: dict[str, Mapping[str, Any]] = {}
        self.executions: dict[str, ExecutionStatus] = {}
        self.passed: dict[UUID, Sequence[str]] = {}
        self.answers: list[tuple[str, Mapping[str, Any]]] = []
        self.on_start: Callable[[], None] = lambda: None
        self.on_answer: Callable[[], None] = lambda: None

    def ensure(self, machine: str, definition: Mapping[str, Any]) -> None:
        self.machines[machine] = definition

    def start(self, machine: str, run: Run) -> str:
        self.on_start()
        if machine not in self.machines:
            raise NotFound("The state machine does not exist.")
        execution = f"{machine}:{run.id}"
        self.passed[run.id] = run.passed
        self.executions.setdefault(execution, ExecutionStatus.RUNNING)
        return execution

    def status(self, execution: str) -> ExecutionStatus:
        return self.executions.get(execution, ExecutionStatus.FORGOTTEN)

    def stop(self, execution: str) -> None:
        self.executions[execution] = ExecutionStatus.ABORTED

    def send_task_success(self, task_token: str, result: Mapping[str, Any]) -> None:
        self.on_answer()
        self.answers.append((task_token, result))

    def send_task_failure(self, task_token: str, error: str, message: str) -> None:
        self.answers.append((task_token, {"error": error, "message": message}))
