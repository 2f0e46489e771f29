"""Loops of n8n workflows. The sandbox runs loops of item nodes as they are; others are opened."""

from collections.abc import Collection, Mapping, Sequence

from email_sender.workflows.n8n.export import Edge, N8nExport
from email_sender.workflows.n8n.groups import loops
from email_sender.workflows.n8n.item_nodes import runs_here, waits_shortly

_LOOP = "splitInBatches"


def open_loops(
    export: N8nExport, bridged: Collection[str] = ()
) -> tuple[list[Edge], list[frozenset[str]], frozenset[str]]:
    """Return the edges without those that close a loop that one place cannot run: one with a model, say.

    Returns also the loops that stay, and the names of the nodes where an opened loop starts.
    """
    found = loops(export.nodes, export.edges)
    staying = [
        loop
        for loop in found
        if loop.issubset(bridged)
        or all(runs_here(export.nodes[name]) or waits_shortly(export.nodes[name]) for name in loop)
    ]
    kept = {edge for edge in export.edges if any(edge.source in loop and edge.target in loop for loop in staying)}
    edges, starts = _remove_cycles(export, [edge for edge in export.edges if edge not in kept])
    place = {edge: number for number, edge in enumerate(export.edges)}
    return sorted([*edges, *kept], key=lambda edge: place.get(edge, len(place))), staying, starts


def _remove_cycles(export: N8nExport, edges: Sequence[Edge]) -> tuple[list[Edge], frozenset[str]]:
    """Return the edges that do not close a cycle, and the names of the nodes where a loop starts.

    The body of a loop node leads back to the loop node. The nodes after the loop are connected to the end of the body
    instead.
    """
    outgoing: dict[str, list[Edge]] = {name: [] for name in export.nodes}
    for edge in edges:
        outgoing[edge.source].append(edge)
    back_edges: set[Edge] = set()
    state: dict[str, int] = {}
    for start in export.nodes:
        if start in state:
            continue
        stack = [(start, iter(outgoing[start]))]
        state[start] = 1
        while stack:
            name, following = stack[-1]
            for edge in following:
                if state.get(edge.target) == 1:
                    back_edges.add(edge)
                elif edge.target not in state:
                    state[edge.target] = 1
                    stack.append((edge.target, iter(outgoing[edge.target])))
                    break
            else:
                state[name] = 2
                stack.pop()
    forward_edges = [edge for edge in edges if edge not in back_edges]
    starts = frozenset(edge.target for edge in back_edges)
    for edge in sorted(back_edges, key=lambda back_edge: (back_edge.target, back_edge.source)):
        if export.nodes[edge.target].type == _LOOP:
            # The loop body is connected to the second output since version 3, and to the first output before that.
            body = 1 if export.nodes[edge.target].version >= 3 else 0
            forward_edges = _reconnect_after_body(forward_edges, edge, body)
    return forward_edges, starts


def _reconnect_after_body(edges: Sequence[Edge], back_edge: Edge, body: int) -> list[Edge]:
    """Connect the nodes at the loop's "done" output to the end of the loop body instead."""
    reconnected_edges = []
    for edge in edges:
        if edge.source == back_edge.target and edge.output != body and edge.target != back_edge.source:
            reconnected_edges.append(Edge(back_edge.source, back_edge.output, edge.target, edge.input))
        else:
            reconnected_edges.append(edge)
    return list(dict.fromkeys(reconnected_edges))


def order_of(names: Collection[str], edges: Sequence[Edge], staying_loops: Sequence[frozenset[str]]) -> list[str]:
    """Return the names with each node after its sources, and otherwise in the given order."""
    sources = _sources(names, edges, staying_loops)
    order: list[str] = []
    remaining = list(names)
    while remaining:
        ordered = set(order)
        # Reconnecting the end of a loop can create a new cycle: then the first remaining node comes next.
        following = next((name for name in remaining if sources[name] <= ordered), remaining[0])
        order.append(following)
        remaining.remove(following)
    return order


def _sources(
    names: Collection[str], edges: Sequence[Edge], staying_loops: Sequence[frozenset[str]]
) -> Mapping[str, set[str]]:
    """Return what comes before each node. A loop's nodes come after all that leads into the loop."""
    sources = {name: {edge.source for edge in edges if edge.target == name} for name in names}
    for loop in staying_loops:
        outside = set().union(*(sources[name] for name in loop)) - loop
        sources |= dict.fromkeys(loop, outside)
    return sources
