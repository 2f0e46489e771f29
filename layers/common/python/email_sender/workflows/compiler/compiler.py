"""Compile a definition to Amazon States Language.

A state machine consists of `start run`, one part per level, and `report success`; an error that no step handles leads
to `report failure`. Both report to the platform through the "run.finished" hook. A level with one step is at the top of
the state machine. A level with several steps is a Parallel, and the next state assigns its results. States are named
after the steps' ids, so that the AWS console shows the names that the user wrote; helper states are named
`<id>.<purpose>`. Names of the machine's own states have spaces, so that they never equal a step's id.

Nothing inside a state machine can catch the engine's runtime errors (States.Runtime, States.DataLimitExceeded, the
timeout of the state machine itself). The handler of Step Functions' status events records the end of those runs.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from email_sender.errors import InvalidInput
from email_sender.workflows.compiler import asl
from email_sender.workflows.compiler.asl import State, States
from email_sender.workflows.compiler.skipping import Conditions
from email_sender.workflows.compiler.step_states import (
    StepPosition,
    TaskBuilder,
    entry_state,
    outcome_variables,
    step_states,
)
from email_sender.workflows.definition.model import Definition

HOOK = "run.finished"
MAX_MACHINE_BYTES = 1_000_000  # Step Functions accepts 1 MB
_START = "start run"
_REPORT_SUCCESS = "report success"
_HOOK_TIMEOUT_SECONDS = 60
# An older release starts runs without a cause.
_CAUSE = "$exists($states.context.Execution.Input.cause) ? $states.context.Execution.Input.cause : 'request'"


def compile_definition(
    definition: Definition, *, tenant_id: str, workflow_id: str, version: int, targets: Mapping[str, str]
) -> dict[str, Any]:
    """Return the state machine. The same arguments give the same keys in the same order.

    `targets` maps action names and "run.finished" to the ARNs of Lambda aliases.

    Every function receives `{"tenant_id", "workflow_id", "version", "run_id", "action", "step", "item", "attempt",
    "with"}`, and a callback action also `task_token`. The hook receives `{…, "action": "run.finished", "status", …}`.
    The execution's input is `{"run_id", "inputs", "passed", "cause"}`.

    Raises:
        LookupError: `targets` lacks an action, which is a deployment error.
        InvalidInput: the state machine is larger than Step Functions accepts.
    """
    task_builder = TaskBuilder(tenant_id, workflow_id, version, targets)
    conditions = Conditions(definition)
    entries = [*_level_entries(definition, conditions), _REPORT_SUCCESS]
    states = _start_states(task_builder, entries[0])
    for number, (entry, next_state) in enumerate(pairwise(entries)):
        step_ids = definition.levels[number]
        if len(step_ids) == 1:
            states |= step_states(definition.steps[step_ids[0]], StepPosition(next_state), conditions, task_builder)
        else:
            states |= _parallel_level(entry, definition, step_ids, next_state, conditions, task_builder)
    states |= _end_states(definition, task_builder)
    machine = {
        "Comment": f"{definition.name} (workflow {workflow_id}, version {version})",
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": definition.timeout_seconds,
        "StartAt": _START,
        "States": states,
    }
    size = len(json.dumps(machine, separators=(",", ":")))
    if size > MAX_MACHINE_BYTES:
        raise InvalidInput.at(
            "/steps", f"the compiled state machine has {size} bytes; the maximum is {MAX_MACHINE_BYTES} bytes"
        )
    return machine


def _level_entries(definition: Definition, conditions: Conditions) -> list[str]:
    """Return the name of each level's first state."""
    return [
        f"level {number}" if len(step_ids) > 1 else entry_state(definition.steps[step_ids[0]], conditions)
        for number, step_ids in enumerate(definition.levels, 1)
    ]


def _start_states(task_builder: TaskBuilder, next_state: str) -> States:
    run = {
        "id": asl.context("Execution.Input.run_id"),
        "workflow_id": asl.literal(task_builder.workflow_id),
        "version": task_builder.version,
        "started_at": asl.context("Execution.StartTime"),
        "cause": asl.expression(_CAUSE),
    }
    assign = {"inputs": asl.context("Execution.Input.inputs"), "run": run, "errors": asl.ENGINE_ERRORS}
    return {_START: {"Type": "Pass", "Assign": assign, "Output": {}, "Next": next_state}}


def _parallel_level(
    name: str,
    definition: Definition,
    step_ids: tuple[str, ...],
    next_state: str,
    conditions: Conditions,
    task_builder: TaskBuilder,
) -> States:
    """Return a Parallel with the level's steps, and the state that assigns the results of its branches.

    The next state reads the results from its input, because not every engine supports Assign in a Parallel.
    """
    branches = []
    assign: State = {}
    for index, step in enumerate(definition.steps[step_id] for step_id in step_ids):
        states = step_states(step, StepPosition(), conditions, task_builder)
        branches.append({"StartAt": entry_state(step, conditions), "States": states})
        branch_output = f"$states.input[{index}]"
        assign |= outcome_variables(
            step, asl.expression(f"{branch_output}.status"), asl.expression(f"{branch_output}.result")
        )
    catch = [asl.catch(asl.branch_failure(list(step_ids)), asl.REPORT_FAILURE)]
    return {
        name: {"Type": "Parallel", "Branches": branches, "Catch": catch, "Next": f"{name} results"},
        f"{name} results": {"Type": "Pass", "Assign": assign, "Output": {}, "Next": next_state},
    }


def _end_states(definition: Definition, task_builder: TaskBuilder) -> States:
    statuses = {step: asl.expression(f"${asl.variable_name('status', step)}") for step in definition.steps}
    limits = {"TimeoutSeconds": _HOOK_TIMEOUT_SECONDS, "Retry": asl.HOOK_RETRY}
    failure_payload = {
        "status": "failed",
        "step": "{% $states.input.step %}",
        "error": "{% $states.input.error %}",
        "cause": "{% $states.input.cause %}",
    }
    # The run ends with its own error, even if the hook fails.
    to_failed_state = {"Output": "{% $states.input %}", "Next": "run failed"}
    return {
        _REPORT_SUCCESS: {
            **task_builder.task(HOOK, {"status": "succeeded", "result": {"steps": statuses}}),
            **limits,
            "Output": {"steps": statuses},
            "Next": "run succeeded",
        },
        "run succeeded": {"Type": "Succeed"},
        asl.REPORT_FAILURE: {
            **task_builder.task(HOOK, failure_payload),
            **limits,
            "Catch": [{"ErrorEquals": ["States.ALL"], **to_failed_state}],
            **to_failed_state,
        },
        "run failed": asl.fail_state(prefixed=False),
    }
