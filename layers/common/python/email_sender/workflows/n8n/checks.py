"""Checks the step of a converted node as the parser of definitions will."""

from collections.abc import Iterator, Mapping

from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.definition.action_arguments import check_literals
from email_sender.workflows.definition.document import DocumentReader
from email_sender.workflows.definition.expressions import BadExpression, ExpressionChecker
from email_sender.workflows.n8n.context import Conversion, Untranslatable


def check_storable(conversion: Conversion, expressions: ExpressionChecker) -> None:
    """Raise Untranslatable if the step could not be stored, usually because a parameter is empty or too long."""
    action = ACTION_CATALOGUE.get(str((conversion.step or {}).get("uses")))
    reader = DocumentReader()
    if action is not None and conversion.step is not None:
        check_literals(action.input_schema, dict(conversion.step.get("with", {})), "", reader)
    if reader.problems:
        problem = reader.problems[0]
        raise Untranslatable(f"{problem.pointer.removeprefix('/')} {problem.message}")
    for source in _expressions(conversion.step):
        try:
            expressions.check(source)
        except BadExpression as error:
            raise Untranslatable(f"the generated expression {error}") from None


def _expressions(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("{%"):
            yield value.removeprefix("{%").removesuffix("%}").strip()
    elif isinstance(value, Mapping | list):
        for nested in value.values() if isinstance(value, Mapping) else value:
            yield from _expressions(nested)
