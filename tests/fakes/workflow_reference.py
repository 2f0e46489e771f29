"""What a definition means, in plain Python: the compiled machines are compared with this.

It shares nothing with the compiler but the definition itself. Steps run one after the other; where several steps of a
level fail, the engines may report any of them, so `failed` is a set.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jsonata

from email_sender.workflows.catalogue import Kind
from email_sender.workflows.definition import Definition, OnError, Step
from email_sender.workflows.expressions import Expression

type Handler = Callable[[dict[str, Any]], Any]


class Failed(Exception):
    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass
class Told:
    """`statuses` and `results` by step."""

    status: str = "SUCCEEDED"
    failed: set[str] = field(default_factory=set)
    statuses: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)


def tell(definition: Definition, inputs: Any, handler: Handler, error_type: type[Exception]) -> Told:
    """`handler` gets what a function gets (action, step, item, attempt, with); it fails by raising `error_type`, whose
    `name` is the error's."""
    told = Told()
    reference = _Reference(definition, inputs, handler, error_type, told)
    for row in definition.levels:
        for name in row:
            reference.step(definition.steps[name])
        if told.failed:
            told.status = "FAILED"
            break
    return told


class _Reference:
    def __init__(
        self, definition: Definition, inputs: Any, handler: Handler, error_type: type[Exception], told: Told
    ) -> None:
        self._definition, self._inputs, self._told = definition, inputs, told
        self._handler, self._error_type = handler, error_type

    def step(self, step: Step) -> None:
        told = self._told
        status, result = "succeeded", None
        try:
            runs = self._fed(step) and (step.when is None or self._truth(step.when))
        except Failed:
            told.failed.add(step.id)
            return
        if not runs:
            status = "skipped"
        else:
            try:
                result = self._each(step) if step.for_each else self._once(step, None, None)
            except Failed as error:
                if step.on_error is OnError.FAIL:
                    told.failed.add(step.id)
                    return
                status, result = "failed", {"error": error.name, "message": str(error)}
        told.statuses[step.id], told.results[step.id] = status, result

    def _fed(self, step: Step) -> bool:
        if step.handles:
            return any(self._told.statuses[name] == "failed" for name in step.handles)
        return not step.needs or any(self._feeds(name) for name in step.needs)

    def _feeds(self, name: str) -> bool:
        status = self._told.statuses[name]
        sent_away = status == "failed" and self._definition.steps[name].on_error is OnError.RUN
        return status != "skipped" and not sent_away

    def _each(self, step: Step) -> list[Any]:
        assert step.for_each
        items = self._evaluate(step.for_each, None)
        items = [] if items is None else items if isinstance(items, list) else [items]
        results: list[Any] = []
        failed: Failed | None = None
        for index, item in enumerate(items):
            try:
                results.append(self._once(step, index, item))
            except Failed as error:
                failed = error
                results.append({"error": error.name, "message": str(error)})
        if failed and step.on_error is not OnError.CONTINUE:
            raise failed
        return results

    def _once(self, step: Step, index: int | None, item: Any) -> Any:
        arguments = self._fill(step.arguments, item)
        if step.action.kind is Kind.TRANSFORM:
            return arguments
        if step.action.kind is Kind.WAIT:
            return {}
        for attempt in range(1, (step.retry.max_attempts if step.retry else 1) + 1):
            try:
                return self._handler(
                    {"action": step.action.name, "step": step.id, "item": index, "attempt": attempt, "with": arguments}
                )
            except self._error_type as error:
                failed = Failed(getattr(error, "name", ""), str(error))
                if not step.retry or failed.name not in step.retry.on:
                    break
        raise failed

    def _fill(self, value: Any, item: Any) -> Any:
        if isinstance(value, Expression):
            return self._evaluate(value, item, must=True)
        if isinstance(value, list):
            return [self._fill(one, item) for one in value]
        return {key: self._fill(one, item) for key, one in value.items()} if isinstance(value, dict) else value

    def _truth(self, value: Expression) -> bool:
        truth = self._evaluate(Expression(f"({value.source}) ? true : false"), None)
        return truth is True

    def _evaluate(self, value: Expression, item: Any, *, must: bool = False) -> Any:
        program = jsonata.Jsonata(value.source)
        program.assign("inputs", self._inputs)
        program.assign("steps", self._told.results)
        if item is not None:
            program.assign("item", item)
        try:
            result = program.evaluate(None)
        except Exception as error:
            raise Failed("expression", str(error)) from error
        if must and result is None:
            probe = Expression(f"$exists({value.source})")
            if not self._evaluate(probe, item):
                raise Failed("expression", "nothing")
        return result
