"""Converts n8n nodes that call models, store vectors or call other workflows into steps that run for each item."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from email_sender.workflows.n8n.context import Conversion, NodeContext, Untranslatable, for_each_conversion
from email_sender.workflows.n8n.export import ConversionOutcome
from email_sender.workflows.n8n.item_nodes import is_storable, quoted


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
    messages_parameter = context.get("messages") or context.get("responses") or context.get("prompt")
    listed = _mappings_in(messages_parameter.get("values") if isinstance(messages_parameter, dict) else None)
    messages = [entry for entry in listed if entry.get("content")]
    if not messages:
        return _without_message(context)
    # A system message alone is what the model answers to.
    user_messages = [entry for entry in messages if entry.get("role") != "system"] or messages
    system = next((entry["content"] for entry in messages if entry not in user_messages), None)
    if len(user_messages) > 1:
        context.notes.append("its messages are sent as one")
    return _generate_text(
        context,
        _joined([entry.get("content", "") for entry in user_messages]),
        system,
        '{"message": {"role": "assistant", "content": text}}',
    )


def convert_information_extractor(context: NodeContext) -> Conversion:
    """Convert informationExtractor: the model reads a text and answers with the fields that the node names."""
    schema = _schema_of(context)
    options = context.get("options")
    system = options.get("systemPromptTemplate") if isinstance(options, dict) else None
    text = context.get("text")
    if not isinstance(text, str) or not text:
        return _without_message(context)
    context.notes.append(
        "uses the deployment's text model, not the one it names; a result may have at most 1,200 bytes"
    )
    arguments = {
        "prompt": context.value(text),
        "system": quoted(system) if isinstance(system, str) and system and not system.startswith("=") else _EXTRACT,
        "schema": schema,
        "max_tokens": 250,
    }
    return for_each_conversion(context, arguments, uses="ai.generate", result_field='{"output": data}')


_EXTRACT = "Extract the asked information from the text. Leave out what the text does not say."
_ATTRIBUTE_TYPES = {"string": "string", "number": "number", "boolean": "boolean", "date": "string"}


def _schema_of(context: NodeContext) -> Mapping[str, Any]:
    """Return the JSON Schema of the fields that a node extracts.

    Raises:
        Untranslatable: the node has none, or computes it.
    """
    kind = context.get("schemaType", "fromAttributes")
    if kind == "fromAttributes":
        raw = context.get("attributes")
        attributes = _mappings_in(raw.get("attributes") if isinstance(raw, dict) else None)
        properties = {
            str(one["name"])[:100]: {
                "type": _ATTRIBUTE_TYPES.get(str(one.get("type", "string")), "string"),
                "description": str(one.get("description", ""))[:1_000],
            }
            for one in attributes
            if one.get("name")
        }
        required = [str(one["name"])[:100] for one in attributes if one.get("name") and one.get("required") is True]
        schema: Any = {"type": "object", "properties": properties, **({"required": required} if required else {})}
        return dict(quoted(schema))
    try:
        document = json.loads(str(context.get("inputSchema" if kind == "manual" else "jsonSchemaExample") or "{}"))
    except ValueError:
        raise Untranslatable("its schema is no JSON") from None
    schema = document if kind == "manual" else _schema_of_example(document)
    if not isinstance(schema, dict) or not is_storable(schema):
        raise Untranslatable("its schema is no object, or has too many levels")
    return dict(quoted(schema))


def _schema_of_example(example: Any) -> Any:
    if isinstance(example, dict):
        return {"type": "object", "properties": {key: _schema_of_example(value) for key, value in example.items()}}
    if isinstance(example, list):
        return {"type": "array", **({"items": _schema_of_example(example[0])} if example else {})}
    if isinstance(example, bool):
        return {"type": "boolean"}
    return {"type": "number"} if isinstance(example, int | float) else {"type": "string"}


def _without_message(context: NodeContext) -> Conversion:
    context.notes.append("it has no text for the model: it fails when it is reached")
    step = {
        "uses": "transform",
        "when": f"{{% $count({context.items}) > 0 %}}",
        "with": {"items": '{% $error("The node has no text for the model.") %}'},
    }
    return Conversion(ConversionOutcome.APPROXIMATED, step)


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
