"""What was answered before: searches in the sandbox, embeddings of texts there and in a level that sandboxes share.

A tenant reads its own writes: an answer is kept with the collection's write version, which every write changes before
it is acknowledged, and is given again only while that version stands.
"""

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from email_sender.errors import Unavailable
from email_sender.vectors.model import Chosen, ClientId, Collection, Group, Hit, Point, Search, Write
from email_sender.vectors.ports import Embedder, VectorIndex

type Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class Answer[F]:
    """`version` is the collection's when it was asked; None where a search was only seen, and not yet kept."""

    version: UUID | None
    found: F | None = None


class Results(Protocol):
    """Answers of this sandbox, bounded by bytes and by time. What comes out is nobody else's to change."""

    def get[F](self, key: bytes) -> Answer[F] | None: ...

    def put[F](self, key: bytes, answer: Answer[F]) -> None: ...


class Versions(Protocol):
    """When a tenant last wrote to a collection, as an id that no two writes share (vectors.serving's gate makes it)."""

    def read(self, tenant_id: UUID, collection: str) -> UUID: ...


class EmbeddingCache(Protocol):
    """Vectors of texts, by the texts' SHA-256. A cache that cannot be reached knows nothing and keeps nothing."""

    def get(self, tenant_id: UUID, model: str, keys: Sequence[bytes]) -> Mapping[bytes, Vector]: ...

    def put(self, tenant_id: UUID, model: str, vectors: Mapping[bytes, Vector]) -> None: ...


# (cache, how many were found, how many were not)
type Record = Callable[[str, int, int], None]


class Embeddings:
    """The embedding models of each collection, by their ids, asked once for a text.

    The caches are asked in their order, nearest first. They are a tenant's own: that another tenant embedded the same
    words is not to be told by how long an answer takes.
    """

    def __init__(
        self,
        models: Mapping[str, Mapping[str, Embedder]],
        caches: Mapping[str, Sequence[EmbeddingCache]] | None = None,
        record: Record = lambda _cache, _hits, _misses: None,
    ) -> None:
        self._models, self._caches, self._record = models, caches or {}, record

    def model(self, collection: Collection) -> Embedder:
        """The one that its vectors are of.

        Raises:
            Unavailable: this deployment does not have it.
        """
        found = self._models.get(collection.name, {}).get(collection.model or "")
        if found is None:
            raise Unavailable(f"{collection.name} was embedded by {collection.model}, which is not configured here.")
        return found

    def embed(self, tenant_id: UUID, collection: Collection, texts: Sequence[str]) -> Sequence[Vector]:
        """The vector of each text, in their order."""
        if not texts:
            return []
        model, caches = self.model(collection), self._caches.get(collection.name, ())
        if not caches:
            return model.embed(texts)
        name = f"{model.model}/{model.size}"
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        known: dict[bytes, Vector] = {}
        for place, cache in enumerate(caches):
            missing = [key for key in wanted if key not in known]
            if not missing:
                break
            found = cache.get(tenant_id, name, missing)
            known |= found
            if found:
                _put(caches[:place], tenant_id, name, found)
        self._record("embeddings", len(known), len(wanted) - len(known))
        new = {key: text for key, text in wanted.items() if key not in known}
        if new:
            made = dict(zip(new, model.embed(list(new.values())), strict=True))
            _put(caches, tenant_id, name, made)
            known |= made
        return [known[key] for key in keys]


def _put(caches: Sequence[EmbeddingCache], tenant_id: UUID, model: str, vectors: Mapping[bytes, Vector]) -> None:
    for cache in caches:
        cache.put(tenant_id, model, vectors)


class CachedIndex:
    """A VectorIndex that remembers the answers of searches that come again.

    What is asked once costs nothing but its fingerprint: only the second time is the version read and the answer kept,
    so that searches which never repeat pay no round trip.
    """

    def __init__(self, index: VectorIndex, results: Results, versions: Versions, record: Record) -> None:
        self._index, self._results, self._versions, self._record = index, results, versions, record

    def prepare(self, collection: Collection) -> bool:
        return self._index.prepare(collection)

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None:
        self._index.upsert(tenant_id, collection, points)

    def write(self, tenant_id: UUID, collection: str, writes: Sequence[Write]) -> None:
        self._index.write(tenant_id, collection, writes)

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None:
        self._index.delete(tenant_id, collection, ids)

    def has(self, tenant_id: UUID, collection: str, point_id: ClientId) -> bool:
        return self._index.has(tenant_id, collection, point_id)

    def count(self, tenant_id: UUID, collection: str, chosen: Chosen | None = None) -> int:
        return self._index.count(tenant_id, collection, chosen)

    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        def ask(searches: Sequence[Search]) -> Sequence[Sequence[Hit]]:
            return [self._index.search(tenant_id, collection, each) for each in searches]

        return self._answers(tenant_id, collection, [search], ask)[0]

    def search_many(self, tenant_id: UUID, collection: str, searches: Sequence[Search]) -> Sequence[Sequence[Hit]]:
        def ask(rest: Sequence[Search]) -> Sequence[Sequence[Hit]]:
            return self._index.search_many(tenant_id, collection, rest)

        return self._answers(tenant_id, collection, searches, ask)

    def search_groups(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Group]:
        def ask(searches: Sequence[Search]) -> Sequence[Sequence[Group]]:
            return [self._index.search_groups(tenant_id, collection, each) for each in searches]

        return self._answers(tenant_id, collection, [search], ask)[0]

    def _answers[F](
        self,
        tenant_id: UUID,
        collection: str,
        searches: Sequence[Search],
        ask: Callable[[Sequence[Search]], Sequence[F]],
    ) -> Sequence[F]:
        keys = [_fingerprint(tenant_id, collection, each) for each in searches]
        before: list[Answer[F] | None] = [self._results.get(key) for key in keys]
        # Read before the engine is asked: an answer may be newer than the version it is kept under, never older.
        version = self._version(tenant_id, collection) if any(before) else None
        known = {
            place: answer.found
            for place, answer in enumerate(before)
            if answer is not None and answer.found is not None and answer.version == version
        }
        rest = [place for place in range(len(searches)) if place not in known]
        self._record("searches", len(known), len(rest))
        for place, found in zip(rest, ask([searches[each] for each in rest]) if rest else (), strict=True):
            known[place] = found
            if before[place] is None:
                self._results.put(keys[place], Answer[F](None))
            elif version is not None:
                self._results.put(keys[place], Answer(version, found))
        return [known[place] for place in range(len(searches))]

    def _version(self, tenant_id: UUID, collection: str) -> UUID | None:
        """None where it cannot be read: the engine is asked then, and nothing is kept."""
        try:
            return self._versions.read(tenant_id, collection)
        except Unavailable:
            return None


def _fingerprint(tenant_id: UUID, collection: str, search: Search) -> bytes:
    # Equal searches may be pickled differently, which asks the engine once more; different ones never alike.
    return hashlib.blake2b(pickle.dumps((tenant_id, collection, search), protocol=5), digest_size=32).digest()
