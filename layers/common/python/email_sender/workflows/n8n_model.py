"""An export of n8n, read: its nodes, and who leads to whom (docs.n8n.io, "Export and import workflows")."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from email_sender.errors import InvalidInput, Problem

MAX_NODES = 400
_MAX_NAME = 200


class How(StrEnum):
    """What became of a node."""

    EXACT = "exact"
    APPROXIMATED = "approximated"
    UNSUPPORTED = "unsupported"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Entry:
    """One node of the report. `steps` are the ids of what it became."""

    node: str
    type: str
    how: How
    steps: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """From an output of a node to an input of another; both count from 0."""

    source: str
    output: int
    target: str
    input: int


@dataclass(frozen=True, slots=True)
class Node:
    """`step` is the id that it would have here. `type` is n8n's without its package."""

    name: str
    step: str
    type: str
    parameters: Mapping[str, Any]
    disabled: bool = False
    continues: bool = False
    tries: int = 1
    credentials: Sequence[str] = ()
    version: float = 1.0


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    nodes: Mapping[str, Node]
    edges: Sequence[Edge]
    # Nodes that serve another (models, memories, tools), by whom they serve.
    parts: Mapping[str, str] = field(default_factory=dict)
    timezone: str = ""

    def into(self, name: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.target == name]


def read_export(raw: Mapping[str, Any]) -> Export:
    """Raises InvalidInput where it is no export of a workflow."""
    nodes, problems = raw.get("nodes"), list[Problem]()
    if not isinstance(nodes, list) or not nodes:
        raise InvalidInput.at("/workflow/nodes", "An export of n8n has a list of nodes.")
    if len(nodes) > MAX_NODES:
        raise InvalidInput.at("/workflow/nodes", f"At most {MAX_NODES} nodes.")
    found: dict[str, Node] = {}
    steps: set[str] = set()
    for place, each in enumerate(nodes):
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not isinstance(each.get("type"), str):
            problems.append(Problem(f"/workflow/nodes/{place}", "A node has a name and a type."))
        elif name in found:
            problems.append(Problem(f"/workflow/nodes/{place}/name", f"There are two nodes {name!r}."))
        else:
            found[name] = _node(each, _step_id(name, steps))
    if problems:
        raise InvalidInput("It is no export of n8n that can be read.", problems)
    edges, parts = _connections(raw.get("connections"), found)
    title = raw.get("name")
    settings = raw.get("settings")
    zone = settings.get("timezone") if isinstance(settings, dict) else None
    name = title[:100] if isinstance(title, str) and title.strip() else "n8n"
    return Export(name, found, edges, parts, zone if isinstance(zone, str) else "")


def _node(raw: Mapping[str, Any], step: str) -> Node:
    parameters, credentials = raw.get("parameters"), raw.get("credentials")
    tries, version = raw.get("maxTries", 3), raw.get("typeVersion", 1.0)
    return Node(
        name=raw["name"],
        step=step,
        type=raw["type"].rpartition(".")[2],
        parameters=parameters if isinstance(parameters, dict) else {},
        disabled=raw.get("disabled") is True,
        continues=raw.get("continueOnFail") is True or raw.get("onError") == "continueRegularOutput",
        tries=min(max(tries, 2), 10) if raw.get("retryOnFail") is True and type(tries) is int else 1,
        credentials=[_plain(str(each)) for each in sorted(credentials)] if isinstance(credentials, dict) else (),
        version=version if type(version) in (int, float) else 1.0,
    )


def _step_id(name: str, taken: set[str]) -> str:
    """Of the name, in the letters that ids have; the same name gives the same."""
    plain = _plain(name)
    made = plain if plain[:1].isalpha() else f"node-{plain}".rstrip("-")
    number, unique = 2, made
    while unique in taken:
        unique, number = f"{made}-{number}", number + 1
    taken.add(unique)
    return unique


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50]


def _connections(raw: object, nodes: Mapping[str, Node]) -> tuple[list[Edge], dict[str, str]]:
    """What names a node that is not there is left out, as n8n does."""
    edges: list[Edge] = []
    parts: dict[str, str] = {}
    for source, kinds in raw.items() if isinstance(raw, dict) else ():
        if source not in nodes or not isinstance(kinds, dict):
            continue
        for kind, outputs in kinds.items():
            for output, target, place in _targets(outputs):
                if target not in nodes:
                    continue
                if kind == "main":
                    edges.append(Edge(source, output, target, place))
                else:
                    parts[source] = target
    return list(dict.fromkeys(edges)), parts


def _targets(outputs: object) -> Iterator[tuple[int, str, int]]:
    """(output, node, input) of a connection's lists, whatever else is in them."""
    for output, targets in enumerate(outputs if isinstance(outputs, list) else ()):
        for target in targets if isinstance(targets, list) else ():
            if isinstance(target, dict) and isinstance(target.get("node"), str):
                place = target.get("index", 0)
                yield output, target["node"], place if type(place) is int and 0 <= place < 100 else 0
