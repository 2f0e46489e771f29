"""Which messages belong to one conversation, from what they reference alone (subjects lie)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence


def thread_roots(links: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """The root of each message's thread: message id to root id.

    `links` gives each message's id and the ids it references (In-Reply-To and References, in any order). Two messages
    are of one thread when a chain of references joins them, also through messages that are not there; so the root may
    be a message nobody has. It is, among a thread's ids that reference nothing, the most referenced, and of equals the
    first in text order: the answer does not depend on the order of `links`. Self references and cycles are harmless.
    Time and memory grow with the number of references.
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
        # Smallest first: references nothing, then most referenced, then text order.
        rank = (identifier in replies, -referenced[identifier], identifier)
        leader = sets.find(identifier)
        roots[leader] = min(roots.get(leader, rank), rank)
    return {message: roots[sets.find(message)][2] for message in messages}


class _DisjointSets:
    """Union by size with path halving; no recursion, so a chain of any length is safe."""

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

    def union(self, one: str, other: str) -> None:
        self.add(one)
        self.add(other)
        large, small = self.find(one), self.find(other)
        if large == small:
            return
        if self._sizes[large] < self._sizes[small]:
            large, small = small, large
        self._parents[small] = large
        self._sizes[large] += self._sizes.pop(small)
