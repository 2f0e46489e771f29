"""What a definition needs to run to its end, checked when it is stored: a run would fail after people got mail."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from email_sender.errors import InvalidInput, Problem
from email_sender.workflows.definition.expressions import Expression
from email_sender.workflows.definition.graph import Ancestry
from email_sender.workflows.definition.model import Definition, Step, Template


def check_templates(
    raw: Mapping[str, Any], definition: Definition, find_missing: Callable[[Sequence[str]], Sequence[str]]
) -> None:
    """Check that the templates exist that the steps name. A name that an expression computes is not checked.

    `find_missing` returns those of the names or ids that the tenant does not have.

    Raises:
        InvalidInput: a template does not exist.
    """
    names = {
        step.id: str(step.arguments["template"])
        for step in definition.steps.values()
        if step.action.name == "template.render" and isinstance(step.arguments.get("template"), str)
    }
    missing = set(find_missing(sorted(set(names.values())))) if names else set()
    positions = {str(step.get("id")): number for number, step in enumerate(raw.get("steps", []))}
    problems = [
        Problem(
            f"/steps/{positions.get(step_id, 0)}/with/template",
            f"There is no template {name!r}. Create it first, or correct the name.",
        )
        for step_id, name in names.items()
        if name in missing
    ]
    if problems:
        raise InvalidInput(problems[0].message, problems)


def approves_drafts(definition: Definition, send: Step) -> bool:
    """Return whether an approval before this email.send step lists the drafts that it sends.

    If the drafts come from no step by name (an input, a computed list), an approval before the step is enough.
    """
    ancestry = Ancestry({step.id: step.after for step in definition.steps.values()})
    approvals = [
        definition.steps[step_id]
        for step_id in ancestry.upstream_of(send.id)
        if definition.steps[step_id].action.name == "approval"
    ]
    sent = _drafting_steps(definition, send)
    return any(not sent or sent <= _drafting_steps(definition, approval) for approval in approvals)


def _drafting_steps(definition: Definition, step: Step) -> set[str]:
    """Return the template.render steps whose results the step reads, directly or through transforms."""
    found: set[str] = set()
    pending = list(_read_steps(step))
    seen: set[str] = set()
    while pending:
        step_id = pending.pop()
        if step_id in seen or step_id not in definition.steps:
            continue
        seen.add(step_id)
        source = definition.steps[step_id]
        if source.action.name == "template.render":
            found.add(step_id)
        elif source.action.name == "transform":
            pending.extend(_read_steps(source))
    return found


def _read_steps(step: Step) -> Iterator[str]:
    templates: list[Template] = [step.for_each, *step.arguments.values()]
    while templates:
        template = templates.pop()
        if isinstance(template, Expression):
            yield from template.steps
        elif isinstance(template, list):
            templates.extend(template)
        elif isinstance(template, dict):
            templates.extend(template.values())
