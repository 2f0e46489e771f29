"""The nodes and connections of an n8n workflow export (docs.n8n.io, "Export and import workflows")."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from email_sender.errors import InvalidInput, Problem

MAX_NODES = 400
MAX_EDGES = 4_000
_MAX_NAME = 200


class ConversionOutcome(StrEnum):
    """How closely a node was converted."""

    EXACT = "exact"
    APPROXIMATED = "approximated"
    UNSUPPORTED = "unsupported"
    DROPPED = "dropped"
    # It stays in the customer's n8n, which our step calls (bridge.py).
    BRIDGED = "bridged"


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """The report on one node. `steps` are the ids of the steps that the node was converted to."""

    node: str
    type: str
    outcome: ConversionOutcome
    steps: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection from an output of one node to an input of another. Both are counted from 0."""

    source: str
    output: int
    target: str
    input: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `step` is the id of the node's step in the definition. `type` is n8n's type without its package."""

    name: str
    step: str
    type: str
    parameters: Mapping[str, Any]
    disabled: bool = False
    continues_on_error: bool = False
    max_attempts: int = 1
    credentials: Sequence[str] = ()
    version: float = 1.0
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class N8nExport:
    name: str
    nodes: Mapping[str, Node]
    edges: Sequence[Edge]
    # Sub-nodes (models, memories, tools) with the name of the node that uses each.
    sub_nodes: Mapping[str, str] = field(default_factory=dict)
    # For each sub-node and kind of connection ("ai_tool") the edges to the nodes that use it.
    sub_connections: Mapping[str, Mapping[str, Sequence[Edge]]] = field(default_factory=dict)
    timezone: str = ""
    execution_order: str = ""
    # Nodes that n8n's editor does not show.
    added: Collection[str] = frozenset()


def read_export(raw: Mapping[str, Any]) -> N8nExport:
    """Parse a workflow export.

    Raises:
        InvalidInput: `raw` is not a workflow export; the problems name the places.
    """
    nodes, problems = raw.get("nodes"), list[Problem]()
    if not isinstance(nodes, list) or not nodes:
        raise InvalidInput.at("/workflow/nodes", "The n8n export has no list of nodes.")
    if len(nodes) > MAX_NODES:
        raise InvalidInput.at("/workflow/nodes", f"The workflow has more than {MAX_NODES} nodes.")
    nodes_by_name: dict[str, Node] = {}
    step_ids: set[str] = set()
    for index, raw_node in enumerate(nodes):
        if not isinstance(raw_node, dict) or not isinstance(raw_node.get("type"), str):
            problems.append(Problem(f"/workflow/nodes/{index}", "A node needs a type."))
            continue
        # As in n8n's editor: a node without a name has that of its type, and a repeated name gets a number.
        name = raw_node.get("name") or raw_node["type"].rpartition(".")[2] or "node"
        if not isinstance(name, str) or len(name) > _MAX_NAME:
            problems.append(
                Problem(f"/workflow/nodes/{index}/name", f"A name is a text of 1 to {_MAX_NAME} characters.")
            )
            continue
        name = _unused(name, nodes_by_name)
        nodes_by_name[name] = _parse_node({**raw_node, "name": name}, _step_id(name, step_ids))
    if problems:
        raise InvalidInput("The n8n export has invalid nodes.", problems)
    edges, sub_connections = _parse_connections(raw.get("connections"), nodes_by_name)
    sub_nodes = {source: edges[-1].target for source, kinds in sub_connections.items() for edges in kinds.values()}
    if len(edges) > MAX_EDGES:
        raise InvalidInput.at("/workflow/connections", f"The workflow has more than {MAX_EDGES} connections.")
    title = raw.get("name")
    settings = raw.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    zone, order = settings.get("timezone"), settings.get("executionOrder")
    name = title[:100] if isinstance(title, str) and title.strip() else "n8n"
    zone, order = (value if isinstance(value, str) else "" for value in (zone, order))
    return N8nExport(name, nodes_by_name, edges, sub_nodes, sub_connections, zone, order)


def _parse_node(raw: Mapping[str, Any], step: str) -> Node:
    parameters, credentials = raw.get("parameters"), raw.get("credentials")
    max_tries, version = raw.get("maxTries", 3), raw.get("typeVersion", 1.0)
    return Node(
        name=raw["name"],
        step=step,
        type=raw["type"].rpartition(".")[2],
        parameters=parameters if isinstance(parameters, dict) else {},
        disabled=raw.get("disabled") is True,
        continues_on_error=raw.get("continueOnFail") is True or raw.get("onError") == "continueRegularOutput",
        max_attempts=min(max(max_tries, 2), 10) if raw.get("retryOnFail") is True and type(max_tries) is int else 1,
        credentials=[_slug(str(credential)) for credential in sorted(credentials)]
        if isinstance(credentials, dict)
        else (),
        version=version if type(version) in (int, float) else 1.0,
        raw=raw,
    )


def _unused(name: str, used: Collection[str]) -> str:
    number, unique = 1, name
    while unique in used:
        unique, number = f"{name}{number}", number + 1
    return unique


def _step_id(name: str, used_ids: set[str]) -> str:
    """Return a unique step id derived from the node's name. The same names always give the same ids."""
    slug = _slug(name)
    base_id = slug if slug[:1].isalpha() else f"node-{slug}".rstrip("-")
    number, unique = 2, base_id
    while unique in used_ids:
        unique, number = f"{base_id}-{number}", number + 1
    used_ids.add(unique)
    return unique


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50]


def _parse_connections(raw: object, nodes: Mapping[str, Node]) -> tuple[list[Edge], dict[str, dict[str, list[Edge]]]]:
    """Return the edges, and the connections of sub-nodes. Those to nodes that do not exist are ignored, as in n8n."""
    edges: list[Edge] = []
    sub_connections: dict[str, dict[str, list[Edge]]] = {}
    for source, kinds in raw.items() if isinstance(raw, dict) else ():
        if source not in nodes or not isinstance(kinds, dict):
            continue
        for kind, outputs in kinds.items():
            for edge in _edges(source, outputs):
                if edge.target not in nodes:
                    continue
                if kind == "main":
                    edges.append(edge)
                else:
                    sub_connections.setdefault(source, {}).setdefault(kind, []).append(edge)
    return list(dict.fromkeys(edges)), sub_connections


def _edges(source: str, outputs: object) -> Iterator[Edge]:
    """Yield an edge to each valid target in a connection's lists."""
    for output, targets in enumerate(outputs if isinstance(outputs, list) else ()):
        for target in targets if isinstance(targets, list) else ():
            if isinstance(target, dict) and isinstance(target.get("node"), str):
                input_index = target.get("index", 0)
                is_valid = type(input_index) is int and 0 <= input_index < 100
                yield Edge(source, output, target["node"], input_index if is_valid else 0)
