"""Build the parts of an Amazon States Language definition in JSONata mode. compiler.py combines them.

Where the values that expressions read are stored (the same on Step Functions, MiniStack and moto):

- `$inputs`, `$run` and `$errors` are variables of the state machine, assigned by its first state;
- each step has two variables of its own, `$step_<id>` (its result) and `$status_<id>`. An expression that reads
  `$steps` is wrapped so that it sees the steps that it names: `( $steps := {'a': $step_a}; … )`. A single variable for
  all results would have to fit in the 256 KiB of one Assign;
- `$item` is read from the state's input, which in a Map is `{"index", "item"}`. It is not a variable, because assigning
  it would add two history events per item.
"""

import json
from typing import Any, Final

from email_sender.workflows.action_schemas import Schema
from email_sender.workflows.definition.expressions import Expression
from email_sender.workflows.definition.model import ERRORS, Retry, Step, Template

type State = dict[str, Any]
type States = dict[str, State]

INVOKE: Final = "arn:aws:states:::lambda:invoke"
WAIT_FOR_TOKEN: Final = "arn:aws:states:::lambda:invoke.waitForTaskToken"  # noqa: S105 - a resource, not a secret
TOO_MANY_ITEMS: Final = "too_many_items"
EXPRESSION_ERROR: Final = "expression"
# Names of the machine's own states have spaces, which no id of a step can have: a step cannot replace one of them.
REPORT_FAILURE: Final = "report failure"
_CONTEXT: Final = "$states.context"

# Errors that the Lambda service returns when it is busy or broken. They do not show whether the function ran. Every
# handler is idempotent by (run, step, item), email.send above all, so all of these errors are safe to retry.
# Steps of a stopped manager wait about a day for its start. The first retries are a few seconds apart, so that a short
# stop costs only seconds.
_STOPPED_RETRY: Final = {
    "ErrorEquals": ["stopped"],
    "IntervalSeconds": 2,
    "BackoffRate": 1.5,
    "MaxDelaySeconds": 300,
    "MaxAttempts": 300,
}
_PLATFORM_RETRY: Final = {
    "ErrorEquals": [
        "Lambda.TooManyRequestsException",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.Unknown",
        # The function's process died. Its work can be repeated.
        "Runtime.ExitError",
    ],
    "IntervalSeconds": 1,
    "BackoffRate": 2,
    "MaxAttempts": 5,
    "MaxDelaySeconds": 30,
    "JitterStrategy": "FULL",
}
# A run looks stuck until its end is recorded, so the hook is retried for about an hour.
HOOK_RETRY: Final = [
    {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 12, "MaxDelaySeconds": 600}
]
# The engine's error names and the names that users see; this is the state machine's `$errors`.
ENGINE_ERRORS: Final = {
    "States.Timeout": "timeout",
    "Sandbox.Timedout": "timeout",
    "States.QueryEvaluationError": EXPRESSION_ERROR,
    "States.Permissions": "forbidden",
    "States.TaskFailed": "failed",
    "States.Runtime": "failed",
    "Lambda.Unknown": "failed",
    "Runtime.ExitError": "failed",
}
_ERROR_NAMES: Final = {name: [name] for name in ERRORS} | {
    # A task ran too long: its state's timeout or its function's timeout ended it.
    "timeout": ["timeout", "States.Timeout", "Sandbox.Timedout"],
}


def literal(text: str) -> str:
    """Return `text` as a literal: text that looks like an expression becomes an expression that returns the text."""
    return f"{{% {_string_literal(text)} %}}" if text.startswith("{%") else text


def _string_literal(text: str) -> str:
    """Return `text` as a JSONata string literal. Every JSON escape is also a JSONata escape."""
    return json.dumps(text)


def expression(source: str) -> str:
    return f"{{% {source} %}}"


def variable_name(kind: str, step: str) -> str:
    """Return the variable's name, `step_<id>` or `status_<id>`. The parser rejects ids that differ only in - and _."""
    return f"{kind}_{step.replace('-', '_')}"


def source_with_bindings(value: Expression) -> str:
    """Return the expression's JSONata with `$steps` and `$item` bound where it reads them."""
    bindings = ""
    if "steps" in value.roots:
        pairs = ", ".join(f"{_string_literal(step)}: ${variable_name('step', step)}" for step in sorted(value.steps))
        bindings += f"$steps := {{{pairs}}}; "
    if "item" in value.roots:
        bindings += "$item := $states.input.item; "
    return f"( {bindings}{value.source} )" if bindings else value.source


def list_source(source: str, max_items: int = 0) -> str:
    """Return JSONata for a list: a single value becomes a list of one; nothing and null become an empty list.

    JSONata itself turns a list of one hit into the hit. With `max_items`, a longer list is an error at run time.
    """
    limit = ""
    if max_items:
        message = f"'{TOO_MANY_ITEMS}: ' & $count($list) & ' items, at most {max_items}'"
        limit = f"$count($list) > {max_items} ? $error({message}) : "
    return f"( $list := ({source}); $list := $type($list) = 'null' ? [] : [$list]; {limit}$list )"


def wait_seconds(step: str, seconds: int | str) -> str:
    """Return JSONata for the seconds to wait: 0 if the run resumes an earlier run that already waited at this step."""
    return expression(f"{_string_literal(step)} in {_CONTEXT}.Execution.Input.passed ? 0 : ({seconds})")


def compile_template(value: Template, schema: Schema | None = None) -> Any:
    """Return the value as ASL. Where `schema` expects a list, an expression is wrapped so that it returns a list."""
    schema = schema or {}
    if isinstance(value, Expression):
        source = source_with_bindings(value)
        return expression(list_source(source) if schema.get("type") == "array" else source)
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, list):
        return [compile_template(item, schema.get("items")) for item in value]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return {key: compile_template(inner, properties.get(key)) for key, inner in value.items()}
    return value


def context(path: str) -> str:
    return expression(f"{_CONTEXT}.{path}")


def retriers(retry: Retry | None) -> list[State]:
    """Return the Retry list. The definition's own rule comes first, because the first matching rule decides."""
    own_retriers: list[State] = []
    if retry and retry.max_attempts > 1:
        own_retriers.append(
            {
                "ErrorEquals": [error for name in retry.on for error in _ERROR_NAMES[name]],
                "IntervalSeconds": retry.interval_seconds,
                "BackoffRate": retry.backoff,
                "MaxAttempts": retry.max_attempts - 1,
            }
        )
    return [*own_retriers, dict(_STOPPED_RETRY), dict(_PLATFORM_RETRY)]


_CAUSE: Final = "$states.errorOutput.Cause"
# The cause of a failed function is JSON with its error; the cause of a failed task token is our own message.
MESSAGE: Final = (
    f"( $cause := $string({_CAUSE}); $exists({_CAUSE}) ? ($substring($cause, 0, 16) = '{{\"errorMessage\":' and "
    "$substring($cause, -1) = '}' ? $string($parse($cause).errorMessage) : $cause) : '' )"
)


def failure_result(step: Step) -> State:
    """Return the result of a failed step after which the run continues."""
    return {"error": _error_name(step), "message": expression(MESSAGE)}


def run_failure(step: Step) -> State:
    """Return the output of a Catch that leads to the state REPORT_FAILURE."""
    return {
        "step": step.id,
        "error": _error_name(step),
        "cause": expression(f"$exists({_CAUSE}) ? {_CAUSE} : ''"),
    }


_ERROR: Final = "$states.errorOutput.Error"


# The error's readable name. A Fail state may not use names that begin with States., and users should not see them.
_READABLE_ERROR: Final = f"( $name := $lookup($errors, {_ERROR}); $exists($name) ? $name : {_ERROR} )"


def _error_name(step: Step) -> str:
    if not step.for_each:
        return expression(_READABLE_ERROR)
    # $error() in the Map's Items cannot set the error's name, so the error is recognised by its text.
    return expression(f"$contains($string({_CAUSE}), '{TOO_MANY_ITEMS}: ') ? '{TOO_MANY_ITEMS}' : {_READABLE_ERROR}")


def branch_failure(steps: list[str]) -> State:
    """Return `run_failure` for a Parallel: the failed branch put its step's id before the cause (see fail_state)."""
    known_steps = json.dumps(steps)
    step_prefix = f"$substringBefore($string({_CAUSE}), ': ')"
    return {
        "step": expression(f"( $step := {step_prefix}; $step in {known_steps} ? $step : null )"),
        "error": expression(_READABLE_ERROR),
        "cause": expression(
            f"$exists({_CAUSE}) ? "
            f"({step_prefix} in {known_steps} ? $substringAfter($string({_CAUSE}), ': ') : {_CAUSE}) : ''"
        ),
    }


def fail_state(*, prefixed: bool) -> State:
    cause = "$states.input.step & ': ' & $states.input.cause" if prefixed else "$states.input.cause"
    # A cause longer than 32,768 characters makes AWS end the execution with another error.
    return {
        "Type": "Fail",
        "Error": "{% $states.input.error %}",
        "Cause": expression(f"$substring({cause}, 0, 30000)"),
    }


def catch(output: Any, next_state: str) -> State:
    return {"ErrorEquals": ["States.ALL"], "Output": output, "Next": next_state}
