"""Converts n8n nodes with which a model reads a text: it extracts fields, classifies, or summarizes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from email_sender.workflows.n8n.context import (
    Conversion,
    FollowingStep,
    NodeContext,
    Untranslatable,
    for_each_conversion,
)
from email_sender.workflows.n8n.item_nodes import is_storable, quoted
from email_sender.workflows.n8n.texts import OTHER_MODEL, generate_text, joined, mappings_in, options_of, without_text


def convert_information_extractor(context: NodeContext) -> Conversion:
    """Convert informationExtractor: the model reads a text and answers with the fields that the node names."""
    schema = _schema_of(context)
    system = options_of(context).get("systemPromptTemplate")
    text = context.get("text")
    if not isinstance(text, str) or not text:
        return without_text(context)
    context.notes.append(OTHER_MODEL)
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
        attributes = mappings_in(raw.get("attributes") if isinstance(raw, dict) else None)
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


# ---- Classes ------------------------------------------------------------------------------------------------------

_CLASSIFY: Final = "Which of these categories does the text belong to?"
_NO_CATEGORY: Final = "none of them"
_SENTIMENTS: Final = "Positive, Neutral, Negative"
_SENTIMENT: Final = "What is the sentiment of the text? Answer with one of: {categories}."
_SHARE: Final = {"type": "number", "minimum": 0, "maximum": 1}


def convert_text_classifier(context: NodeContext) -> Conversion:
    """Convert textClassifier: an output for each category, and one for other texts if the node has it.

    Raises:
        Untranslatable: the name of a category is computed.
    """
    listed = context.get("categories")
    categories = mappings_in(listed.get("categories") if isinstance(listed, dict) else None)
    categories = [one for one in categories if one.get("category")]
    text, options = context.get("inputText"), options_of(context)
    if not isinstance(text, str) or not text or not categories:
        return without_text(context)
    names = _names([one["category"] for one in categories])
    outputs = _outputs(names)
    lines = [f"{name}: {one.get('description', '')}".strip() for name, one in zip(names, categories, strict=True)]
    is_any = any(str(one.get("description", "")).startswith("=") for one in categories)
    lines = [line.replace(": =", ": ", 1) for line in lines] if is_any else lines
    instructions = options.get("systemPromptTemplate")
    first = instructions if isinstance(instructions, str) and instructions else _CLASSIFY
    # n8n's placeholder stands for the list, which follows.
    system = joined([f"={first.removeprefix('=')}" if is_any else first, *lines]).replace("{categories}", "these")
    allowed = list(dict.fromkeys([*names, _NO_CATEGORY]))
    one_class: dict[str, Any] = {"type": "string", "enum": quoted(allowed)}
    several = options.get("multiClass") is True
    answer = {"type": "array", "items": one_class} if several else one_class
    outputs = [*outputs, _NO_CATEGORY] if options.get("fallback") == "other" else outputs
    return _classified(context, text, system, {"category": answer}, outputs, "$one")


def convert_sentiment_analysis(context: NodeContext) -> Conversion:
    """Convert sentimentAnalysis: an output for each sentiment. Each item has the sentiment in `sentimentAnalysis`.

    Raises:
        Untranslatable: the sentiments are computed.
    """
    text, options = context.get("inputText"), options_of(context)
    if not isinstance(text, str) or not text:
        return without_text(context)
    listed = options.get("categories") or _SENTIMENTS
    names = _names([name.strip() for name in str(listed).split(",") if name.strip()])
    instructions = options.get("systemPromptTemplate")
    system = instructions if isinstance(instructions, str) and instructions else _SENTIMENT
    properties: dict[str, Any] = {"category": {"type": "string", "enum": quoted(list(dict.fromkeys(names)))}}
    if options.get("includeDetailedResults") is True:
        properties |= {"strength": _SHARE, "confidence": _SHARE}
    system = system.replace("{categories}", ", ".join(names))
    return _classified(
        context, text, system, properties, _outputs(names), "$merge([$one, {'sentimentAnalysis': $answers[$i].data}])"
    )


def _names(listed: Sequence[Any]) -> list[str]:
    """Return the names of classes.

    Raises:
        Untranslatable: one is computed.
    """
    names = [str(name)[:200] for name in listed]
    if any(name.startswith("=") for name in names):
        raise Untranslatable("its categories are computed")
    return names


def _outputs(names: Sequence[str]) -> list[str]:
    """Return the class of each output: as in n8n, the first one of a name gets its items, and the others get none."""
    return [name if names.index(name) == number else "" for number, name in enumerate(names)]


def _classified(
    context: NodeContext,
    text: str,
    system: str,
    properties: Mapping[str, Any],
    outputs: Sequence[str],
    item: str,
) -> Conversion:
    """Return a step that asks the model for the class of each item, and one that gives each class its items.

    `item` is the JSONata of the item that goes on, with `$one`, `$answers` and `$i` for the answer's place.
    """
    context.notes.append(OTHER_MODEL)
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    arguments = {"prompt": context.value(text), "system": context.value(system), "schema": schema, "max_tokens": 250}
    first = for_each_conversion(context, arguments, uses="ai.generate", result_field="$")
    gives = {
        f"output_{number}": (
            f"{{% ($answers := [$first]; [$map({context.items}, function($one, $i) "
            f"{{ {json.dumps(name)} in $answers[$i].data.category ? {item} }})]) %}}"
        )
        for number, name in enumerate(outputs)
    }
    sorting = {"uses": "transform", "with": gives}
    selves = [f"$self.{name}" for name in gives]
    return Conversion(first.outcome, first.step, selves, following=[FollowingStep("outputs", sorting)])


# ---- Summaries ----------------------------------------------------------------------------------------------------

_SUMMARIZE: Final = "Write a short summary of the text."


def convert_summarization(context: NodeContext) -> Conversion:
    """Convert chainSummarization: one summary for each item, which the model reads as JSON.

    Raises:
        Untranslatable: the node reads files, or the output of a document loader.
    """
    mode = context.get("operationMode", "nodeInputJson")
    if mode != "nodeInputJson" or context.node.version < 2:
        raise Untranslatable("only items can be summarized, without files and document loaders")
    raw = options_of(context).get("summarizationMethodAndPrompts")
    values = raw.get("values") if isinstance(raw, dict) else None
    prompts = values if isinstance(values, dict) else {}
    prompt = next((prompts[name] for name in ("prompt", "combineMapPrompt", "question") if prompts.get(name)), None)
    context.notes.append("the model reads an item at once, without parts and their summaries")
    text = "={{ JSON.stringify($json) }}"
    if isinstance(prompt, str):
        has_text = "{text}" in prompt
        prompt = "=" + prompt.removeprefix("=").replace("{text}", "{{ JSON.stringify($json) }}")
        text = prompt if has_text else f"{prompt}\n\n{text.removeprefix('=')}"
    field = "output" if context.node.version >= 2.1 else "response"
    return generate_text(context, text, _SUMMARIZE, f'{{"{field}": {{"text": text}}}}')
