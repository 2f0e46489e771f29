"""Shared parts of the Step Functions fakes, which run a state machine with inputs and a handler."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

type Handler = Callable[[dict[str, Any]], Any]
# Seconds. A machine that is busy with other work may pause for long.
DEADLINE = 90


def run_ids() -> Iterator[str]:
    """Return the ids of runs: run-1, run-2 and so on."""
    return (f"run-{number}" for number in count(1))


class TaskError(Exception):
    """The error of a fake function; `name` is the error type that Step Functions sees."""

    def __init__(self, name: str, message: str = "it did not work") -> None:
        super().__init__(message)
        self.name = name

    def body(self) -> dict[str, Any]:
        """Return the error as the Lambda service writes it."""
        return {"errorMessage": str(self), "errorType": self.name, "requestId": "r", "stackTrace": []}


@dataclass
class Outcome:
    run_id: str
    status: str
    output: Any = None
    error: str | None = None
    cause: str | None = None
    hook: dict[str, Any] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)


class Machines(Protocol):
    def run(self, machine: dict[str, Any], inputs: Any, handler: Handler) -> Outcome: ...

    def answer(self, token: str, output: str) -> None:
        """Complete the waiting task, as SendTaskSuccess does."""


class Calls:
    """Records the calls of task functions, and the calls of the run hook separately."""

    def __init__(self, run_id: str, handler: Handler) -> None:
        self.run_id = run_id
        self._handler, self._lock = handler, threading.Lock()
        self.hooks: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []

    def __call__(self, payload: dict[str, Any]) -> Any:
        with self._lock:
            (self.hooks if payload["action"] == "run.finished" else self.tasks).append(payload)
        return None if payload["action"] == "run.finished" else self._handler(payload)

    def outcome(self, status: str, output: str | None, error: str | None, cause: str | None) -> Outcome:
        assert len(self.hooks) <= 1, "the run hook is called at most once"
        parsed = json.loads(output) if output else None
        return Outcome(self.run_id, status, parsed, error, cause, self.hooks[0] if self.hooks else {}, self.tasks)
