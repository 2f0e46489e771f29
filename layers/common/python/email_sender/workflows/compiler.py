"""Compile a definition to Amazon States Language.

A machine is: `start`, one part a level, `run.succeeded`; an error that no step takes leads to `run.failed`. Both ends
tell the platform through the "run.finished" hook. A level of one step stands at the top of the machine; a level of
several is a Parallel whose results the next state takes apart. State names are the steps' ids, so that the console
shows what the person wrote; helpers are `<id>.<what>`.

Runtime errors of the engine (States.Runtime, States.DataLimitExceeded, the machine's own timeout) cannot be caught by
anything inside it: whoever watches executions' status changes settles those runs.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from email_sender.errors import InvalidInput
from email_sender.workflows import asl
from email_sender.workflows.asl import State, States
from email_sender.workflows.definition import Definition
from email_sender.workflows.skipping import Conditions
from email_sender.workflows.step_states import Call, Place, entry_of, outcome, step_states

HOOK = "run.finished"
MAX_MACHINE_BYTES = 1_000_000  # Step Functions takes 1 MB
_SUCCEEDED = "run.succeeded"
_HOOK_TIMEOUT_SECONDS = 60


def compile_definition(
    definition: Definition, *, tenant_id: str, workflow_id: str, version: int, targets: Mapping[str, str]
) -> dict[str, Any]:
    """Return the machine. The same arguments give the same keys in the same order.

    `targets` maps the actions' names and "run.finished" to ARNs of Lambda aliases. Raises LookupError where one is
    missing (a fault of the deployment), InvalidInput where the machine would be larger than Step Functions takes.

    Every function gets `{"tenant_id", "workflow_id", "version", "run_id", "action", "step", "item", "attempt",
    "with"}`, by token also `task_token`; the hook `{…, "action": "run.finished", "status", …}`.
    The execution's input is `{"run_id", "inputs"}`.
    """
    call = Call(tenant_id, workflow_id, version, targets)
    conditions = Conditions(definition)
    entries = [*_entries(definition, conditions), _SUCCEEDED]
    states = _start(call, entries[0])
    for number, (entry, following) in enumerate(pairwise(entries)):
        row = definition.levels[number]
        if len(row) == 1:
            states |= step_states(definition.steps[row[0]], Place(following), conditions, call)
        else:
            states |= _side_by_side(entry, definition, row, following, conditions, call)
    states |= _ends(definition, call)
    machine = {
        "Comment": f"{definition.name} (workflow {workflow_id}, version {version})",
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": definition.timeout_seconds,
        "StartAt": "start",
        "States": states,
    }
    size = len(json.dumps(machine, separators=(",", ":")))
    if size > MAX_MACHINE_BYTES:
        raise InvalidInput.at("/steps", f"the compiled machine has {size} bytes, and may have {MAX_MACHINE_BYTES}")
    return machine


def _entries(definition: Definition, conditions: Conditions) -> list[str]:
    """The first state of each level."""
    return [
        f"level.{number}" if len(row) > 1 else entry_of(definition.steps[row[0]], conditions)
        for number, row in enumerate(definition.levels, 1)
    ]


def _start(call: Call, following: str) -> States:
    run = {
        "id": asl.context("Execution.Input.run_id"),
        "workflow_id": asl.quoted(call.workflow_id),
        "version": call.version,
        "started_at": asl.context("Execution.StartTime"),
    }
    assign = {"inputs": asl.context("Execution.Input.inputs"), "run": run, "errors": asl.ENGINE_ERRORS}
    return {"start": {"Type": "Pass", "Assign": assign, "Output": {}, "Next": following}}


def _side_by_side(
    name: str, definition: Definition, row: tuple[str, ...], following: str, conditions: Conditions, call: Call
) -> States:
    """A Parallel of the level's steps, and the state that assigns what came out.

    The results are taken from the next state's input, not by the Parallel's own Assign: not every engine has that one.
    """
    branches = []
    assign: State = {}
    for index, step in enumerate(definition.steps[step_id] for step_id in row):
        states = step_states(step, Place(), conditions, call)
        branches.append({"StartAt": entry_of(step, conditions), "States": states})
        came_out = f"$states.input[{index}]"
        assign |= outcome(step, asl.expression(f"{came_out}.status"), asl.expression(f"{came_out}.result"))
    catch = [asl.catch(asl.blame_branch(list(row)), asl.FAILED)]
    return {
        name: {"Type": "Parallel", "Branches": branches, "Catch": catch, "Next": f"{name}.results"},
        f"{name}.results": {"Type": "Pass", "Assign": assign, "Output": {}, "Next": following},
    }


def _ends(definition: Definition, call: Call) -> States:
    statuses = {step: asl.expression(f"${asl.variable('status', step)}") for step in definition.steps}
    limits = {"TimeoutSeconds": _HOOK_TIMEOUT_SECONDS, "Retry": asl.HOOK_RETRY}
    failed = {
        "status": "failed",
        "step": "{% $states.input.step %}",
        "error": "{% $states.input.error %}",
        "cause": "{% $states.input.cause %}",
    }
    # Told or not, the run ends with its own error.
    ended = {"Output": "{% $states.input %}", "Next": "failed"}
    return {
        _SUCCEEDED: {
            **call.task(HOOK, {"status": "succeeded", "result": {"steps": statuses}}),
            **limits,
            "Output": {"steps": statuses},
            "Next": "succeeded",
        },
        "succeeded": {"Type": "Succeed"},
        asl.FAILED: {**call.task(HOOK, failed), **limits, "Catch": [{"ErrorEquals": ["States.ALL"], **ended}], **ended},
        "failed": asl.fail_state(prefixed=False),
    }
