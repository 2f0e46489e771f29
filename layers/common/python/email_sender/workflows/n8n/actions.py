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
    """Convert executeWorkflow: call the workflow by its displayed name, or this one itself, once for each item."""
    target = context.get("workflowId")
    if context.get("source", "database") == "database" and not target:
        return failing_when_reached(context, "it names no workflow", "The node names no workflow.")
    raw = target.get("cachedResultName") or target.get("value") if isinstance(target, dict) else target
    name = context.workflow if isinstance(raw, str) and _ITSELF.fullmatch(raw.strip()) else raw
    if not isinstance(name, str) or not name or name.startswith("="):
        raise Untranslatable("the called workflow must have a fixed name")
    other = "" if name is context.workflow else f"import that workflow too, as {name[:100]!r}; "
    context.notes.append(f"{other}it is called once for each item")
    arguments: dict[str, Any] = {"workflow": quoted(name[:200]), "inputs": _inputs_of_call(context)}
    if options_of(context).get("waitForSubWorkflow") is False:
        arguments["wait"] = False
        context.notes.append("its items are the ids of the runs")
    conversion = for_each_conversion(context, arguments, uses="workflow.call", result_field="$")
    if "wait" in arguments:
        return conversion
    # The runs become the items that they ended with.
    results = own_node_step("[$before[$exists(run_id)]]", "calledRuns", {})
    results["when"] = "{% $count([$before]) > 0 %}"
    return replace(conversion, outputs=["$self.items.out_0"], following=[FollowingStep("items", results)])


def _inputs_of_call(context: NodeContext) -> Any:
    """Return the inputs of a called workflow: the fields that the node maps, or the whole item."""
    mapping = context.get("workflowInputs")
    fields = mapping.get("value") if isinstance(mapping, Mapping) else None
    is_mapped = isinstance(mapping, Mapping) and mapping.get("mappingMode") == "defineBelow"
    return context.value(fields) if is_mapped and isinstance(fields, Mapping) and fields else context.item()
