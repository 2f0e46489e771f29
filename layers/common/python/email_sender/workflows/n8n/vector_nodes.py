"""Converts n8n nodes that store vectors. Those that search run in the sandbox (agents.py)."""

from email_sender.workflows.n8n.context import Conversion, NodeContext, Untranslatable
from email_sender.workflows.n8n.export import ConversionOutcome


def convert_vector_store(context: NodeContext) -> Conversion:
    """Convert vector stores that insert: each item is a point, with its text in the payload, where searches find it."""
    if context.get("mode") != "insert":
        raise Untranslatable("of a vector store, only inserting and searching by text are supported")
    context.notes.append(
        "writes to the collection message_vectors: replace it with your collection; each item is embedded whole, "
        "as JSON, without its document loader and splitter"
    )
    point = "{'text': $text, 'payload': {'from': 'n8n', 'text': $text}}"
    points = f"{{% [$map({context.items}, function($one) {{ ($text := $string($one); {point}) }})] %}}"
    step = {
        "uses": "vectors.insert",
        "when": f"{{% $count({context.items}) > 0 %}}",
        "with": {"collection": "message_vectors", "points": points},
    }
    return Conversion(ConversionOutcome.APPROXIMATED, step, [context.items])
