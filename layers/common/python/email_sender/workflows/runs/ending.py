"""How a run ends: the status and the error that an execution's status means, and the event that reports the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from email_sender.workflows.model import Actor, RunStatus
from email_sender.workflows.ports import ExecutionStatus

_FINAL_STATUSES = {
    ExecutionStatus.SUCCEEDED: (RunStatus.SUCCEEDED, None),
    ExecutionStatus.FAILED: (
        RunStatus.FAILED,
        "Step Functions stopped the run because of an error that no step can handle. The history of the execution "
        "shows it. Correct the workflow, then retry the run.",
    ),
    ExecutionStatus.TIMED_OUT: (RunStatus.TIMED_OUT, "The run took longer than its workflow allows."),
    ExecutionStatus.ABORTED: (RunStatus.CANCELLED, "Somebody stopped the execution in Step Functions."),
    ExecutionStatus.FORGOTTEN: (
        RunStatus.FAILED,
        "Step Functions has no execution for this run. Retry the run to start it again.",
    ),
}


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The end of a run. `error` is {"name", "message"}."""

    status: RunStatus
    error: Mapping[str, Any] | None


def outcome_of_execution(status: ExecutionStatus, cause: str = "") -> RunOutcome | None:
    """Return the outcome of the execution's run, or None if the execution has not ended.

    `cause` is the engine's own text about a failure, if it is known.
    """
    if status not in _FINAL_STATUSES:
        return None
    run_status, message = _FINAL_STATUSES[status]
    if message is None:
        return RunOutcome(run_status, None)
    error = {"name": str(status), "message": f"{message} The error was: {cause}" if cause else message}
    return RunOutcome(run_status, error)


def describe_end(status: RunStatus, error: Mapping[str, Any], actor: Actor | None) -> tuple[str, dict[str, Any]]:
    """Return the type of the event that reports the end of a run, and its own data."""
    if status is RunStatus.SUCCEEDED:
        return "run.succeeded", {}
    if status is RunStatus.CANCELLED:
        return "run.cancelled", {"by": actor.subject if actor else "engine"}
    data = {
        "step": error.get("step"),
        "error": str(error.get("name", status))[:1024],
        "message": str(error.get("message", ""))[:4096],
    }
    return "run.failed", data
