"""Group messages into conversations by their references alone, since subjects are unreliable."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence


def thread_roots(links: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """Return the root of each message's thread, as a mapping from message id to root id.

    `links` yields each message's id and the ids it references (In-Reply-To and References, in any order). Two messages
    belong to one thread if a chain of references joins them, also through messages that are missing, so the root may be
    a missing message. The root is an id that references nothing, if there is one; among several, the most referenced,
    then the first in text order. The result does not depend on the order of `links`. Self references and cycles are
    harmless. Time and memory grow with the number of references.
    """
    sets = _DisjointSets()
    replies: set[str] = set()
    referenced: Counter[str] = Counter()
    messages: set[str] = set()
    for message, references in links:
        messages.add(message)
        sets.add(message)
        for reference in dict.fromkeys(references):
            if reference and reference != message:
                replies.add(message)
                referenced[reference] += 1
                sets.union(message, reference)

    roots: dict[str, tuple[bool, int, str]] = {}
    for identifier in sets:
        # The smallest rank wins: ids that reference nothing, then the most referenced, then text order.
        rank = (identifier in replies, -referenced[identifier], identifier)
        leader = sets.find(identifier)
        roots[leader] = min(roots.get(leader, rank), rank)
    return {message: roots[sets.find(message)][2] for message in messages}


class _DisjointSets:
    """Union-find by size with path halving. It does not recurse, so a chain of any length is safe."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._parents)

    def add(self, item: str) -> None:
        if item not in self._parents:
            self._parents[item] = item
            self._sizes[item] = 1

    def find(self, item: str) -> str:
        parents = self._parents
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    def union(self, first: str, second: str) -> None:
        self.add(first)
        self.add(second)
        large, small = self.find(first), self.find(second)
        if large == small:
            return
        if self._sizes[large] < self._sizes[small]:
            large, small = small, large
        self._parents[small] = large
        self._sizes[large] += self._sizes.pop(small)
