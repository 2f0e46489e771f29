"""Go on with executions that were running when the local cloud was stopped.

MiniStack cannot continue an execution and marks it as failed when it loads its state. Here it is started again with its
name and input instead: every task of the platform returns the stored result if its step has succeeded, and a wait keeps
the time at which it ends, so the execution arrives where it was.
"""

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ministack.services import stepfunctions

from local.aws.upstream import check_sources

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_RESTARTED = "States.ServiceRestart"
_RELIES_ON = {"stepfunctions._restore_state": (stepfunctions._restore_state, "b94c49c3dd97")}


class InterruptedExecutions:
    """The executions that were running at the last stop."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []

    def take_from(self, restore: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a function that restores MiniStack's state without the interrupted executions."""

        def restore_and_take(data: Any) -> None:
            restore(data)
            interrupted = [one for one in stepfunctions._executions.all_values() if one.get("error") == _RESTARTED]
            for execution in interrupted:
                stepfunctions._executions.pop(execution["executionArn"], None)
            self._found += interrupted

        return restore_and_take

    def start_again(self, endpoint: str) -> None:
        """Start them in a thread, so that the server can answer meanwhile."""
        if self._found:
            threading.Thread(target=self._start_all, args=(endpoint,), name="interrupted", daemon=True).start()

    def _start_all(self, endpoint: str) -> None:
        client = _client(endpoint)
        for execution in self._found:
            try:
                client.start_execution(
                    stateMachineArn=execution["stateMachineArn"], name=execution["name"], input=execution["input"]
                )
            except Exception as error:  # the sweep records the run as failed
                print(f"Could not go on with {execution['name']}: {error}", file=sys.stderr, flush=True)
        self._found = []


def install() -> InterruptedExecutions:
    """Take the interrupted executions out of the state that MiniStack is about to load."""
    check_sources(_RELIES_ON)
    executions = InterruptedExecutions()
    stepfunctions._restore_state = executions.take_from(stepfunctions._restore_state)
    return executions


def _client(endpoint: str) -> "SFNClient":
    import boto3

    return boto3.client(
        "stepfunctions",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="test",  # noqa: S106 - the emulator's
    )
