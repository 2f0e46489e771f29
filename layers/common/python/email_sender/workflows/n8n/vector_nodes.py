"""Converts n8n nodes that store vectors, search them, and answer questions with what was found."""

from typing import Any, Final

from email_sender.workflows.n8n.context import (
    Conversion,
    FollowingStep,
    NodeContext,
    Untranslatable,
    for_each_conversion,
)
from email_sender.workflows.n8n.export import ConversionOutcome
from email_sender.workflows.n8n.texts import OTHER_MODEL, options_of, without_text

_COLLECTION: Final = "message_vectors"
_SEARCHES: Final = f"searches the collection {_COLLECTION}: replace it with your collection"


def convert_vector_store(context: NodeContext) -> Conversion:
    """Convert vector stores: insert each item, or search by text for each item."""
    mode = context.get("mode", "load")
    if mode == "insert":
        return _insert_vectors(context)
    if mode != "load" or not context.get("prompt"):
        raise Untranslatable("of a vector store, only inserting and searching by text are supported")
    limit = context.get("topK", 4)
    context.notes.append(_SEARCHES)
    arguments = {
        "collection": _COLLECTION,
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
        "with": {"collection": _COLLECTION, "points": points},
    }
    return Conversion(ConversionOutcome.APPROXIMATED, step, [context.items])


# Since this version of chainRetrievalQa, the answer is a text.
_PLAIN: Final = 1.6
_ANSWER: Final = (
    "Answer the question with the passages that were found, and with nothing else. "
    "If they do not answer it, say that you do not know."
)


def convert_retrieval(context: NodeContext) -> Conversion:
    """Convert chainRetrievalQa: a search for each question, and an answer of the model that reads what was found."""
    question = context.get("text") or context.get("query") or "={{ $json.chatInput }}"
    if not isinstance(question, str):
        return without_text(context)
    context.notes.append(OTHER_MODEL)
    context.notes.append(_SEARCHES)
    system = options_of(context).get("systemPromptTemplate")
    arguments: dict[str, Any] = {"question": context.value(question)}
    if isinstance(system, str) and system:
        # n8n's placeholder stands for the passages, which follow the question.
        arguments["system"] = context.value(system.replace("{context}", "the passages below"))
    ask = for_each_conversion(context, arguments, uses="transform", result_field="$")
    search = {
        "uses": "vectors.search",
        "for_each": "{% [$first] %}",
        "with": {"collection": _COLLECTION, "text": "{% $substring($string($item.question), 0, 8000) %}", "limit": 4},
    }
    prompt = "$item.question & '\n\nPassages:\n' & $join($item.passages, '\n---\n')"
    answer = {
        "uses": "ai.generate",
        "for_each": (
            "{% ($asked := [$first]; [$map([$before], function($found, $i) { {"
            "'question': $string($asked[$i].question), 'system': $asked[$i].system, "
            "'passages': [$found.results.$string($exists(text) ? text : payload)]} })]) %}"
        ),
        "with": {
            "prompt": f"{{% {prompt} %}}",
            "system": f"{{% $exists($item.system) ? $item.system : '{_ANSWER}' %}}",
            "max_tokens": 250,
        },
    }
    version = context.node.version
    output = '$self.{"response": text}' if version >= _PLAIN else '$self.{"response": {"text": text}}'
    following = [FollowingStep("search", search), FollowingStep("answer", answer)]
    return Conversion(ConversionOutcome.APPROXIMATED, ask.step, [output], following=following)
