from typing import Any

import pytest

from email_sender.workflows.compiler.asl import source_with_bindings
from email_sender.workflows.compiler.expression_errors import explain_expression_error
from email_sender.workflows.definition.expressions import Expression
from email_sender.workflows.definition.model import Step
from tests.unit.workflows.samples import parse

# How the two engines report an expression without a result. %s is the compiled expression.
STEP_FUNCTIONS = (
    "An error occurred while executing the state 'remind' (entered at the event id #12). The JSONata expression '%s' "
    "specified for the field 'Arguments/Payload/with/contact' returned nothing (undefined)."
)
MINISTACK = "JSONata expression did not return a result: %s"


def step(**fields: Any) -> Step:
    arguments = {"template": "reminder", "contact": "{% $item.contact_id %}", "evidence": "{% $item.messages %}"}
    raw = {"id": "remind", "uses": "template.render", "for_each": "{% $inputs.people %}", "with": arguments} | fields
    inputs = {"type": "object", "properties": {"people": {"type": "array"}}}
    return parse({"name": "n", "inputs": inputs, "steps": [raw]}).steps["remind"]


def compiled(expression: object) -> str:
    assert isinstance(expression, Expression)
    return source_with_bindings(expression)


@pytest.mark.parametrize("engine_text", [STEP_FUNCTIONS, MINISTACK])
def test_an_empty_expression_is_reported_with_its_step_and_field(engine_text: str) -> None:
    cause = engine_text % compiled(step().arguments["contact"])
    assert explain_expression_error(step(), cause) == "Step remind, with.contact: $item.contact_id is empty."


def test_conditions_and_lists_are_recognised() -> None:
    conditional_step = step(when="{% $inputs.people[0].active %}")
    assert explain_expression_error(conditional_step, MINISTACK % compiled(conditional_step.when)) == (
        "Step remind, when: $inputs.people[0].active is empty."
    )
    assert explain_expression_error(step(), MINISTACK % compiled(step().for_each)) == (
        "Step remind, for_each: $inputs.people is empty."
    )


def test_another_error_of_an_expression_keeps_the_text_of_the_engine() -> None:
    cause = f"Attempted to invoke a non-function: {compiled(step().arguments['contact'])}"
    assert explain_expression_error(step(), cause) == f"Step remind, with.contact: $item.contact_id failed: {cause}"


def test_an_unknown_text_keeps_the_step() -> None:
    assert explain_expression_error(step(), "Out of memory.") == "Step remind: Out of memory."
