"""Converts n8n nodes that call models, store vectors or call other workflows into steps that run for each item."""

from collections.abc import Mapping, Sequence
from typing import Any

from email_sender.workflows.n8n.context import Conversion, NodeContext, Untranslatable, for_each_conversion
from email_sender.workflows.n8n.export import ConversionOutcome
from email_sender.workflows.n8n.item_nodes import quoted


def convert_chain(context: NodeContext) -> Conversion:
    """Convert chainLlm and agent: a prompt, and the first system message."""
    options = context.get("options")
    system = options.get("systemMessage") if isinstance(options, dict) else None
    messages = context.get("messages")
    for entry in _mappings_in(messages.get("messageValues") if isinstance(messages, dict) else None):
        system = system or entry.get("message")
    agent = context.node.type == "agent"
    if agent:
        context.notes.append("it responds once, without its tools and its memory")
    prompt = context.get("text") or context.get("prompt")
    if not prompt:
        prompt = "={{ $json.chatInput }}"
    return _generate_text(context, prompt, system, '{"output": text}' if agent else '{"text": text}')


def convert_openai(context: NodeContext) -> Conversion:
    """Convert openAi: one message, and an optional system message."""
    if context.get("resource", "text") != "text" or context.get("operation", "message") != "message":
        raise Untranslatable("of OpenAI, only text responses are supported")
    messages_parameter = context.get("messages") or context.get("prompt")
    messages = _mappings_in(messages_parameter.get("values") if isinstance(messages_parameter, dict) else None)
    user_messages = [entry for entry in messages if entry.get("role") != "system"]
    system = next((entry.get("content") for entry in messages if entry.get("role") == "system"), None)
    if not user_messages:
        raise Untranslatable("it has no message")
    if len(user_messages) > 1:
        context.notes.append("its messages are sent as one")
    return _generate_text(
        context,
        _joined([entry.get("content", "") for entry in user_messages]),
        system,
        '{"message": {"role": "assistant", "content": text}}',
    )


def _joined(texts: Sequence[Any]) -> Any:
    """Return several parameters as one text."""
    if len(texts) == 1:
        return texts[0]
    parts = [str(text) for text in texts]
    if not any(part.startswith("=") for part in parts):
        return "\n\n".join(parts)
    return "=" + "\n\n".join(part.removeprefix("=") for part in parts)


def _generate_text(context: NodeContext, prompt: object, system: object, result_field: str) -> Conversion:
    context.notes.append(
        "uses the deployment's text model, not the one it names; a result may have at most 1,200 bytes"
    )
    arguments = {"prompt": context.value(prompt), "max_tokens": 250}
    if isinstance(system, str) and system:
        arguments["system"] = context.value(system)
    return for_each_conversion(context, arguments, uses="ai.generate", result_field=result_field)


def convert_workflow_call(context: NodeContext) -> Conversion:
    """Convert executeWorkflow: call the workflow by its displayed name, once for each item."""
    target = context.get("workflowId")
    name = target.get("cachedResultName") or target.get("value") if isinstance(target, dict) else target
    if not isinstance(name, str) or not name or name.startswith("="):
        raise Untranslatable("the called workflow must have a fixed name")
    context.notes.append(
        f"import that workflow too, as {name[:100]!r}; it is called once for each item and returns its run's id"
    )
    options = context.get("options")
    waits_for_result = not (isinstance(options, dict) and options.get("waitForSubWorkflow") is False)
    arguments: dict[str, Any] = {"workflow": quoted(name[:200]), "inputs": context.item()}
    return for_each_conversion(
        context, arguments if waits_for_result else {**arguments, "wait": False}, uses="workflow.call", result_field="$"
    )


def convert_vector_store(context: NodeContext) -> Conversion:
    """Convert vector stores: insert each item, or search by text for each item."""
    mode = context.get("mode", "load")
    if mode == "insert":
        return _insert_vectors(context)
    if mode != "load" or not context.get("prompt"):
        raise Untranslatable("of a vector store, only inserting and searching by text are supported")
    limit = context.get("topK", 4)
    context.notes.append("searches the collection message_vectors: replace it with your collection")
    arguments = {
        "collection": "message_vectors",
        "text": context.value(context.get("prompt")),
        "limit": min(max(limit, 1), 100) if type(limit) is int else 4,
    }
    return for_each_conversion(context, arguments, uses="vectors.search", result_field="results")


def _insert_vectors(context: NodeContext) -> Conversion:
    context.notes.append(
        "writes to the collection message_vectors: replace it with your collection; each item is embedded whole, "
        "as JSON, without its document loader and splitter"
    )
    points = (
        f"{{% [$map({context.items}, function($one) {{ {{'text': $string($one), 'payload': {{'from': 'n8n'}}}} }})] %}}"
    )
    step = {
        "uses": "vectors.insert",
        "when": f"{{% $count({context.items}) > 0 %}}",
        "with": {"collection": "message_vectors", "points": points},
    }
    return Conversion(ConversionOutcome.APPROXIMATED, step, [context.items])


def _mappings_in(raw: object) -> list[Mapping[str, Any]]:
    return [entry for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []
