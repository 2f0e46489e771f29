"""Read a definition's steps, one by one, then what holds between them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from email_sender.workflows.catalogue import Action, Catalogue, Kind
from email_sender.workflows.definition import (
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
from email_sender.workflows.expressions import BadExpression, Expression, ExpressionChecker, References
from email_sender.workflows.graph import Ancestry, cycle_in
from email_sender.workflows.reading import Findings, did_you_mean, join
from email_sender.workflows.schemas import check_literals, is_expression

_KEYS: Final = frozenset(
    {"id", "uses", "needs", "when", "for_each", "max_concurrency", "retry", "on_error", "with", "description"}
)
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_HOUR = 3_600


@dataclass(slots=True)
class _Seen:
    """An expression and where it stands, kept until the graph is known."""

    step: str
    pointer: str
    source: str
    references: References


def read_steps(value: object, catalogue: Catalogue, expressions: ExpressionChecker, found: Findings) -> dict[str, Step]:
    entries = found.items(value, "/steps")
    if not entries and not found.problems:
        found.add("/steps", "a workflow must have a step")
    if len(entries) > MAX_STEPS:
        found.add("/steps", f"must have at most {MAX_STEPS} steps, not {len(entries)}")
        return {}
    reader = _StepReader(catalogue, expressions, found)
    for index, entry in enumerate(entries):
        reader.read(entry, join("/steps", index))
    return reader.tie()


class _StepReader:
    def __init__(self, catalogue: Catalogue, expressions: ExpressionChecker, found: Findings) -> None:
        self._catalogue, self._expressions, self._found = catalogue, expressions, found
        self._steps: dict[str, Step] = {}
        self._pointers: dict[str, str] = {}
        self._variables: dict[str, str] = {}
        self._seen: list[_Seen] = []

    def read(self, value: object, pointer: str) -> None:
        found = self._found
        entry = found.mapping(value, pointer)
        if entry is None:
            return
        found.keys(entry, pointer, _KEYS, ("id", "uses"))
        step_id = self._id(entry["id"], join(pointer, "id")) if "id" in entry else None
        action = self._action(entry["uses"], join(pointer, "uses")) if "uses" in entry else None
        step_id = step_id or pointer  # a name for the messages; the definition is refused anyway
        each = entry.get("for_each")
        on_error, handler = self._on_error(entry.get("on_error", "fail"), join(pointer, "on_error"))
        arguments = found.mapping(entry.get("with", {}), join(pointer, "with"))
        if action and arguments is not None:
            check_literals(action.input_schema, arguments, join(pointer, "with"), found)
        if action and not action.by_item and each is not None:
            found.add(join(pointer, "for_each"), f"{action.name!r} is one for the whole step: give it the list")
        template = self._template(arguments or {}, step_id, join(pointer, "with"), item=each is not None)
        step = Step(
            id=step_id,
            action=action or Action("", "", {}, {}),
            arguments=template if isinstance(template, dict) else {},
            needs=self._needs(entry.get("needs", []), join(pointer, "needs")),
            when=self._whole(entry.get("when"), step_id, join(pointer, "when")),
            for_each=self._whole(each, step_id, join(pointer, "for_each")),
            max_concurrency=self._concurrency(entry, pointer),
            retry=self._retry(entry["retry"], join(pointer, "retry"), action) if "retry" in entry else None,
            on_error=on_error,
            handler=handler,
        )
        self._steps.setdefault(step_id, step)
        self._pointers.setdefault(step_id, pointer)

    def _id(self, value: object, pointer: str) -> str | None:
        text = self._found.text(value, pointer, 200)
        if text is None:
            return None
        if not _ID.fullmatch(text):
            self._found.add(pointer, "must begin with a letter and have at most 64 letters, digits, - and _")
            return None
        # A step's result is kept in a variable, whose name may have no hyphen.
        other = self._variables.setdefault(text.replace("-", "_"), text)
        if text in self._steps:
            self._found.add(pointer, f"{text!r} is already the id of another step")
            return None
        if other != text:
            self._found.add(pointer, f"{text!r} and {other!r} differ only in - and _")
            return None
        return text

    def _action(self, value: object, pointer: str) -> Action | None:
        name = self._found.text(value, pointer, 200)
        action = self._catalogue.get(name) if name else None
        if name and action is None:
            hint = did_you_mean(name, self._catalogue.names()) or f"; known are {', '.join(self._catalogue.names())}"
            self._found.add(pointer, f"{name!r} is not an action{hint}")
        return action

    def _needs(self, value: object, pointer: str) -> tuple[str, ...]:
        needs: list[str] = []
        for index, need in enumerate(self._found.items(value, pointer)):
            name = self._found.text(need, join(pointer, index), 200)
            if name in needs:
                self._found.add(join(pointer, index), f"{name!r} is listed twice")
            elif name:
                needs.append(name)
        return tuple(needs)

    def _concurrency(self, entry: Mapping[str, Any], pointer: str) -> int:
        if "max_concurrency" not in entry:
            return DEFAULT_CONCURRENCY
        pointer = join(pointer, "max_concurrency")
        if "for_each" not in entry:
            self._found.add(pointer, "means something with for_each only")
        return self._found.integer(entry["max_concurrency"], pointer, 1, MAX_CONCURRENCY, default=DEFAULT_CONCURRENCY)

    def _retry(self, value: object, pointer: str, action: Action | None) -> Retry | None:
        found = self._found
        entry = found.mapping(value, pointer)
        if entry is None:
            return None
        if action and action.kind is not Kind.TASK:
            found.add(pointer, f"{action.name!r} cannot be retried: it would do the same again")
        found.keys(entry, pointer, {"max_attempts", "interval", "backoff", "on"}, ())
        names: list[str] = []
        for index, name in enumerate(found.items(entry.get("on", RETRY_ON), join(pointer, "on"))):
            if name not in ERRORS:
                hint = did_you_mean(str(name), ERRORS) or f"; known are {', '.join(ERRORS)}"
                found.add(join(pointer, "on", index), f"{name!r} is not the name of an error{hint}")
            elif name not in names:
                names.append(name)
        if "on" in entry and not entry["on"]:
            found.add(join(pointer, "on"), "must name an error, or be left out")
        interval = found.duration(entry.get("interval", "PT1S"), join(pointer, "interval"), 1, _HOUR, default=1)
        return Retry(
            max_attempts=found.integer(entry.get("max_attempts", 3), join(pointer, "max_attempts"), 1, 10, default=3),
            interval_seconds=interval,
            backoff=found.number(entry.get("backoff", 2), join(pointer, "backoff"), 1, 10, default=2),
            on=tuple(names),
        )

    def _on_error(self, value: object, pointer: str) -> tuple[OnError, str | None]:
        if value in ("fail", "continue"):
            return OnError(str(value)), None
        if isinstance(value, Mapping):
            self._found.keys(value, pointer, {"run"}, ("run",))
            if "run" in value and (name := self._found.text(value["run"], join(pointer, "run"), 200)):
                return OnError.RUN, name
        else:
            self._found.add(pointer, "must be fail, continue, or {run: the id of a later step}")
        return OnError.FAIL, None

    def _whole(self, value: object, step: str, pointer: str) -> Expression | None:
        """`when` and `for_each`: an expression and nothing else, and there is no item yet."""
        if value is None:
            return None
        if isinstance(value, str) and is_expression(value):
            return self._expression(value, step, pointer, item=False)
        self._found.add(pointer, "must be an expression such as {% $inputs.query = 'x' %}")
        return None

    def _template(self, value: Any, step: str, pointer: str, *, item: bool) -> Template:
        if isinstance(value, Mapping):
            for key in value:
                if "{%" in key:
                    self._found.add(join(pointer, key), "a key cannot be an expression, only a value can")
            pairs = ((key, self._template(inner, step, join(pointer, key), item=item)) for key, inner in value.items())
            return dict(pairs)
        if isinstance(value, list | tuple):
            return [self._template(one, step, join(pointer, n), item=item) for n, one in enumerate(value)]
        if isinstance(value, str):
            if is_expression(value):
                return self._expression(value, step, pointer, item=item)
            self._literal(value, pointer)
        result: Template = value
        return result

    def _literal(self, value: str, pointer: str) -> None:
        if value.startswith("{%") or value.rstrip().endswith("%}"):
            self._found.add(pointer, "{% and %} do not match: an expression begins with {% and ends with %}")
        elif "{%" in value:
            self._found.add(
                pointer, "an expression must be the whole value: write {% 'Hello ' & $inputs.name %} to join texts"
            )

    def _expression(self, value: str, step: str, pointer: str, *, item: bool) -> Expression | None:
        source = value[2:-2].strip()
        try:
            if not source:
                raise BadExpression("there is nothing between {% and %}")
            references = self._expressions.check(source)
        except BadExpression as error:
            self._found.add(pointer, str(error))
            return None
        if "item" in references.roots and not item:
            self._found.add(pointer, "$item is known in the `with` of a step with for_each only")
        self._seen.append(_Seen(step, pointer, source, references))
        return Expression(source, references.roots, references.steps)

    def tie(self) -> dict[str, Step]:
        """What holds between steps, once all are known."""
        self._check_names()
        handles: dict[str, list[str]] = {name: [] for name in self._steps}
        for step in self._steps.values():
            if step.handler in handles and step.handler != step.id:
                handles[step.handler].append(step.id)
        steps = {name: replace(step, handles=tuple(handles[name])) for name, step in self._steps.items()}
        # Edges that were reported already are left out, so that the rest is still judged.
        graph = {name: [need for need in step.after if need in steps and need != name] for name, step in steps.items()}
        if cycle := cycle_in(graph):
            self._report_cycle(cycle)
            return steps
        upstream = Ancestry(graph)
        whole = {seen.step for seen in self._seen if seen.references.whole_steps}
        for seen in self._seen:
            for name in sorted(seen.references.steps):
                self._check_upstream(seen, name, upstream)
        return {name: _see_all(step, upstream.of(name)) if name in whole else step for name, step in steps.items()}

    def _check_names(self) -> None:
        for name, step in self._steps.items():
            pointer = self._pointers[name]
            for index, need in enumerate(step.needs):
                if need == name:
                    self._found.add(join(pointer, "needs", index), "a step cannot need itself")
                elif need not in self._steps:
                    hint = did_you_mean(need, self._steps)
                    self._found.add(join(pointer, "needs", index), f"there is no step {need!r}{hint}")
            if step.handler == name:
                self._found.add(join(pointer, "on_error", "run"), "a step cannot handle its own error")
            elif step.handler and step.handler not in self._steps:
                hint = did_you_mean(step.handler, self._steps)
                self._found.add(join(pointer, "on_error", "run"), f"there is no step {step.handler!r}{hint}")

    def _report_cycle(self, cycle: list[str]) -> None:
        first, chain = cycle[0], " → ".join([*cycle, cycle[0]])
        following = cycle[1] if len(cycle) > 1 else first
        if following in self._steps[first].needs:
            self._found.add(join(self._pointers[first], "needs"), f"these steps wait for each other: {chain}")
        else:  # only an on_error ties the two
            pointer = join(self._pointers[following], "on_error", "run")
            self._found.add(pointer, f"{first!r} must come later, and these steps wait for each other: {chain}")

    def _check_upstream(self, seen: _Seen, name: str, upstream: Ancestry) -> None:
        if name not in self._steps:
            self._found.add(seen.pointer, f"$steps.{name}: there is no step {name!r}{did_you_mean(name, self._steps)}")
        elif name == seen.step:
            self._found.add(seen.pointer, f"$steps.{name} is this step's own result, which does not exist yet")
        elif not upstream.has(seen.step, name):
            self._found.add(seen.pointer, f"$steps.{name} may not have ended: add {name!r} to this step's needs")


def _see_all(step: Step, upstream: frozenset[str]) -> Step:
    """`$steps` used whole shows everything upstream."""

    def widen(value: Template) -> Template:
        if isinstance(value, Expression):
            return replace(value, steps=upstream) if "steps" in value.roots else value
        if isinstance(value, list):
            return [widen(item) for item in value]
        return {key: widen(inner) for key, inner in value.items()} if isinstance(value, dict) else value

    def widen_one(value: Expression | None) -> Expression | None:
        return replace(value, steps=upstream) if value and "steps" in value.roots else value

    return replace(
        step,
        arguments={key: widen(inner) for key, inner in step.arguments.items()},
        when=widen_one(step.when),
        for_each=widen_one(step.for_each),
    )
