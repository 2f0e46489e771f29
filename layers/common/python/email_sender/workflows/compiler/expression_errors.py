"""Explain an engine's error about an expression in terms of the definition that the user wrote."""

from collections.abc import Iterator

from email_sender.workflows.compiler.asl import source_with_bindings
from email_sender.workflows.definition.expressions import Expression
from email_sender.workflows.definition.model import Step, Template

# Texts for an expression without a result: Step Functions, and MiniStack.
_EMPTY_RESULT_TEXTS = ("returned nothing", "did not return a result")


def explain_expression_error(step: Step, cause: str) -> str:
    """Return a sentence with the step, the field and the expression that failed, such as
    "Step remind, with.contact: $item.contact_id is empty."

    Engines quote the compiled expression in the cause, so the longest expression of the step that the cause contains is
    the one that failed. If the cause contains none of them, it is returned with the step's id before it.
    """
    expressions = [*_expressions("when", step.when), *_expressions("for_each", step.for_each)]
    expressions += _expressions("with", step.arguments)
    quoted = [(field, value.source) for field, value in expressions if source_with_bindings(value) in cause]
    if not quoted:
        return f"Step {step.id}: {cause}"
    field, source = max(quoted, key=lambda field_and_source: len(field_and_source[1]))
    if any(text in cause for text in _EMPTY_RESULT_TEXTS):
        return f"Step {step.id}, {field}: {source} is empty."
    return f"Step {step.id}, {field}: {source} failed: {cause}"


def _expressions(field: str, value: Template) -> Iterator[tuple[str, Expression]]:
    """Return every expression in the value with its path, such as `with.items[0].id`."""
    if isinstance(value, Expression):
        yield field, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _expressions(f"{field}.{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _expressions(f"{field}[{index}]", inner)
