"""Groups the nodes of a workflow that the sandbox can run in one call, and finds loops."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from email_sender.workflows.n8n.export import Edge


def cycles(names: Iterable[str], edges: Sequence[Edge]) -> list[frozenset[str]]:
    """Return the sets of nodes that lead to each other: the loops, with all that is in them."""
    following: dict[str, set[str]] = {name: set() for name in names}
    for edge in edges:
        following[edge.source].add(edge.target)
    reached = {name: _reachable(following, name) for name in following}
    found: dict[frozenset[str], None] = {}
    for name in following:
        if name in reached[name]:
            found[frozenset(other for other in reached[name] if name in reached[other])] = None
    return list(found)


def _reachable(following: Mapping[str, Collection[str]], start: str) -> set[str]:
    reached: set[str] = set()
    queue = list(following[start])
    while queue:
        name = queue.pop()
        if name not in reached:
            reached.add(name)
            queue.extend(following[name])
    return reached


def units(names: Sequence[str], edges: Sequence[Edge], runs_here: Callable[[str], bool]) -> list[list[str]]:
    """Return the nodes in the groups that can run one after the other: each after all that lead to it.

    A group is a set of connected nodes for which `runs_here`, or one other node. No path leads from a group through
    other nodes back into it. Loops have only nodes for which `runs_here`.
    """
    stages = _stages(names, edges, runs_here)
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for edge in edges:
        source, target = edge.source, edge.target
        if runs_here(source) and runs_here(target) and stages[source] == stages[target]:
            parent[root(source)] = root(target)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(root(name), []).append(name)
    return sorted(groups.values(), key=lambda group: stages[group[0]])


def _stages(names: Sequence[str], edges: Sequence[Edge], runs_here: Callable[[str], bool]) -> dict[str, int]:
    """Count for each node the steps on the longest way to it, with connected nodes of the sandbox as one step."""
    stages = dict.fromkeys(names, 0)
    for _ in names:
        is_changed = False
        for edge in edges:
            is_inside = runs_here(edge.source) and runs_here(edge.target)
            least = stages[edge.source] + (0 if is_inside else 1)
            if stages[edge.target] < least:
                stages[edge.target], is_changed = least, True
        if not is_changed:
            break
    return stages
