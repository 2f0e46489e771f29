"""Build the states of one step.

[<id>.when]       a Parallel with one branch that evaluates the condition, because a Choice cannot catch errors
[<id>.if]         a Choice: run the step, or go to [<id>.skipped]
<id>              the action: a Task; a Map of <id>.item; for wait and transform a Parallel with one branch
[<id>.result]     extracts the result of that Parallel
[<id>.timed_out]  a callback timed out, and its action defines a result for that
[<id>.caught]     the action failed, and on_error lets the run continue
[<id>.failed]     fails a branch of a Parallel, with the step's id before the cause
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from email_sender.workflows.action_model import ActionKind
from email_sender.workflows.compiler import asl
from email_sender.workflows.compiler.asl import State, States
from email_sender.workflows.compiler.skipping import Conditions
from email_sender.workflows.definition.durations import parse_duration
from email_sender.workflows.definition.model import MAX_ITEMS, OnError, Step

_SINGLE_BRANCH_VALUE = "{% $states.input[0].value %}"  # the output of a Parallel with one branch


@dataclass(frozen=True, slots=True)
class TaskBuilder:
    """Builds Task states. Every function receives the same base payload, whatever a step's `with` contains."""

    tenant_id: str
    workflow_id: str
    version: int
    targets: Mapping[str, str]

    def task(self, target: str, payload: State, *, resource: str = asl.INVOKE) -> State:
        if target not in self.targets:
            raise LookupError(f"no function for {target!r}")
        common: State = {
            "tenant_id": asl.literal(self.tenant_id),
            "workflow_id": asl.literal(self.workflow_id),
            "version": self.version,
            "run_id": asl.context("Execution.Input.run_id"),
            "action": target,
        }
        arguments = {"FunctionName": self.targets[target], "Payload": common | payload}
        return {"Type": "Task", "Resource": resource, "Arguments": arguments}


@dataclass(frozen=True, slots=True)
class StepPosition:
    """The position of a step: at the top of the state machine, before the state `next_state`, or in a branch.

    At the top, the step's outcome is assigned to variables at once. A branch cannot assign variables outside itself, so
    there the outcome is the branch's output.
    """

    next_state: str | None = None

    def end_fields(self, step: Step, status: str, result: Any) -> State:
        """Return the fields of a state that ends the step."""
        if self.next_state is None:
            return {"Output": {"status": status, "result": result}, "End": True}
        return {"Assign": outcome_variables(step, status, result), "Output": {}, "Next": self.next_state}

    def run_failure_catcher(self, step: Step) -> State:
        """Return the Catch for an error that ends the run."""
        return asl.catch(asl.run_failure(step), f"{step.id}.failed" if self.next_state is None else asl.REPORT_FAILURE)


def outcome_variables(step: Step, status: Any, result: Any) -> State:
    return {asl.variable_name("step", step.id): result, asl.variable_name("status", step.id): status}


def entry_state(step: Step, conditions: Conditions) -> str:
    """Return the name of the step's first state."""
    if step.when:
        return f"{step.id}.when"
    return f"{step.id}.if" if conditions.run_condition(step) else step.id


def step_states(step: Step, position: StepPosition, conditions: Conditions, task_builder: TaskBuilder) -> States:
    run_failure_catcher, continues = position.run_failure_catcher(step), step.on_error is not OnError.FAIL
    catch = asl.catch(asl.failure_result(step), f"{step.id}.caught") if continues else run_failure_catcher
    states = _condition_states(step, position, conditions, run_failure_catcher)
    if step.for_each:
        states[step.id] = _map(step, catch, task_builder) | position.end_fields(
            step, "succeeded", "{% $states.result %}"
        )
    elif step.action.kind is ActionKind.TASK:
        end_fields = position.end_fields(step, "succeeded", _result(step))
        states[step.id] = _task(step, task_builder) | {"Catch": [*_timeout_catchers(step), catch]} | end_fields
        states |= _timed_out_states(step, lambda result: position.end_fields(step, "succeeded", result))
    else:
        states[step.id] = _catchable(f"{step.id}.value", _inline_state(step), catch, f"{step.id}.result")
        states[f"{step.id}.result"] = {"Type": "Pass", **position.end_fields(step, "succeeded", _SINGLE_BRANCH_VALUE)}
    if continues:
        states[f"{step.id}.caught"] = {"Type": "Pass", **position.end_fields(step, "failed", "{% $states.input %}")}
    if position.next_state is None and (step.when or not continues):
        states[f"{step.id}.failed"] = asl.fail_state(prefixed=True)
    return states


def _condition_states(step: Step, position: StepPosition, conditions: Conditions, run_failure_catcher: State) -> States:
    """Return the states that decide whether the step runs."""
    condition = conditions.run_condition(step)
    if step.when is None and condition is None:
        return {}
    states: States = {}
    if step.when:
        # Convert to a boolean as JSONata's ? does; an undefined value is false.
        value = f"({asl.source_with_bindings(step.when)}) ? true : false"
        value = f"({condition}) ? ({value}) : false" if condition else value
        test = {"Type": "Pass", "Output": {"value": asl.expression(value)}, "End": True}
        states[f"{step.id}.when"] = _catchable(f"{step.id}.condition", test, run_failure_catcher, f"{step.id}.if")
        condition = "$states.input[0].value"
    states[f"{step.id}.if"] = {
        "Type": "Choice",
        "Choices": [{"Condition": asl.expression(str(condition)), "Next": step.id}],
        "Default": f"{step.id}.skipped",
    }
    states[f"{step.id}.skipped"] = {"Type": "Pass", **position.end_fields(step, "skipped", "{% null %}")}
    return states


def _catchable(name: str, state: State, catch: State, next_state: str) -> State:
    """Wrap one state in a Parallel so that its errors can be caught."""
    branch = {"StartAt": name, "States": {name: state}}
    return {"Type": "Parallel", "Branches": [branch], "Catch": [catch], "Next": next_state}


def _task(step: Step, task_builder: TaskBuilder) -> State:
    """Return the Task of the action, without its transitions."""
    action = step.action
    payload: State = {
        "step": step.id,
        "item": "{% $states.input.index %}" if step.for_each else None,
        "attempt": "{% $states.context.State.RetryCount + 1 %}",
    }
    if action.callback:
        payload["task_token"] = asl.context("Task.Token")
    payload["with"] = asl.compile_template(dict(step.arguments), action.input_schema)
    state = task_builder.task(action.name, payload, resource=asl.WAIT_FOR_TOKEN if action.callback else asl.INVOKE)
    return {**state, "TimeoutSeconds": _timeout(step), "Retry": asl.retriers(step.retry)}


def _timeout(step: Step) -> int:
    timeout = step.arguments.get("timeout") if step.action.callback else None
    # Always a literal: the parser rejects an expression here.
    seconds = parse_duration(timeout) if isinstance(timeout, str) else step.action.default_timeout_seconds
    return seconds + step.action.timeout_grace_seconds


def _result(step: Step) -> str:
    # A task token is completed with the result itself; an invocation returns the result as Payload.
    return "{% $states.result %}" if step.action.callback else "{% $states.result.Payload %}"


def _timeout_catchers(step: Step) -> list[State]:
    if not step.action.timeout_results:
        return []
    return [{"ErrorEquals": ["States.Timeout"], "Output": {}, "Next": f"{step.id}.timed_out"}]


def _timed_out_states(step: Step, end_fields: Any) -> States:
    if not (results := step.action.timeout_results):
        return {}
    outcome_name = step.arguments.get("on_timeout", next(iter(results)))
    result = dict(results[outcome_name]) if isinstance(outcome_name, str) else asl.compile_template({})
    return {f"{step.id}.timed_out": {"Type": "Pass", **end_fields(result)}}


def _inline_state(step: Step) -> State:
    """Return the state of a wait or a transform, as the end of a branch. Its output is {"value": the result}."""
    value = asl.compile_template(dict(step.arguments), step.action.input_schema)
    if step.action.kind is ActionKind.TRANSFORM:
        return {"Type": "Pass", "Output": {"value": value}, "End": True}
    if "until" in value:
        time = {"Timestamp": value["until"]}
    else:
        time = {"Seconds": asl.wait_seconds(step.id, _seconds(value))}
    return {"Type": "Wait", **time, "Output": {"value": {}}, "End": True}


def _seconds(value: State) -> int | str:
    """Return a number of seconds, or JSONata that returns one."""
    if "duration" in value:
        return parse_duration(value["duration"])
    seconds = value["seconds"]
    return seconds[2:-2].strip() if isinstance(seconds, str) else seconds


def _map(step: Step, catch: State, task_builder: TaskBuilder) -> State:
    """Return a Map that runs the action once per item, `max_concurrency` at a time. Results keep the items' order."""
    items = asl.source_with_bindings(step.for_each) if step.for_each else ""
    return {
        "Type": "Map",
        "Items": asl.expression(asl.list_source(items, MAX_ITEMS)),
        "ItemSelector": {
            "index": asl.context("Map.Item.Index"),
            "item": asl.context("Map.Item.Value"),
        },
        "MaxConcurrency": step.max_concurrency,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": f"{step.id}.item",
            "States": _item_states(step, task_builder),
        },
        "Catch": [catch],
    }


def _item_states(step: Step, task_builder: TaskBuilder) -> States:
    """Return the states of one item.

    A failed item fails the Map. With `on_error: continue`, {"error", "message"} takes the place of the item's result.
    """
    name = f"{step.id}.item"
    continues = step.on_error is OnError.CONTINUE
    catch = [asl.catch(asl.failure_result(step), f"{name}.caught")] if continues else []
    caught_states: States = {f"{name}.caught": {"Type": "Pass", "End": True}} if continues else {}
    if step.action.kind is ActionKind.TASK:
        catchers = [*_timeout_catchers(step), *catch]
        state = _task(step, task_builder) | ({"Catch": catchers} if catchers else {})
        timed_out_states = _timed_out_states(step, lambda result: {"Output": result, "End": True})
        return {name: {**state, "Output": _result(step), "End": True}, **timed_out_states, **caught_states}
    value = {**_inline_state(step), "End": True}
    guard = _catchable(f"{name}.value", value, catch[0] if catch else {}, f"{name}.result")
    if not catch:
        del guard["Catch"]
    return {
        name: guard,
        f"{name}.result": {"Type": "Pass", "Output": _SINGLE_BRANCH_VALUE, "End": True},
        **caught_states,
    }
