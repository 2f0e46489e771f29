"""Caches of search results and text embeddings.

Search results are cached in the execution environment. Embeddings are also cached in a store that environments share.
A tenant always reads its own writes: a result is stored with the write version of the collection, which each write
changes before it is acknowledged, and is returned only while that version is current.
"""

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from email_sender.errors import Unavailable
from email_sender.vectors.model import Collection, Group, Hit, Search
from email_sender.vectors.ports import Embedder, PointSearch

type Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class CachedResult[F]:
    """A cached search result with the write version of its collection. Both are None if only the search was seen."""

    version: UUID | None
    result: F | None = None


class ResultCache(Protocol):
    """Search results of this execution environment, bounded by bytes and time. `get` returns a copy."""

    def get[F](self, key: bytes) -> CachedResult[F] | None: ...

    def put[F](self, key: bytes, answer: CachedResult[F]) -> None: ...


class WriteVersions(Protocol):
    """The write version of a tenant's collection: an id that every write replaces (served_collections.WriteLock)."""

    def read(self, tenant_id: UUID, collection: str) -> UUID:
        """Return the current write version. Raises Unavailable."""


class EmbeddingCache(Protocol):
    """Vectors of texts by the SHA-256 of the text. If the cache is unreachable, it returns and stores nothing."""

    def get(self, tenant_id: UUID, model: str, keys: Sequence[bytes]) -> Mapping[bytes, Vector]: ...

    def put(self, tenant_id: UUID, model: str, vectors: Mapping[bytes, Vector]) -> None: ...


# Called with (cache name, number of hits, number of misses).
type RecordLookups = Callable[[str, int, int], None]


class Embeddings:
    """The embedding models of each collection, by model id, behind caches.

    Caches are queried in order, nearest first. Each tenant has its own entries: otherwise the response time would
    reveal that another tenant has embedded the same text.
    """

    def __init__(
        self,
        models: Mapping[str, Mapping[str, Embedder]],
        caches: Mapping[str, Sequence[EmbeddingCache]] | None = None,
        record: RecordLookups = lambda _cache, _hits, _misses: None,
    ) -> None:
        self._models, self._caches, self._record = models, caches or {}, record

    def model(self, collection: Collection) -> Embedder:
        """Return the model that embedded the collection's vectors.

        Raises:
            Unavailable: this deployment does not have the model.
        """
        embedder = self._models.get(collection.name, {}).get(collection.model or "")
        if embedder is None:
            raise Unavailable(
                f"{collection.name} was embedded by {collection.model}, which is not configured in this deployment."
            )
        return embedder

    def embed(self, tenant_id: UUID, collection: Collection, texts: Sequence[str]) -> Sequence[Vector]:
        """Return the vector of each text, in order."""
        if not texts:
            return []
        model = self.model(collection)
        return self._embed_cached(tenant_id, collection, texts, f"{model.model}/{model.size}", model.embed)

    def embed_questions(self, tenant_id: UUID, collection: Collection, texts: Sequence[str]) -> Sequence[Vector]:
        """Return the vector of each question, in order."""
        model = self.model(collection)
        name = f"{model.model}/{model.size}/question"
        return self._embed_cached(tenant_id, collection, texts, name, model.embed_questions)

    def _embed_cached(
        self,
        tenant_id: UUID,
        collection: Collection,
        texts: Sequence[str],
        name: str,
        embed: Callable[[Sequence[str]], Sequence[Vector]],
    ) -> Sequence[Vector]:
        caches = self._caches.get(collection.name, ())
        if not caches:
            return embed(texts)
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        texts_by_key = dict(zip(keys, texts, strict=True))
        vectors_by_key: dict[bytes, Vector] = {}
        for level, cache in enumerate(caches):
            missing_keys = [key for key in texts_by_key if key not in vectors_by_key]
            if not missing_keys:
                break
            hits = cache.get(tenant_id, name, missing_keys)
            vectors_by_key |= hits
            if hits:
                _put(caches[:level], tenant_id, name, hits)
        self._record("embeddings", len(vectors_by_key), len(texts_by_key) - len(vectors_by_key))
        uncached_texts = {key: text for key, text in texts_by_key.items() if key not in vectors_by_key}
        if uncached_texts:
            new_vectors = dict(zip(uncached_texts, embed(list(uncached_texts.values())), strict=True))
            _put(caches, tenant_id, name, new_vectors)
            vectors_by_key |= new_vectors
        return [vectors_by_key[key] for key in keys]


def _put(caches: Sequence[EmbeddingCache], tenant_id: UUID, model: str, vectors: Mapping[bytes, Vector]) -> None:
    for cache in caches:
        cache.put(tenant_id, model, vectors)


class CachedSearch:
    """A PointSearch that caches the results of repeated searches.

    The first search stores only its fingerprint. From the second search on, the write version is read and the result is
    cached. Searches that never repeat need no extra round trip.
    """

    def __init__(
        self, search: PointSearch, results: ResultCache, versions: WriteVersions, record: RecordLookups
    ) -> None:
        self._search, self._results, self._versions, self._record = search, results, versions, record

    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        def run_searches(misses: Sequence[Search]) -> Sequence[Sequence[Hit]]:
            return [self._search.search(tenant_id, collection, miss) for miss in misses]

        return self._search_cached(tenant_id, collection, [search], run_searches)[0]

    def search_many(self, tenant_id: UUID, collection: str, searches: Sequence[Search]) -> Sequence[Sequence[Hit]]:
        def run_searches(misses: Sequence[Search]) -> Sequence[Sequence[Hit]]:
            return self._search.search_many(tenant_id, collection, misses)

        return self._search_cached(tenant_id, collection, searches, run_searches)

    def search_groups(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Group]:
        def run_searches(misses: Sequence[Search]) -> Sequence[Sequence[Group]]:
            return [self._search.search_groups(tenant_id, collection, miss) for miss in misses]

        return self._search_cached(tenant_id, collection, [search], run_searches)[0]

    def _search_cached[F](
        self,
        tenant_id: UUID,
        collection: str,
        searches: Sequence[Search],
        run_searches: Callable[[Sequence[Search]], Sequence[F]],
    ) -> Sequence[F]:
        keys = [_fingerprint(tenant_id, collection, search) for search in searches]
        cached_results: list[CachedResult[F] | None] = [self._results.get(key) for key in keys]
        # Read before the engine is queried: a result may be newer than the version it is stored under, never older.
        version = self._version(tenant_id, collection) if any(cached_results) else None
        results = {
            position: cached.result
            for position, cached in enumerate(cached_results)
            if cached is not None and cached.result is not None and cached.version == version
        }
        misses = [position for position in range(len(searches)) if position not in results]
        self._record("searches", len(results), len(misses))
        for position, result in zip(
            misses, run_searches([searches[number] for number in misses]) if misses else (), strict=True
        ):
            results[position] = result
            if cached_results[position] is None:
                self._results.put(keys[position], CachedResult[F](None))
            elif version is not None:
                self._results.put(keys[position], CachedResult(version, result))
        return [results[position] for position in range(len(searches))]

    def _version(self, tenant_id: UUID, collection: str) -> UUID | None:
        """Return the write version, or None if it cannot be read. Then the cache is not used for results."""
        try:
            return self._versions.read(tenant_id, collection)
        except Unavailable:
            return None


def _fingerprint(tenant_id: UUID, collection: str, search: Search) -> bytes:
    # Equal searches may pickle differently, which costs one more query. Different searches never pickle alike.
    return hashlib.blake2b(pickle.dumps((tenant_id, collection, search), protocol=5), digest_size=32).digest()
