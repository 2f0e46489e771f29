"""Converts n8n nodes that call models or other workflows into steps that run for each item."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from email_sender.workflows.n8n.context import (
    Conversion,
    FollowingStep,
    NodeContext,
    Untranslatable,
    for_each_conversion,
)
from email_sender.workflows.n8n.export import ConversionOutcome
from email_sender.workflows.n8n.item_nodes import quoted
from email_sender.workflows.n8n.sandbox_steps import own_node_step
from email_sender.workflows.n8n.texts import (
    failing_when_reached,
    generate_text,
    joined,
    mappings_in,
    options_of,
    without_text,
)
from email_sender.workflows.n8n.triggers import CALLED_ITEMS


def convert_openai(context: NodeContext) -> Conversion:
    """Convert openAi: one message, and an optional system message."""
    if context.get("resource", "text") != "text" or context.get("operation", "message") != "message":
        raise Untranslatable("of OpenAI, only text responses are supported")
    messages_parameter = context.get("messages") or context.get("responses") or context.get("prompt")
    listed = mappings_in(messages_parameter.get("values") if isinstance(messages_parameter, dict) else None)
    messages = [entry for entry in listed if entry.get("content")]
    if not messages:
        return without_text(context)
    # A system message alone is what the model answers to.
    user_messages = [entry for entry in messages if entry.get("role") != "system"] or messages
    system = next((entry["content"] for entry in messages if entry not in user_messages), None)
    if len(user_messages) > 1:
        context.notes.append("its messages are sent as one")
    return generate_text(
        context,
        joined([entry.get("content", "") for entry in user_messages]),
        system,
        '{"message": {"role": "assistant", "content": text}}',
    )


def convert_gemini(context: NodeContext) -> Conversion:
    """Convert googleGemini that writes a text: its messages as one, and the system message of its options."""
    listed = context.get("messages")
    contents = [
        one.get("content", "") for one in mappings_in(listed.get("values") if isinstance(listed, dict) else None)
    ]
    contents = [content for content in contents if content]
    if not contents:
        return without_text(context)
    if len(contents) > 1:
        context.notes.append("its messages are sent as one")
    result = '{"content": {"parts": [{"text": text}], "role": "model"}}'
    return generate_text(context, joined(contents), options_of(context).get("systemMessage"), result)


_ITSELF: Final = re.compile(r"=\{\{\s*\$workflow\.id\s*\}\}")


def convert_workflow_call(context: NodeContext) -> Conversion:
    """Convert executeWorkflow: call the workflow by its displayed name, or this one itself."""
    target = context.get("workflowId")
    if context.get("source", "database") == "database" and not target:
        return failing_when_reached(context, "it names no workflow", "The node names no workflow.")
    raw = target.get("cachedResultName") or target.get("value") if isinstance(target, dict) else target
    name = context.workflow if isinstance(raw, str) and _ITSELF.fullmatch(raw.strip()) else raw
    if not isinstance(name, str) or not name or name.startswith("="):
        raise Untranslatable("the called workflow must have a fixed name")
    if name is not context.workflow:
        context.notes.append(f"import that workflow too, as {name[:100]!r}")
    waits = options_of(context).get("waitForSubWorkflow") is not False
    is_each = context.get("mode", "once") == "each"
    mapping = _mapping(context)
    items = "" if is_each and waits else context.calls(mapping)
    arguments = {"workflow": quoted(name[:200]), **({} if waits else {"wait": False})}
    if is_each:
        inputs = {"inputs": context.call(mapping)}
        conversion = for_each_conversion(context, arguments | inputs, uses="workflow.call", result_field="$")
    else:
        conversion = _call_with_all(context, arguments, items)
    if not waits:
        return replace(conversion, outputs=[items])
    # The runs become the items that they ended with.
    results = own_node_step("[$before[$exists(run_id) or $exists(error)]]", "calledRuns", {})
    results["when"] = "{% $count([$before]) > 0 %}"
    return replace(conversion, outputs=["$self.items.out_0"], following=[FollowingStep("items", results)])


def _call_with_all(context: NodeContext, arguments: Mapping[str, Any], items: str) -> Conversion:
    """Return a step that calls the workflow once, with all items. A single item is passed as the inputs themselves."""
    context.notes.append(
        f"a workflow that was not imported, or before December 2026, gets several items as its input {CALLED_ITEMS!r}"
    )
    inputs = f'($calls := {items}; $count($calls) = 1 ? $calls[0] : {{"{CALLED_ITEMS}": $calls}})'
    step: dict[str, Any] = {
        "uses": "workflow.call",
        "when": f"{{% $count({context.items}) > 0 %}}",
        "with": {**arguments, "inputs": f"{{% {inputs} %}}"},
    }
    if context.node.max_attempts > 1:
        step["retry"] = {"max_attempts": context.node.max_attempts}
    return Conversion(ConversionOutcome.APPROXIMATED, step)


def _mapping(context: NodeContext) -> dict[str, Any] | None:
    """Return which fields a call adds to an item, converts and removes. Older versions pass items as they are."""
    mapping = context.get("workflowInputs")
    if context.node.version < 1.2 or not isinstance(mapping, Mapping):
        return None
    value, schema = mapping.get("value"), mappings_in(mapping.get("schema"))
    return {
        "value": value if isinstance(value, Mapping) else {},
        "types": {str(field.get("id")): field["type"] for field in schema if isinstance(field.get("type"), str)},
        "removed": [field.get("displayName") for field in schema if field.get("removed")],
        "converts": mapping.get("attemptToConvertTypes") is True,
        "texts": context.node.version >= 1.4 or mapping.get("convertFieldsToString") is True,
    }
