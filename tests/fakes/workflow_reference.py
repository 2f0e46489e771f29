"""A reference interpreter for workflow definitions, compared with the compiled state machines.

It shares only the definition with the compiler. Steps run one after the other. If several steps of a level fail, an
engine may report any of them, so `failed` is a set.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jsonata

from email_sender.workflows.action_model import ActionKind
from email_sender.workflows.definition.expressions import Expression
from email_sender.workflows.definition.model import Definition, OnError, Step

type Handler = Callable[[dict[str, Any]], Any]


class StepFailed(Exception):
    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass
class ReferenceOutcome:
    """The outcome of a run; `statuses` and `results` have the step id as key. `waits` has what each wait waited for."""

    status: str = "SUCCEEDED"
    failed: set[str] = field(default_factory=set)
    statuses: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    waits: list[Any] = field(default_factory=list)


def run_reference(
    definition: Definition, inputs: Any, handler: Handler, error_type: type[Exception], cause: str = "request"
) -> ReferenceOutcome:
    """Run a definition. `handler` gets the payload of a function (action, step, item, attempt, with) and fails by
    raising `error_type`, whose `name` is the name of the error."""
    outcome = ReferenceOutcome()
    reference = _Reference(definition, inputs, handler, error_type, outcome, cause)
    for level in definition.levels:
        for name in level:
            reference.step(definition.steps[name])
        if outcome.failed:
            outcome.status = "FAILED"
            break
    return outcome


class _Reference:
    def __init__(
        self,
        definition: Definition,
        inputs: Any,
        handler: Handler,
        error_type: type[Exception],
        outcome: ReferenceOutcome,
        cause: str,
    ) -> None:
        self._run = {"cause": cause}
        self._definition, self._inputs, self._outcome = definition, inputs, outcome
        self._handler, self._error_type = handler, error_type

    def step(self, step: Step) -> None:
        outcome = self._outcome
        status, result = "succeeded", None
        try:
            should_run = self._is_activated(step) and (step.when is None or self._is_true(step.when))
        except StepFailed:
            outcome.failed.add(step.id)
            return
        if not should_run:
            status = "skipped"
        else:
            try:
                result = self._run_items(step) if step.for_each else self._run_once(step, None, None)
            except StepFailed as error:
                if step.on_error is OnError.FAIL:
                    outcome.failed.add(step.id)
                    return
                status, result = "failed", {"error": error.name, "message": str(error)}
        outcome.statuses[step.id], outcome.results[step.id] = status, result

    def _is_activated(self, step: Step) -> bool:
        if step.handles:
            return any(self._outcome.statuses[name] == "failed" for name in step.handles)
        return not step.needs or any(self._activates_dependents(name) for name in step.needs)

    def _activates_dependents(self, name: str) -> bool:
        status = self._outcome.statuses[name]
        is_handled = status == "failed" and self._definition.steps[name].on_error is OnError.RUN
        return status != "skipped" and not is_handled

    def _run_items(self, step: Step) -> list[Any]:
        assert step.for_each
        items = self._evaluate(step.for_each, None)
        items = [] if items is None else items if isinstance(items, list) else [items]
        results: list[Any] = []
        failed: StepFailed | None = None
        for index, item in enumerate(items):
            try:
                results.append(self._run_once(step, index, item))
            except StepFailed as error:
                failed = error
                results.append({"error": error.name, "message": str(error)})
        if failed and step.on_error is not OnError.CONTINUE:
            raise failed
        return results

    def _run_once(self, step: Step, index: int | None, item: Any) -> Any:
        arguments = self._fill(step.arguments, item)
        if step.action.kind is ActionKind.TRANSFORM:
            return arguments
        if step.action.kind is ActionKind.WAIT:
            self._outcome.waits += arguments.values()
            return {}
        for attempt in range(1, (step.retry.max_attempts if step.retry else 1) + 1):
            try:
                return self._handler(
                    {"action": step.action.name, "step": step.id, "item": index, "attempt": attempt, "with": arguments}
                )
            except self._error_type as error:
                failed = StepFailed(getattr(error, "name", ""), str(error))
                if not step.retry or failed.name not in step.retry.on:
                    break
        raise failed

    def _fill(self, value: Any, item: Any) -> Any:
        if isinstance(value, Expression):
            return self._evaluate(value, item, required=True)
        if isinstance(value, list):
            return [self._fill(element, item) for element in value]
        return {key: self._fill(element, item) for key, element in value.items()} if isinstance(value, dict) else value

    def _is_true(self, value: Expression) -> bool:
        truth = self._evaluate(Expression(f"({value.source}) ? true : false"), None)
        return truth is True

    def _evaluate(self, value: Expression, item: Any, *, required: bool = False) -> Any:
        program = jsonata.Jsonata(value.source)
        program.assign("inputs", self._inputs)
        program.assign("run", self._run)
        program.assign("steps", self._outcome.results)
        if item is not None:
            program.assign("item", item)
        try:
            result = program.evaluate(None)
        except Exception as error:
            raise StepFailed("expression", str(error)) from error
        if required and result is None:
            probe = Expression(f"$exists({value.source})")
            if not self._evaluate(probe, item):
                raise StepFailed("expression", "nothing")
        return result
