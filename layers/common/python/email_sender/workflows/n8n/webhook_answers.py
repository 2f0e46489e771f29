"""What the caller of an imported workflow's webhook gets: from its nodes, or from the node that runs last."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from email_sender.workflows.n8n.export import Edge, N8nExport, Node

# How long the caller waits. Then it gets the run's id.
TRIGGER: Final[Mapping[str, Any]] = {"webhook": {"auth": "secret", "answer_within": "PT20S"}}


def waits_for_answer(node: Node) -> bool:
    """Return whether the caller of a webhook waits for an answer."""
    return node.type == "webhook" and node.parameters.get("responseMode") in ("responseNode", "lastNode")


def is_answering(export: N8nExport, node: Node) -> bool:
    """Return whether a node answers a caller who waits."""
    return (
        node.type == "respondToWebhook"
        and not node.disabled
        and any(waits_for_answer(other) and not other.disabled for other in export.nodes.values())
    )


def with_last_answer(export: N8nExport) -> N8nExport:
    """Return the export with a node that answers behind the last nodes, if the caller waits for what they give."""
    hooks = [node for node in export.nodes.values() if waits_for_answer(node) and not node.disabled]
    hook = next((node for node in hooks if node.parameters["responseMode"] == "lastNode"), None)
    if hook is None:
        return export
    sources = {edge.source for edge in export.edges}
    lasts = [
        name
        for name, node in export.nodes.items()
        if name not in sources and name not in export.sub_nodes and node.type != "stickyNote" and node is not hook
    ]
    name, step = "Answer", "answer"
    while name in export.nodes or any(node.step == step for node in export.nodes.values()):
        name, step = f"{name}1", f"{step}x"
    parameters = {**_parameters(hook), "isLast": True}
    raw = {"name": name, "type": "n8n-nodes-base.respondToWebhook", "typeVersion": 1.1, "parameters": parameters}
    answer = Node(name, step, "respondToWebhook", parameters, version=1.1, raw=raw)
    edges = [Edge(last, 0, name, 0) for last in lasts]
    return replace(export, nodes={**export.nodes, name: answer}, edges=[*export.edges, *edges], added={name})


def _parameters(hook: Node) -> dict[str, Any]:
    """Return the parameters of a node that answers as the webhook's parameters say."""
    options = hook.parameters.get("options")
    options = options if isinstance(options, Mapping) else {}
    # Version 1 has the status among its parameters, and later ones nested in their options.
    nested = options.get("responseCode")
    values = nested.get("values") if isinstance(nested, Mapping) else hook.parameters
    code = values.get("responseCode") if isinstance(values, Mapping) else None
    media_type = options.get("responseContentType")
    answer_options: dict[str, Any] = {}
    if type(code) is int:
        answer_options["responseCode"] = code
    if isinstance(media_type, str):
        answer_options["responseHeaders"] = {"entries": [{"name": "content-type", "value": media_type}]}
    return {**_data(hook.parameters, options), "options": answer_options}


def _data(parameters: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    kind, field = parameters.get("responseData", "firstEntryJson"), options.get("responsePropertyName")
    if kind == "firstEntryBinary":
        name = parameters.get("responseBinaryPropertyName", "data")
        return {"respondWith": "binary", "responseDataSource": "set", "inputFieldName": name}
    if kind == "firstEntryJson" and isinstance(field, str):
        return {"respondWith": "text", "responseBody": f"={{{{ $json[{json.dumps(field)}] }}}}"}
    return {"respondWith": {"allEntries": "allIncomingItems", "noData": "noData"}.get(str(kind), "firstIncomingItem")}


def answer_step(step_id: str) -> dict[str, Any]:
    """Return the step that gives the caller what a node of a step answered, without its id."""
    answer = f"$steps.`{step_id}`.answer"
    fields = ("status", "headers", "body", "base64")
    arguments = {field: f"{{% {answer}.{field} %}}" for field in fields}
    return {"uses": "webhook.answer", "when": f"{{% $exists({answer}) %}}", "with": arguments}
