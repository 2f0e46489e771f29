"""Small parts of Amazon States Language in JSONata mode, as plain values. compiler.py puts them together.

How the values that expressions see are kept (the same on Step Functions, MiniStack and moto):

- `$inputs`, `$run` and `$errors` are variables of the machine, assigned by its first state;
- each step has two variables of its own, `$step_<id>` (its result) and `$status_<id>`; an expression that reads
  `$steps` is wrapped so that it sees the ones it names: `( $steps := {'a': $step_a}; … )`. One variable for all results
  would have to fit, whole, in the 256 KiB of a single Assign;
- `$item` is taken from the state's input, which in a Map is `{"index", "item"}`. Not a variable: assigning it would
  cost each item two events of the history.
"""

import json
from typing import Any, Final

from email_sender.workflows.catalogue import Schema
from email_sender.workflows.definition import ERRORS, Retry, Step, Template
from email_sender.workflows.expressions import Expression

type State = dict[str, Any]
type States = dict[str, State]

INVOKE: Final = "arn:aws:states:::lambda:invoke"
WAIT_FOR_TOKEN: Final = "arn:aws:states:::lambda:invoke.waitForTaskToken"  # noqa: S105 - a resource, not a secret
TOO_MANY: Final = "too_many_items"
FAILED: Final = "run.failed"  # no id of a step has a dot
_CONTEXT: Final = "$states.context"

# What the Lambda service itself answers when it is busy or broken. Nothing says whether the function ran, so every
# handler is idempotent by (run, step, item), email.send above all; then all of these are safe to try again.
# A stopped manager's steps wait for it: for about a day, and seconds after its start where the stop was short.
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
        # The function's process died; what it does is repeatable.
        "Runtime.ExitError",
    ],
    "IntervalSeconds": 1,
    "BackoffRate": 2,
    "MaxAttempts": 5,
    "MaxDelaySeconds": 30,
    "JitterStrategy": "FULL",
}
# A run whose end nobody hears of looks stuck: the hook is tried for about an hour.
HOOK_RETRY: Final = [
    {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 12, "MaxDelaySeconds": 600}
]
# What the engine's own names are for people; the machine's `$errors`.
ENGINE_ERRORS: Final = {
    "States.Timeout": "timeout",
    "Sandbox.Timedout": "timeout",
    "States.QueryEvaluationError": "expression",
    "States.Permissions": "forbidden",
    "States.TaskFailed": "failed",
    "States.Runtime": "failed",
    "Lambda.Unknown": "failed",
    "Runtime.ExitError": "failed",
}
_ERROR_NAMES: Final = {name: [name] for name in ERRORS} | {
    # A task that took too long: by its state's clock, or by its function's.
    "timeout": ["timeout", "States.Timeout", "Sandbox.Timedout"],
}


def quoted(text: str) -> str:
    """`text` as a literal: what looks like an expression becomes an expression that gives it."""
    return f"{{% {_string(text)} %}}" if text.startswith("{%") else text


def _string(text: str) -> str:
    """A JSONata string; JSON's own escapes are all JSONata's."""
    return json.dumps(text)


def expression(source: str) -> str:
    return f"{{% {source} %}}"


def variable(kind: str, step: str) -> str:
    """`step_<id>` or `status_<id>`; ids that differ only in - and _ were refused."""
    return f"{kind}_{step.replace('-', '_')}"


def source_of(value: Expression) -> str:
    """JSONata that gives the expression its `$steps` and `$item`."""
    given = ""
    if "steps" in value.roots:
        pairs = ", ".join(f"{_string(step)}: ${variable('step', step)}" for step in sorted(value.steps))
        given += f"$steps := {{{pairs}}}; "
    if "item" in value.roots:
        given += "$item := $states.input.item; "
    return f"( {given}{value.source} )" if given else value.source


def list_of(source: str, most: int = 0) -> str:
    """JSONata that gives a list: one value alone is a list of one, nothing and null are an empty list.

    JSONata itself turns a list of one hit into the hit. With `most`, a longer list is an error.
    """
    limit = ""
    if most:
        limit = f"$count($list) > {most} ? $error('{TOO_MANY}: ' & $count($list) & ' items, at most {most}') : "
    return f"( $list := ({source}); $list := $type($list) = 'null' ? [] : [$list]; {limit}$list )"


def unless_passed(step: str, seconds: int | str) -> str:
    """The seconds to wait; none where the run goes on from one that waited already."""
    return expression(f"{_string(step)} in {_CONTEXT}.Execution.Input.passed ? 0 : ({seconds})")


def template(value: Template, schema: Schema | None = None) -> Any:
    """The value as ASL. Where `schema` wants a list, an expression is made to give one."""
    schema = schema or {}
    if isinstance(value, Expression):
        source = source_of(value)
        return expression(list_of(source) if schema.get("type") == "array" else source)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return [template(item, schema.get("items")) for item in value]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return {key: template(inner, properties.get(key)) for key, inner in value.items()}
    return value


def context(path: str) -> str:
    return expression(f"{_CONTEXT}.{path}")


def retriers(retry: Retry | None) -> list[State]:
    """The definition's own first: the first that matches an error decides."""
    mine: list[State] = []
    if retry and retry.max_attempts > 1:
        mine.append(
            {
                "ErrorEquals": [error for name in retry.on for error in _ERROR_NAMES[name]],
                "IntervalSeconds": retry.interval_seconds,
                "BackoffRate": retry.backoff,
                "MaxAttempts": retry.max_attempts - 1,
            }
        )
    return [*mine, dict(_STOPPED_RETRY), dict(_PLATFORM_RETRY)]


_CAUSE: Final = "$states.errorOutput.Cause"
# A failed function's cause is JSON of its error; a failed token's cause is our own sentence.
MESSAGE: Final = (
    f"( $cause := $string({_CAUSE}); $exists({_CAUSE}) ? ($substring($cause, 0, 16) = '{{\"errorMessage\":' and "
    "$substring($cause, -1) = '}' ? $string($parse($cause).errorMessage) : $cause) : '' )"
)


def failure(step: Step) -> State:
    """The result of a step that failed and was let go on."""
    return {"error": _error_of(step), "message": expression(MESSAGE)}


def blame(step: Step) -> State:
    """What a Catch hands to FAILED."""
    return {
        "step": step.id,
        "error": _error_of(step),
        "cause": expression(f"$exists({_CAUSE}) ? {_CAUSE} : ''"),
    }


_ERROR: Final = "$states.errorOutput.Error"


# The error's name in our words: a Fail state may not say States.… again, and people should not have to.
_NAMED: Final = f"( $name := $lookup($errors, {_ERROR}); $exists($name) ? $name : {_ERROR} )"


def _error_of(step: Step) -> str:
    if not step.for_each:
        return expression(_NAMED)
    # $error() in the Map's items cannot choose the error's name, so it is told by its text.
    return expression(f"$contains($string({_CAUSE}), '{TOO_MANY}: ') ? '{TOO_MANY}' : {_NAMED}")


def blame_branch(steps: list[str]) -> State:
    """The same for a Parallel: the branch that failed has put its step before the cause (see fail_state)."""
    known = json.dumps(steps)
    before = f"$substringBefore($string({_CAUSE}), ': ')"
    return {
        "step": expression(f"( $step := {before}; $step in {known} ? $step : null )"),
        "error": expression(_NAMED),
        "cause": expression(
            f"$exists({_CAUSE}) ? ({before} in {known} ? $substringAfter($string({_CAUSE}), ': ') : {_CAUSE}) : ''"
        ),
    }


def fail_state(*, prefixed: bool) -> State:
    cause = "$states.input.step & ': ' & $states.input.cause" if prefixed else "$states.input.cause"
    # AWS ends an execution whose cause has more than 32,768 characters with another error.
    return {
        "Type": "Fail",
        "Error": "{% $states.input.error %}",
        "Cause": expression(f"$substring({cause}, 0, 30000)"),
    }


def catch(output: Any, following: str) -> State:
    return {"ErrorEquals": ["States.ALL"], "Output": output, "Next": following}
