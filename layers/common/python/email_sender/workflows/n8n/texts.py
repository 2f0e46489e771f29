"""What converters of nodes that use models share."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from email_sender.workflows.n8n.context import Conversion, NodeContext, for_each_conversion
from email_sender.workflows.n8n.export import ConversionOutcome

OTHER_MODEL: Final = "uses the deployment's text model, not the one it names; a result may have at most 1,200 bytes"


def generate_text(context: NodeContext, prompt: object, system: object, result_field: str) -> Conversion:
    """Return a step that generates a text for each item. `result_field` of its result is the new item."""
    context.notes.append(OTHER_MODEL)
    arguments = {"prompt": context.value(prompt), "max_tokens": 250}
    if isinstance(system, str) and system:
        arguments["system"] = context.value(system)
    return for_each_conversion(context, arguments, uses="ai.generate", result_field=result_field)


def without_text(context: NodeContext) -> Conversion:
    """Return a step that fails when it is reached, as the node does in n8n."""
    return failing_when_reached(context, "it has no text for the model", "The node has no text for the model.")


def failing_when_reached(context: NodeContext, note: str, message: str) -> Conversion:
    """Return a step that fails if items reach a node that lacks what it needs, as it does in n8n."""
    context.notes.append(f"{note}: it fails when it is reached")
    step = {
        "uses": "transform",
        "when": f"{{% $count({context.items}) > 0 %}}",
        "with": {"items": f'{{% $error("{message}") %}}'},
    }
    return Conversion(ConversionOutcome.APPROXIMATED, step)


def joined(texts: Sequence[Any]) -> Any:
    """Return several parameters as one text."""
    if len(texts) == 1:
        return texts[0]
    parts = [str(text) for text in texts]
    if not any(part.startswith("=") for part in parts):
        return "\n\n".join(parts)
    return "=" + "\n\n".join(part.removeprefix("=") for part in parts)


def options_of(context: NodeContext) -> Mapping[str, Any]:
    options = context.get("options")
    return options if isinstance(options, dict) else {}


def mappings_in(raw: object) -> list[Mapping[str, Any]]:
    return [entry for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []
