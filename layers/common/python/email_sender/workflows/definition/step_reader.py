"""Read a definition's steps one by one, then check the relations between them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from email_sender.workflows.action_model import Action, ActionKind, Catalogue
from email_sender.workflows.definition.action_arguments import check_literals, is_expression
from email_sender.workflows.definition.document import DocumentReader, did_you_mean, join_pointer
from email_sender.workflows.definition.expressions import BadExpression, Expression, ExpressionChecker, References
from email_sender.workflows.definition.graph import Ancestry, find_cycle
from email_sender.workflows.definition.model import (
    DEFAULT_CONCURRENCY,
    ERRORS,
    MAX_CONCURRENCY,
    MAX_STEPS,
    RETRY_ON,
    OnError,
    Retry,
    Step,
    Template,
)

_KEYS: Final = frozenset(
    {"id", "uses", "needs", "when", "for_each", "max_concurrency", "retry", "on_error", "with", "description"}
)
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_HOUR = 3_600


@dataclass(slots=True)
class _ExpressionUse:
    """An expression and its position, remembered until the graph of steps is known."""

    step: str
    pointer: str
    source: str
    references: References


def read_steps(
    value: object, catalogue: Catalogue, expressions: ExpressionChecker, reader: DocumentReader
) -> dict[str, Step]:
    """Read the steps and return them by id. Problems are reported to `reader`."""
    entries = reader.read_list(value, "/steps")
    if not entries and not reader.problems:
        reader.report("/steps", "a workflow must have at least one step")
    if len(entries) > MAX_STEPS:
        reader.report("/steps", f"must have at most {MAX_STEPS} steps, not {len(entries)}")
        return {}
    step_reader = _StepReader(catalogue, expressions, reader)
    for index, entry in enumerate(entries):
        step_reader.read(entry, join_pointer("/steps", index))
    return step_reader.link()


class _StepReader:
    def __init__(self, catalogue: Catalogue, expressions: ExpressionChecker, reader: DocumentReader) -> None:
        self._catalogue, self._expressions, self._reader = catalogue, expressions, reader
        self._steps: dict[str, Step] = {}
        self._pointers: dict[str, str] = {}
        self._variables: dict[str, str] = {}
        self._expression_uses: list[_ExpressionUse] = []

    def read(self, value: object, pointer: str) -> None:
        reader = self._reader
        entry = reader.read_mapping(value, pointer)
        if entry is None:
            return
        reader.check_keys(entry, pointer, _KEYS, ("id", "uses"))
        step_id = self._id(entry["id"], join_pointer(pointer, "id")) if "id" in entry else None
        action = self._action(entry["uses"], join_pointer(pointer, "uses")) if "uses" in entry else None
        step_id = step_id or pointer  # only for messages: the definition is invalid anyway
        for_each = entry.get("for_each")
        on_error, handler = self._on_error(entry.get("on_error", "fail"), join_pointer(pointer, "on_error"))
        arguments = reader.read_mapping(entry.get("with", {}), join_pointer(pointer, "with"))
        if action and arguments is not None:
            check_literals(action.input_schema, arguments, join_pointer(pointer, "with"), reader)
        if action and not action.allows_for_each and for_each is not None:
            reader.report(
                join_pointer(pointer, "for_each"), f"{action.name!r} does not support for_each; pass the list to it"
            )
        template = self._template(arguments or {}, step_id, join_pointer(pointer, "with"), item=for_each is not None)
        step = Step(
            id=step_id,
            action=action or Action("", "", {}, {}),
            arguments=template if isinstance(template, dict) else {},
            needs=self._needs(entry.get("needs", []), join_pointer(pointer, "needs")),
            when=self._whole_expression(entry.get("when"), step_id, join_pointer(pointer, "when")),
            for_each=self._whole_expression(for_each, step_id, join_pointer(pointer, "for_each")),
            max_concurrency=self._concurrency(entry, pointer),
            retry=self._retry(entry["retry"], join_pointer(pointer, "retry"), action) if "retry" in entry else None,
            on_error=on_error,
            handler=handler,
        )
        self._steps.setdefault(step_id, step)
        self._pointers.setdefault(step_id, pointer)

    def _id(self, value: object, pointer: str) -> str | None:
        text = self._reader.read_text(value, pointer, 200)
        if text is None:
            return None
        if not _ID.fullmatch(text):
            self._reader.report(pointer, "must begin with a letter and have at most 64 letters, digits, - and _")
            return None
        # A step's result is stored in a variable, and a variable name cannot contain a hyphen.
        existing_id = self._variables.setdefault(text.replace("-", "_"), text)
        if text in self._steps:
            self._reader.report(pointer, f"{text!r} is already the id of another step")
            return None
        if existing_id != text:
            self._reader.report(pointer, f"{text!r} and {existing_id!r} differ only in - and _")
            return None
        return text

    def _action(self, value: object, pointer: str) -> Action | None:
        name = self._reader.read_text(value, pointer, 200)
        action = self._catalogue.get(name) if name else None
        if name and action is None:
            hint = (
                did_you_mean(name, self._catalogue.names()) or f"; known actions: {', '.join(self._catalogue.names())}"
            )
            self._reader.report(pointer, f"{name!r} is not an action{hint}")
        return action

    def _needs(self, value: object, pointer: str) -> tuple[str, ...]:
        needs: list[str] = []
        for index, need in enumerate(self._reader.read_list(value, pointer)):
            name = self._reader.read_text(need, join_pointer(pointer, index), 200)
            if name in needs:
                self._reader.report(join_pointer(pointer, index), f"{name!r} is listed twice")
            elif name:
                needs.append(name)
        return tuple(needs)

    def _concurrency(self, entry: Mapping[str, Any], pointer: str) -> int:
        if "max_concurrency" not in entry:
            return DEFAULT_CONCURRENCY
        pointer = join_pointer(pointer, "max_concurrency")
        if "for_each" not in entry:
            self._reader.report(pointer, "can be used only together with for_each")
        return self._reader.read_integer(
            entry["max_concurrency"], pointer, 1, MAX_CONCURRENCY, default=DEFAULT_CONCURRENCY
        )

    def _retry(self, value: object, pointer: str, action: Action | None) -> Retry | None:
        reader = self._reader
        entry = reader.read_mapping(value, pointer)
        if entry is None:
            return None
        if action and action.kind is not ActionKind.TASK:
            reader.report(pointer, f"{action.name!r} cannot be retried: a retry would have the same result")
        reader.check_keys(entry, pointer, {"max_attempts", "interval", "backoff", "on"}, ())
        names: list[str] = []
        for index, name in enumerate(reader.read_list(entry.get("on", RETRY_ON), join_pointer(pointer, "on"))):
            if name not in ERRORS:
                hint = did_you_mean(str(name), ERRORS) or f"; known errors: {', '.join(ERRORS)}"
                reader.report(join_pointer(pointer, "on", index), f"{name!r} is not the name of an error{hint}")
            elif name not in names:
                names.append(name)
        if "on" in entry and not entry["on"]:
            reader.report(join_pointer(pointer, "on"), "must name an error or be omitted")
        interval = reader.read_duration(
            entry.get("interval", "PT1S"), join_pointer(pointer, "interval"), 1, _HOUR, default=1
        )
        return Retry(
            max_attempts=reader.read_integer(
                entry.get("max_attempts", 3), join_pointer(pointer, "max_attempts"), 1, 10, default=3
            ),
            interval_seconds=interval,
            backoff=reader.read_number(entry.get("backoff", 2), join_pointer(pointer, "backoff"), 1, 10, default=2),
            on=tuple(names),
        )

    def _on_error(self, value: object, pointer: str) -> tuple[OnError, str | None]:
        if value in ("fail", "continue"):
            return OnError(str(value)), None
        if isinstance(value, Mapping):
            self._reader.check_keys(value, pointer, {"run"}, ("run",))
            if "run" in value and (name := self._reader.read_text(value["run"], join_pointer(pointer, "run"), 200)):
                return OnError.RUN, name
        else:
            self._reader.report(pointer, "must be fail, continue or {run: the id of a later step}")
        return OnError.FAIL, None

    def _whole_expression(self, value: object, step: str, pointer: str) -> Expression | None:
        """Read `when` or `for_each`, which must be a single expression and cannot use `$item`."""
        if value is None:
            return None
        if isinstance(value, str) and is_expression(value):
            return self._expression(value, step, pointer, item=False)
        self._reader.report(pointer, "must be an expression such as {% $inputs.query = 'x' %}")
        return None

    def _template(self, value: Any, step: str, pointer: str, *, item: bool) -> Template:
        if isinstance(value, Mapping):
            for key in value:
                if "{%" in key:
                    self._reader.report(join_pointer(pointer, key), "a key cannot be an expression, only a value can")
            pairs = (
                (key, self._template(inner, step, join_pointer(pointer, key), item=item))
                for key, inner in value.items()
            )
            return dict(pairs)
        if isinstance(value, list | tuple):
            return [
                self._template(element, step, join_pointer(pointer, index), item=item)
                for index, element in enumerate(value)
            ]
        if isinstance(value, str):
            if is_expression(value):
                return self._expression(value, step, pointer, item=item)
            self._literal(value, pointer)
        result: Template = value
        return result

    def _literal(self, value: str, pointer: str) -> None:
        if value.startswith("{%") or value.rstrip().endswith("%}"):
            self._reader.report(pointer, "{% and %} do not match: an expression begins with {% and ends with %}")
        elif "{%" in value:
            self._reader.report(
                pointer, "an expression must be the whole value: write {% 'Hello ' & $inputs.name %} to join strings"
            )

    def _expression(self, value: str, step: str, pointer: str, *, item: bool) -> Expression | None:
        source = value[2:-2].strip()
        try:
            if not source:
                raise BadExpression("there is nothing between {% and %}")
            references = self._expressions.check(source)
        except BadExpression as error:
            self._reader.report(pointer, str(error))
            return None
        if "item" in references.roots and not item:
            self._reader.report(pointer, "$item can be used only in the `with` of a step that has for_each")
        self._expression_uses.append(_ExpressionUse(step, pointer, source, references))
        return Expression(source, references.roots, references.steps)

    def link(self) -> dict[str, Step]:
        """Check the relations between the steps and return the linked steps by id. Call it after the last `read`."""
        self._check_names()
        handles: dict[str, list[str]] = {name: [] for name in self._steps}
        for step in self._steps.values():
            if step.handler in handles and step.handler != step.id:
                handles[step.handler].append(step.id)
        steps = {name: replace(step, handles=tuple(handles[name])) for name, step in self._steps.items()}
        # Edges that have been reported already are left out, so that the rest can still be checked.
        graph = {name: [need for need in step.after if need in steps and need != name] for name, step in steps.items()}
        if cycle := find_cycle(graph):
            self._report_cycle(cycle)
            return steps
        upstream = Ancestry(graph)
        whole_steps_users = {use.step for use in self._expression_uses if use.references.whole_steps}
        for use in self._expression_uses:
            for name in sorted(use.references.steps):
                self._check_upstream(use, name, upstream)
        return {
            name: _widen_to_upstream(step, upstream.upstream_of(name)) if name in whole_steps_users else step
            for name, step in steps.items()
        }

    def _check_names(self) -> None:
        for name, step in self._steps.items():
            pointer = self._pointers[name]
            for index, need in enumerate(step.needs):
                if need == name:
                    self._reader.report(join_pointer(pointer, "needs", index), "a step cannot need itself")
                elif need not in self._steps:
                    hint = did_you_mean(need, self._steps)
                    self._reader.report(join_pointer(pointer, "needs", index), f"step {need!r} does not exist{hint}")
            if step.handler == name:
                self._reader.report(join_pointer(pointer, "on_error", "run"), "a step cannot handle its own error")
            elif step.handler and step.handler not in self._steps:
                hint = did_you_mean(step.handler, self._steps)
                self._reader.report(
                    join_pointer(pointer, "on_error", "run"), f"step {step.handler!r} does not exist{hint}"
                )

    def _report_cycle(self, cycle: list[str]) -> None:
        first, chain = cycle[0], " → ".join([*cycle, cycle[0]])
        next_step = cycle[1] if len(cycle) > 1 else first
        if next_step in self._steps[first].needs:
            self._reader.report(
                join_pointer(self._pointers[first], "needs"), f"these steps wait for each other: {chain}"
            )
        else:  # only an on_error connects the two steps
            pointer = join_pointer(self._pointers[next_step], "on_error", "run")
            self._reader.report(pointer, f"{first!r} must come later: these steps wait for each other: {chain}")

    def _check_upstream(self, use: _ExpressionUse, name: str, upstream: Ancestry) -> None:
        if name not in self._steps:
            self._reader.report(
                use.pointer, f"$steps.{name}: step {name!r} does not exist{did_you_mean(name, self._steps)}"
            )
        elif name == use.step:
            self._reader.report(use.pointer, f"$steps.{name} is this step's own result, which does not exist yet")
        elif not upstream.waits_for(use.step, name):
            self._reader.report(use.pointer, f"$steps.{name} may not have ended: add {name!r} to this step's needs")


def _widen_to_upstream(step: Step, upstream: frozenset[str]) -> Step:
    """Let the step's expressions that read `$steps` see every upstream step."""

    def widen(value: Template) -> Template:
        if isinstance(value, Expression):
            return replace(value, steps=upstream) if "steps" in value.roots else value
        if isinstance(value, list):
            return [widen(item) for item in value]
        return {key: widen(inner) for key, inner in value.items()} if isinstance(value, dict) else value

    def widen_expression(value: Expression | None) -> Expression | None:
        return replace(value, steps=upstream) if value and "steps" in value.roots else value

    return replace(
        step,
        arguments={key: widen(inner) for key, inner in step.arguments.items()},
        when=widen_expression(step.when),
        for_each=widen_expression(step.for_each),
    )
