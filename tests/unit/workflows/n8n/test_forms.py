"""Forms of n8n as inputs: what the console asks for, and the trigger's item, as n8n 2.41.1 gave it."""

from typing import Any

import pytest

from email_sender.workflows.n8n.export import read_export
from email_sender.workflows.n8n.forms import form_of
from tests.fakes.state_machine import TaskError
from tests.fakes.workflow_reference import run_reference
from tests.unit.workflows.n8n.samples import export, import_and_parse, node
from tests.unit.workflows.samples import parse


def options(*texts: str) -> dict[str, Any]:
    return {"values": [{"option": text} for text in texts]}


FIELDS = [
    {"fieldLabel": "Full Name", "requiredField": True, "placeholder": "Ada"},
    {"fieldLabel": "Mail", "fieldType": "email"},
    {"fieldLabel": "Age", "fieldType": "number"},
    {"fieldLabel": "Notes", "fieldType": "textarea"},
    {"fieldLabel": "Day", "fieldType": "date"},
    {"fieldLabel": "Color", "fieldType": "dropdown", "fieldOptions": options("red", "blue")},
    {"fieldLabel": "Many", "fieldType": "dropdown", "multiselect": True, "fieldOptions": options("x", "y")},
    {"fieldLabel": "Pass", "fieldType": "password"},
    {"fieldType": "hiddenField", "fieldName": "secret", "fieldValue": "s1"},
    {"fieldType": "html", "elementName": "page", "html": "<p>hi</p>"},
]
# What n8n gave for a form in which only the name was filled in.
ITEM = {"Full Name": "Ann", "Mail": None, "Age": None, "Notes": None, "Day": None, "Color": None, "Many": None,
        "Pass": None, "secret": None}  # fmt: skip


def form_node(fields: list[Any], version: float = 2.2, **more: Any) -> dict[str, Any]:
    parameters = {"formTitle": "Tell us", "formDescription": "All of it", "formFields": {"values": fields}, **more}
    return {**node("Form", "formTrigger", parameters), "typeVersion": version}


def workflow(trigger: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    raw = export(node("Out", "noOp"))
    nodes = [trigger, *more, raw["nodes"][-1]]
    edge = {"main": [[{"node": "Out", "type": "main", "index": 0}]]}
    return {**raw, "nodes": nodes, "connections": {one["name"]: edge for one in nodes[:-1]}}


def test_the_console_asks_for_the_fields_of_a_form() -> None:
    result = import_and_parse(workflow(form_node(FIELDS)))
    assert result.definition["description"] == "Tell us\nAll of it"
    assert result.definition["inputs"] == {
        "type": "object",
        "required": ["Full Name"],
        "x-order": ["Full Name", "Mail", "Age", "Notes", "Day", "Color", "Many", "Pass", "secret"],
        "properties": {
            "Full Name": {"type": "string", "description": "Ada"},
            "Mail": {"type": "string", "format": "email"},
            "Age": {"type": "number"},
            "Notes": {"type": "string", "contentMediaType": "text/plain"},
            "Day": {"type": "string", "format": "date"},
            "Color": {"type": "string", "enum": ["red", "blue"]},
            "Many": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}, "uniqueItems": True},
            "Pass": {"type": "string"},
            "secret": {"type": "string", "default": "s1"},
        },
    }


def test_the_item_has_all_fields_as_in_n8n() -> None:
    definition = parse(import_and_parse(workflow(form_node(FIELDS))).definition)
    outcome = run_reference(definition, {"Full Name": "Ann"}, lambda call: call["with"], TaskError)
    (item,) = outcome.results["form"]["items"]
    assert item.pop("submittedAt").endswith("Z")
    assert item == {**ITEM, "formMode": "production"}
    assert list(item) == [*ITEM, "formMode"]


def test_later_versions_name_fields_and_files_are_left_out_with_a_note() -> None:
    fields = [
        {"fieldName": "mail", "fieldLabel": "Your mail", "requiredField": True},
        {"fieldName": "cv", "fieldLabel": "CV", "fieldType": "file", "requiredField": True},
        {"fieldName": "ok", "fieldLabel": "OK", "fieldType": "checkbox", "fieldOptions": options("yes")},
    ]
    result = import_and_parse(workflow(form_node(fields, 2.5)))
    assert list(result.definition["inputs"]["properties"]) == ["mail", "ok"]
    assert result.definition["inputs"]["required"] == ["mail"]
    (entry,) = (entry for entry in result.report if entry.node == "Form")
    assert "the file 'cv' cannot be sent" in entry.notes


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("scheduleTrigger", {"rule": {"interval": [{"triggerAtHour": 9}]}}),
        ("webhook", {"httpMethod": "POST"}),
        ("executeWorkflowTrigger", {}),
    ],
)
def test_a_form_requires_no_inputs_if_another_trigger_starts_runs_too(kind: str, parameters: dict[str, Any]) -> None:
    result = import_and_parse(workflow(form_node(FIELDS), node("Other", kind, parameters)))
    assert "required" not in result.definition["inputs"]
    assert "Full Name" in result.definition["inputs"]["properties"]


def test_a_chat_asks_for_a_message() -> None:
    result = import_and_parse(workflow(node("Chat", "chatTrigger")))
    assert result.definition["inputs"]["required"] == ["chatInput"]
    outcome = run_reference(parse(result.definition), {"chatInput": "Hi"}, lambda call: call["with"], TaskError)
    assert outcome.results["chat"] == {"items": [{"sessionId": "", "action": "sendMessage", "chatInput": "Hi"}]}


def test_a_form_of_any_shape_is_read() -> None:
    for values in (
        None,
        3,
        [3, {}, {"fieldLabel": 3}, {"fieldLabel": "A", "fieldType": "dropdown", "fieldOptions": 3}],
    ):
        raw = workflow(form_node([], formFields={"values": values}))
        import_and_parse(raw)
        form = form_of(read_export(raw).nodes["Form"])
        assert form is not None
        assert list(form.schema["properties"]) == (["A"] if isinstance(values, list) else [])
