"""The order of steps: who is upstream of whom, cycles, levels. All linear in steps and edges (with bit sets)."""

from collections.abc import Iterator, Mapping, Sequence

Graph = Mapping[str, Sequence[str]]  # a step's id → the ids it waits for


def cycle_in(graph: Graph) -> list[str]:
    """The steps of one cycle, in the order they wait for each other; empty where there is none."""
    done: set[str] = set()
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
                    done.add(path.pop())
            elif node in on_path:
                return path[path.index(node) :]
            elif node not in done and node in graph:
                path.append(node)
                on_path.add(node)
                stack.append(iter(graph[node]))
    return []


def levels(graph: Graph) -> list[list[str]]:
    """Steps by level, each level in the order of `graph`: a level waits for the whole of the one before."""
    depth: dict[str, int] = {}
    for node in ordered(graph):
        depth[node] = 1 + max((depth[need] for need in graph[node]), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in graph:
        rows[depth[node]].append(node)
    return rows


def ordered(graph: Graph) -> list[str]:
    """Every step after all it waits for. The graph has no cycle."""
    waiting = {node: len(set(needs)) for node, needs in graph.items()}
    feeds: dict[str, list[str]] = {node: [] for node in graph}
    for node, needs in graph.items():
        for need in set(needs):
            feeds[need].append(node)
    ready = [node for node in graph if not waiting[node]]
    for node in ready:
        for fed in feeds[node]:
            waiting[fed] -= 1
            if not waiting[fed]:
                ready.append(fed)
    return ready


class Ancestry:
    """All that each step waits for, directly or not. The graph has no cycle.

    Bit sets: a chain of a thousand steps would otherwise be half a million names.
    """

    def __init__(self, graph: Graph) -> None:
        self._names = list(graph)
        self._bits = {name: 1 << index for index, name in enumerate(self._names)}
        self._masks: dict[str, int] = {}
        for node in ordered(graph):
            mask = 0
            for need in graph[node]:
                mask |= self._masks[need] | self._bits[need]
            self._masks[node] = mask

    def has(self, node: str, other: str) -> bool:
        """Does `node` wait for `other`?"""
        return bool(self._masks[node] & self._bits.get(other, 0))

    def of(self, node: str) -> frozenset[str]:
        return frozenset(self._upstream(node))

    def _upstream(self, node: str) -> Iterator[str]:
        mask = self._masks[node]
        while mask:
            low = mask & -mask
            yield self._names[low.bit_length() - 1]
            mask ^= low
