"""Forms of n8n as the inputs of a workflow: the console asks for them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from email_sender.workflows.n8n.export import Node
from email_sender.workflows.n8n.item_nodes import is_storable
from email_sender.workflows.n8n.texts import mappings_in

# Texts of several lines, for the console.
_LONG: Final = {"type": "string", "contentMediaType": "text/plain"}
_TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "date": {"type": "string", "format": "date"},
    "email": {"type": "string", "format": "email"},
    "number": {"type": "number"},
    "textarea": _LONG,
}
_CHOICES: Final = ("dropdown", "radio", "checkbox")
_CHAT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"chatInput": {**_LONG, "description": "The message"}, "sessionId": {"type": "string"}},
    "required": ["chatInput"],
}


@dataclass(frozen=True, slots=True)
class Form:
    """The JSON Schema of the inputs, the text above the form, the JSONata of the trigger's item, and what differs."""

    schema: Mapping[str, Any]
    text: str
    item: str
    notes: tuple[str, ...] = ()


def asked_inputs(started: Iterable[Node], *, is_alone: bool) -> dict[str, Any]:
    """Return the description and the inputs of a definition: what a form asks for, if a run can start there.

    `is_alone`: no other trigger starts runs, such as a schedule, which has other inputs.
    """
    form = next((form for node in started if (form := form_of(node)) is not None), None)
    if form is None or not is_storable(form.schema):
        return {"description": "Imported from n8n.", "inputs": {"type": "object"}}
    schema = {key: value for key, value in form.schema.items() if key != "required" or is_alone}
    return {"description": form.text[:1_000] or "Imported from n8n.", "inputs": schema}


def form_of(node: Node) -> Form | None:
    """Return what a trigger asks a person for, or None if it asks for nothing."""
    if node.type == "chatTrigger":
        item = '$merge([{"sessionId": "", "action": "sendMessage"}, $inputs])'
        return Form(_CHAT, "", item, ("a person writes the message in the console, and reads the answer in the run",))
    return _form(node) if node.type == "formTrigger" else None


def _form(node: Node) -> Form:
    properties: dict[str, Any] = {}
    required: list[str] = []
    notes = ["a member of the team fills it in, at the workflow's page of the console", "submittedAt is in UTC"]
    listed = node.parameters.get("formFields")
    for field in mappings_in(listed.get("values") if isinstance(listed, Mapping) else None):
        kind, name = field.get("fieldType", "text"), _name(node, field)
        if kind == "html" or not name:
            continue
        if kind == "hiddenField":
            notes.append(f"who fills it in sees the hidden field {name!r}, with its value")
        if kind == "file":
            notes.append(f"the file {name!r} cannot be sent")
        else:
            properties[name] = _property(kind, field)
        if field.get("requiredField") is True and name in properties:
            required.append(name)
    empty = dict.fromkeys(properties)
    item = f'$merge([{json.dumps(empty)}, $inputs, {{"submittedAt": $now(), "formMode": "production"}}])'
    schema = {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        # The database does not keep the order of properties.
        "x-order": list(properties),
    }
    texts = (node.parameters.get(name) for name in ("formTitle", "formDescription"))
    text = "\n".join(text for text in texts if isinstance(text, str) and not text.startswith("="))
    return Form(schema, text, item, tuple(notes))


def _name(node: Node, field: Mapping[str, Any]) -> str:
    """Return under which name the item has a field's value."""
    own, label = field.get("fieldName"), field.get("fieldLabel")
    is_named = node.version >= 2.4 or field.get("fieldType") == "hiddenField"
    name = own if is_named and own else label
    return name if isinstance(name, str) else ""


def _property(kind: str, field: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = dict(_TYPES.get(kind, {"type": "string"}))
    if kind in _CHOICES:
        described = _choice(kind, field)
    if isinstance(hint := field.get("placeholder"), str) and hint:
        described["description"] = hint
    default = field.get("fieldValue") if kind == "hiddenField" else field.get("defaultValue")
    if isinstance(default, str) and default and not default.startswith("="):
        described["default"] = default
    return described


def _choice(kind: str, field: Mapping[str, Any]) -> dict[str, Any]:
    listed = field.get("fieldOptions")
    options = (one.get("option") for one in mappings_in(listed.get("values") if isinstance(listed, Mapping) else None))
    enum = list(dict.fromkeys(option for option in options if isinstance(option, str)))
    one = {"type": "string", **({"enum": enum} if enum else {})}
    takes_many = kind == "checkbox" or field.get("multiselect") is True
    return {"type": "array", "items": one, "uniqueItems": True} if takes_many else one
