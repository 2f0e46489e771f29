"""Nodes of n8n that ask models, keep vectors, and call other workflows, as steps for each item."""

from collections.abc import Mapping
from typing import Any

from email_sender.workflows.n8n_expressions import Untranslatable
from email_sender.workflows.n8n_model import How
from email_sender.workflows.n8n_place import Became, Place, each_item, item


def chain(place: Place) -> Became:
    """chainLlm and agent: a prompt, and what the system says first."""
    options = place.get("options")
    system = options.get("systemMessage") if isinstance(options, dict) else None
    given = place.get("messages")
    for each in _listed(given.get("messageValues") if isinstance(given, dict) else None):
        system = system or each.get("message")
    agent = place.node.type == "agent"
    if agent:
        place.notes.append("it answers once: its tools and its memory are left out")
    prompt = place.get("text") or place.get("prompt")
    if not prompt:
        prompt = "={{ $json.chatInput }}"
    return _written(place, prompt, system, '{"output": text}' if agent else '{"text": text}')


def message(place: Place) -> Became:
    """openAi: its messages, the system's apart."""
    if place.get("resource", "text") != "text" or place.get("operation", "message") != "message":
        raise Untranslatable("anything of OpenAI but answering a text")
    given = place.get("messages") or place.get("prompt")
    listed = _listed(given.get("values") if isinstance(given, dict) else None)
    said = [each for each in listed if each.get("role") != "system"]
    system = next((each.get("content") for each in listed if each.get("role") == "system"), None)
    if len(said) != 1:
        raise Untranslatable("a conversation of other than one message")
    return _written(place, said[0].get("content", ""), system, '{"message": {"role": "assistant", "content": text}}')


def _written(place: Place, prompt: object, system: object, gives: str) -> Became:
    place.notes.append("the deployment's text model answers, not the one it names; in a for_each 1,200 bytes at most")
    arguments = {"prompt": item(place, prompt), "max_tokens": 250}
    if isinstance(system, str) and system:
        arguments["system"] = item(place, system)
    return each_item(place, arguments, uses="ai.generate", gives=gives)


def called(place: Place) -> Became:
    """executeWorkflow: by the name that it shows, once for each item."""
    target = place.get("workflowId")
    name = target.get("cachedResultName") or target.get("value") if isinstance(target, dict) else target
    if not isinstance(name, str) or not name or name.startswith("="):
        raise Untranslatable("calling a workflow that is not named")
    place.notes.append(
        f"import that workflow, too, as {name[:100]!r}; it is called once for each item, and gives its run's id back"
    )
    options = place.get("options")
    waits = not (isinstance(options, dict) and options.get("waitForSubWorkflow") is False)
    arguments: dict[str, Any] = {"workflow": name[:200], "inputs": "{% $type($item) = 'object' ? $item : {} %}"}
    return each_item(place, arguments if waits else {**arguments, "wait": False}, uses="workflow.call", gives="$")


def vector_store(place: Place) -> Became:
    mode = place.get("mode", "load")
    if mode == "insert":
        return _inserted(place)
    if mode != "load" or not place.get("prompt"):
        raise Untranslatable("anything of a vector store but inserting, and searching it by a text")
    limit = place.get("topK", 4)
    place.notes.append("searches message_vectors: choose the collection")
    arguments = {
        "collection": "message_vectors",
        "text": item(place, place.get("prompt")),
        "limit": min(max(limit, 1), 100) if type(limit) is int else 4,
    }
    return each_item(place, arguments, uses="vectors.search", gives="results")


def _inserted(place: Place) -> Became:
    place.notes.append(
        "writes into message_vectors: choose the collection; each item is embedded whole, as JSON, "
        "without its document loader and splitter"
    )
    points = (
        f"{{% [$map({place.items}, function($one) {{ {{'text': $string($one), 'payload': {{'from': 'n8n'}}}} }})] %}}"
    )
    step = {
        "uses": "vectors.insert",
        "when": f"{{% $count({place.items}) > 0 %}}",
        "with": {"collection": "message_vectors", "points": points},
    }
    return Became(How.APPROXIMATED, step, [place.items])


def _listed(raw: object) -> list[Mapping[str, Any]]:
    return [each for each in raw if isinstance(each, dict)] if isinstance(raw, list) else []
