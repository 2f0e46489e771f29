"""Groups the nodes of a workflow that the sandbox can run in one call, and finds loops."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from email_sender.workflows.n8n.export import Edge


def targets_by_source(edges: Iterable[Edge]) -> dict[str, list[str]]:
    targets: dict[str, list[str]] = {}
    for edge in edges:
        targets.setdefault(edge.source, []).append(edge.target)
    return targets


def reachable(starts: Iterable[str], targets: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the nodes that the starts lead to. A start is one of them only if a loop leads back to it."""
    reached: set[str] = set()
    queue = [target for start in starts for target in targets.get(start, ())]
    while queue:
        name = queue.pop()
        if name not in reached:
            reached.add(name)
            queue.extend(targets.get(name, ()))
    return reached


def loops(names: Iterable[str], edges: Sequence[Edge]) -> list[frozenset[str]]:
    """Return the strongly connected components with a loop: the sets of nodes that all lead to each other."""
    targets = targets_by_source(edges)
    reached = {name: reachable([name], targets) for name in names}
    found = {
        frozenset(other for other in after if name in reached[other]): None
        for name, after in reached.items()
        if name in after
    }
    return list(found)


def ordered_groups(
    names: Sequence[str], edges: Sequence[Edge], place_of: Callable[[str], str | None]
) -> list[list[str]]:
    """Return the nodes in groups that can run one after the other, each after all that lead to it.

    `place_of` says where a node runs: connected nodes of one place are a group, and a node without a place (None) is
    one alone. No path leads from a group through other nodes back into it. The nodes of a loop have one place.
    """
    stages = _stages(names, edges, place_of)
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for edge in edges:
        source, target = edge.source, edge.target
        if _is_inside(edge, place_of) and stages[source] == stages[target]:
            parent[root(source)] = root(target)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(root(name), []).append(name)
    return sorted(groups.values(), key=lambda group: stages[group[0]])


def _is_inside(edge: Edge, place_of: Callable[[str], str | None]) -> bool:
    place = place_of(edge.source)
    return place is not None and place == place_of(edge.target)


def _stages(names: Sequence[str], edges: Sequence[Edge], place_of: Callable[[str], str | None]) -> dict[str, int]:
    """Count for each node the steps on the longest way to it, with connected nodes of one place as one step."""
    stages = dict.fromkeys(names, 0)
    for _ in names:
        is_changed = False
        for edge in edges:
            least = stages[edge.source] + (0 if _is_inside(edge, place_of) else 1)
            if stages[edge.target] < least:
                stages[edge.target], is_changed = least, True
        if not is_changed:
            break
    return stages
