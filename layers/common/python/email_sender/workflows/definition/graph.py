"""The order of steps: cycles, levels, and which steps are upstream. Linear in steps and edges (with bit sets)."""

from collections.abc import Iterator, Mapping, Sequence

Graph = Mapping[str, Sequence[str]]  # a step's id → the ids it waits for


def find_cycle(graph: Graph) -> list[str]:
    """Return the steps of one cycle, in the order in which they wait for each other, or an empty list."""
    visited: set[str] = set()
    for start in graph:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[Iterator[str]] = [iter([start])]
        # Iterative: a chain of steps may be deeper than Python's stack.
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                if path:
                    on_path.discard(path[-1])
                    visited.add(path.pop())
            elif node in on_path:
                return path[path.index(node) :]
            elif node not in visited and node in graph:
                path.append(node)
                on_path.add(node)
                stack.append(iter(graph[node]))
    return []


def compute_levels(graph: Graph) -> list[list[str]]:
    """Return the steps by level, each level in the order of `graph`. A level waits for the whole previous level."""
    depth: dict[str, int] = {}
    for node in topological_order(graph):
        depth[node] = 1 + max((depth[need] for need in graph[node]), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in graph:
        rows[depth[node]].append(node)
    return rows


def topological_order(graph: Graph) -> list[str]:
    """Return every step after all the steps that it waits for. `graph` must have no cycle."""
    unmet_needs = {node: len(set(needs)) for node, needs in graph.items()}
    dependents: dict[str, list[str]] = {node: [] for node in graph}
    for node, needs in graph.items():
        for need in set(needs):
            dependents[need].append(node)
    ready = [node for node in graph if not unmet_needs[node]]
    for node in ready:
        for dependent in dependents[node]:
            unmet_needs[dependent] -= 1
            if not unmet_needs[dependent]:
                ready.append(dependent)
    return ready


class Ancestry:
    """All the steps that each step waits for, directly or indirectly. The graph must have no cycle.

    Stored as bit sets: a chain of a thousand steps would otherwise need half a million names.
    """

    def __init__(self, graph: Graph) -> None:
        self._names = list(graph)
        self._bits = {name: 1 << index for index, name in enumerate(self._names)}
        self._masks: dict[str, int] = {}
        for node in topological_order(graph):
            mask = 0
            for need in graph[node]:
                mask |= self._masks[need] | self._bits[need]
            self._masks[node] = mask

    def waits_for(self, node: str, ancestor: str) -> bool:
        """Return whether `node` waits for `ancestor`, directly or indirectly."""
        return bool(self._masks[node] & self._bits.get(ancestor, 0))

    def upstream_of(self, node: str) -> frozenset[str]:
        return frozenset(self._upstream(node))

    def _upstream(self, node: str) -> Iterator[str]:
        mask = self._masks[node]
        while mask:
            lowest_bit = mask & -mask
            yield self._names[lowest_bit.bit_length() - 1]
            mask ^= lowest_bit
