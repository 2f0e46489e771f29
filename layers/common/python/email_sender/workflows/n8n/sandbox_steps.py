"""The steps that run nodes in the sandbox."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from email_sender.workflows.n8n import agents, item_nodes, service_nodes
from email_sender.workflows.n8n.export import Edge, N8nExport, Node

# A step that sends many requests goes on where it was when it is repeated.
_RESUMING_RETRY: Final = {"max_attempts": 10, "interval": "PT3S", "backoff": 1.5, "on": ["unavailable"]}


# Steps that get items in place of a reference to them (workflows/stored_items.py).
_LOADING: Final = ("n8n.node", "http.request", "http.wait_for_callback")


def mark_stored(steps: Sequence[dict[str, Any]], joining: Collection[str]) -> None:
    """Let steps store many items, of outputs that no expression needs as a list.

    A condition only counts them. The steps that are `joining` pass items on.
    """
    passing = set(joining)
    while True:
        readers = [step for step in steps if step["uses"] not in _LOADING and step["id"] not in passing]
        texts = "\n".join(text for step in readers for text in _texts_without_condition(step))
        reading = {step_id for step_id in passing if f"$steps.`{step_id}`." in texts}
        if not reading:
            break
        passing -= reading
    read = {(match[1], match[2]) for match in _READ_ITEMS.finditer(texts)}
    for step in steps:
        for entry in step["with"]["returns"] if step["uses"] == "n8n.node" else ():
            if (step["id"], entry["name"]) not in read:
                entry["stored"] = True


_READ_ITEMS: Final = re.compile(r"\$steps\.`([^`]+)`\.items\.`?([\w-]+)")


def _texts_without_condition(step: Mapping[str, Any]) -> Collection[str]:
    return list(item_nodes.texts_in({key: value for key, value in step.items() if key != "when"}))


def sandbox_step(
    export: N8nExport,
    zone: str,
    given: Mapping[str, Sequence[str]],
    nodes: Sequence[Mapping[str, Any]],
    connections: Mapping[str, Any],
    results: Sequence[item_nodes.ReturnedOutput],
    *,
    asking: Sequence[Node] = (),
) -> dict[str, Any]:
    """Return a step without its id, its needs and its condition.

    `given` has the JSONata of the items of each output of the nodes before. Some of the nodes that are `asking` may
    send requests.
    """
    settings = {"executionOrder": export.execution_order, "timezone": zone}
    before = [{"name": item_nodes.quoted(name), "type": item_nodes.quoted(export.nodes[name].type)} for name in given]
    arguments = {
        "workflow": {
            "name": item_nodes.quoted(export.name),
            "nodes": [*before, *nodes],
            "connections": item_nodes.quoted(connections),
            "settings": {key: value for key, value in settings.items() if value},
        },
        "given": [{"node": item_nodes.quoted(name), "outputs": outputs} for name, outputs in given.items()],
        "returns": [
            {"name": result.name, "node": item_nodes.quoted(result.node), "output": result.output} for result in results
        ],
    }
    step = {"uses": "n8n.node", "with": arguments}
    sends = (service_nodes.is_service(node) or agents.is_agent(node) or item_nodes.asks_memory(node) for node in asking)
    return {**step, "retry": _RESUMING_RETRY} if any(sends) else step


def connections_of(edges: Sequence[Edge]) -> dict[str, Any]:
    """Return edges as n8n writes connections: for each node and output the targets."""
    connections: dict[str, Any] = {}
    for edge in edges:
        outputs = connections.setdefault(edge.source, {"main": []})["main"]
        outputs.extend([] for _ in range(edge.output + 1 - len(outputs)))
        outputs[edge.output].append({"node": edge.target, "index": edge.input})
    return connections


def own_node_step(items: str, kind: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step that runs a node of ours over items, in JSONata. Its result has them as `items.out_0`."""
    return {
        "uses": "n8n.node",
        "with": {
            "workflow": {
                "nodes": [
                    {"name": "In", "type": "manualTrigger"},
                    {"name": "Out", "type": kind, "parameters": item_nodes.quoted(parameters)},
                ],
                "connections": {"In": {"main": [[{"node": "Out", "index": 0}]]}},
                "settings": {"executionOrder": "v1"},
            },
            "given": [{"node": "In", "outputs": [f"{{% {items} %}}"]}],
            "returns": [{"name": "out_0", "node": "Out", "output": 0}],
        },
        "retry": _RESUMING_RETRY,
    }
