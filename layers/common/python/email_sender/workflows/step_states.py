"""The states of one step.

[<id>.when]       a Parallel of one branch that computes the condition: a Choice could not catch its failing
[<id>.if]         a Choice: run, or [<id>.skipped]
<id>              the action: a Task; a Map of <id>.item; for wait and transform a Parallel of one branch
[<id>.result]     takes apart what such a Parallel gave
[<id>.timed_out]  the time of a callback is over, and its action has a result for that
[<id>.caught]     the action failed, and on_error lets the run go on
[<id>.failed]     in a branch: fails it, with the step's name before the cause
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from email_sender.workflows import asl
from email_sender.workflows.asl import State, States
from email_sender.workflows.catalogue import Kind
from email_sender.workflows.definition import MAX_ITEMS, OnError, Step
from email_sender.workflows.durations import parse_duration
from email_sender.workflows.skipping import Conditions

_ONLY = "{% $states.input[0].value %}"  # what a Parallel of one branch gave


@dataclass(frozen=True, slots=True)
class Call:
    """What every function is told, whatever a step's `with` says."""

    tenant_id: str
    workflow_id: str
    version: int
    targets: Mapping[str, str]

    def task(self, target: str, payload: State, *, resource: str = asl.INVOKE) -> State:
        if target not in self.targets:
            raise LookupError(f"no function for {target!r}")
        common: State = {
            "tenant_id": asl.quoted(self.tenant_id),
            "workflow_id": asl.quoted(self.workflow_id),
            "version": self.version,
            "run_id": asl.context("Execution.Input.run_id"),
            "action": target,
        }
        arguments = {"FunctionName": self.targets[target], "Payload": common | payload}
        return {"Type": "Task", "Resource": resource, "Arguments": arguments}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands: at the top of the machine, before `following`, or in a branch of a Parallel.

    At the top its outcome is assigned at once. A branch cannot assign outside itself, so there it is the output.
    """

    following: str | None = None

    def done(self, step: Step, status: str, result: Any) -> State:
        """The fields of a state after which the step is over."""
        if self.following is None:
            return {"Output": {"status": status, "result": result}, "End": True}
        return {"Assign": outcome(step, status, result), "Output": {}, "Next": self.following}

    def blame(self, step: Step) -> State:
        """A Catch for what ends the run."""
        return asl.catch(asl.blame(step), f"{step.id}.failed" if self.following is None else asl.FAILED)


def outcome(step: Step, status: Any, result: Any) -> State:
    return {asl.variable("step", step.id): result, asl.variable("status", step.id): status}


def entry_of(step: Step, conditions: Conditions) -> str:
    """The name of the step's first state."""
    if step.when:
        return f"{step.id}.when"
    return f"{step.id}.if" if conditions.to_run(step) else step.id


def step_states(step: Step, place: Place, conditions: Conditions, call: Call) -> States:
    blame, goes_on = place.blame(step), step.on_error is not OnError.FAIL
    catch = asl.catch(asl.failure(step), f"{step.id}.caught") if goes_on else blame
    states = _gate(step, place, conditions, blame)
    if step.for_each:
        states[step.id] = _map(step, catch, call) | place.done(step, "succeeded", "{% $states.result %}")
    elif step.action.kind is Kind.TASK:
        done = place.done(step, "succeeded", _result(step))
        states[step.id] = _task(step, call) | {"Catch": [*_on_timeout(step), catch]} | done
        states |= _timed_out(step, lambda result: place.done(step, "succeeded", result))
    else:
        states[step.id] = _guard(f"{step.id}.value", _compute(step), catch, f"{step.id}.result")
        states[f"{step.id}.result"] = {"Type": "Pass", **place.done(step, "succeeded", _ONLY)}
    if goes_on:
        states[f"{step.id}.caught"] = {"Type": "Pass", **place.done(step, "failed", "{% $states.input %}")}
    if place.following is None and (step.when or not goes_on):
        states[f"{step.id}.failed"] = asl.fail_state(prefixed=True)
    return states


def _gate(step: Step, place: Place, conditions: Conditions, blame: State) -> States:
    """The states that decide whether the step runs."""
    condition = conditions.to_run(step)
    if step.when is None and condition is None:
        return {}
    states: States = {}
    if step.when:
        # What is neither true nor false counts as JSONata's ? counts it; nothing at all is false.
        value = f"({asl.source_of(step.when)}) ? true : false"
        value = f"({condition}) ? ({value}) : false" if condition else value
        test = {"Type": "Pass", "Output": {"value": asl.expression(value)}, "End": True}
        states[f"{step.id}.when"] = _guard(f"{step.id}.condition", test, blame, f"{step.id}.if")
        condition = "$states.input[0].value"
    states[f"{step.id}.if"] = {
        "Type": "Choice",
        "Choices": [{"Condition": asl.expression(str(condition)), "Next": step.id}],
        "Default": f"{step.id}.skipped",
    }
    states[f"{step.id}.skipped"] = {"Type": "Pass", **place.done(step, "skipped", "{% null %}")}
    return states


def _guard(name: str, state: State, catch: State, following: str) -> State:
    """Run one state where its errors can be caught."""
    branch = {"StartAt": name, "States": {name: state}}
    return {"Type": "Parallel", "Branches": [branch], "Catch": [catch], "Next": following}


def _task(step: Step, call: Call) -> State:
    """The call of the action, without what comes after it."""
    action = step.action
    payload: State = {
        "step": step.id,
        "item": "{% $states.input.index %}" if step.for_each else None,
        "attempt": "{% $states.context.State.RetryCount + 1 %}",
    }
    if action.callback:
        payload["task_token"] = asl.context("Task.Token")
    payload["with"] = asl.template(dict(step.arguments), action.input_schema)
    state = call.task(action.name, payload, resource=asl.WAIT_FOR_TOKEN if action.callback else asl.INVOKE)
    return {**state, "TimeoutSeconds": _timeout(step), "Retry": asl.retriers(step.retry)}


def _timeout(step: Step) -> int:
    given = step.arguments.get("timeout") if step.action.callback else None
    # A literal: the definition's reader refuses an expression here.
    return parse_duration(given) if isinstance(given, str) else step.action.default_timeout_seconds


def _result(step: Step) -> str:
    # By token the answer is the result itself; a call's answer carries it as Payload.
    return "{% $states.result %}" if step.action.callback else "{% $states.result.Payload %}"


def _on_timeout(step: Step) -> list[State]:
    if not step.action.timeout_results:
        return []
    return [{"ErrorEquals": ["States.Timeout"], "Output": {}, "Next": f"{step.id}.timed_out"}]


def _timed_out(step: Step, done: Any) -> States:
    if not (results := step.action.timeout_results):
        return {}
    chosen = step.arguments.get("on_timeout", next(iter(results)))
    result = dict(results[chosen]) if isinstance(chosen, str) else asl.template({})
    return {f"{step.id}.timed_out": {"Type": "Pass", **done(result)}}


def _compute(step: Step) -> State:
    """The state of a wait or a transform, as the end of a branch. Its output is {"value": the result}."""
    value = asl.template(dict(step.arguments), step.action.input_schema)
    if step.action.kind is Kind.TRANSFORM:
        return {"Type": "Pass", "Output": {"value": value}, "End": True}
    if "until" in value:
        time = {"Timestamp": value["until"]}
    else:
        time = {"Seconds": asl.unless_passed(step.id, _seconds(value))}
    return {"Type": "Wait", **time, "Output": {"value": {}}, "End": True}


def _seconds(value: State) -> int | str:
    """A number, or JSONata that gives one."""
    if "duration" in value:
        return parse_duration(value["duration"])
    given = value["seconds"]
    return given[2:-2].strip() if isinstance(given, str) else given


def _map(step: Step, catch: State, call: Call) -> State:
    """One action an item, `max_concurrency` at a time. The results stand in the order of the items."""
    items = asl.source_of(step.for_each) if step.for_each else ""
    return {
        "Type": "Map",
        "Items": asl.expression(asl.list_of(items, MAX_ITEMS)),
        "ItemSelector": {
            "index": asl.context("Map.Item.Index"),
            "item": asl.context("Map.Item.Value"),
        },
        "MaxConcurrency": step.max_concurrency,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": f"{step.id}.item",
            "States": _item_states(step, call),
        },
        "Catch": [catch],
    }


def _item_states(step: Step, call: Call) -> States:
    """An item that fails fails the Map; with on_error: continue, {"error", "message"} stands in its place."""
    name = f"{step.id}.item"
    goes_on = step.on_error is OnError.CONTINUE
    catch = [asl.catch(asl.failure(step), f"{name}.caught")] if goes_on else []
    caught: States = {f"{name}.caught": {"Type": "Pass", "End": True}} if goes_on else {}
    if step.action.kind is Kind.TASK:
        catchers = [*_on_timeout(step), *catch]
        state = _task(step, call) | ({"Catch": catchers} if catchers else {})
        timed_out = _timed_out(step, lambda result: {"Output": result, "End": True})
        return {name: {**state, "Output": _result(step), "End": True}, **timed_out, **caught}
    value = {**_compute(step), "End": True}
    guard = _guard(f"{name}.value", value, catch[0] if catch else {}, f"{name}.result")
    if not catch:
        del guard["Catch"]
    return {name: guard, f"{name}.result": {"Type": "Pass", "Output": _ONLY, "End": True}, **caught}
