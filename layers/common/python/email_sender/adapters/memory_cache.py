"""Caches of one execution environment, bounded by bytes and time. Implements vectors.cache's cache protocols."""

import pickle
from array import array
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from cachetools import TTLCache

from email_sender.vectors.cache import CachedResult, Vector

# The estimated overhead of an entry in bytes: its key and the cache's own structures.
_OVERHEAD = 256


class MemoryResultCache:
    """Results are stored pickled, so that their size is known and callers cannot modify a cached object."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._entries: TTLCache[bytes, bytes] = _build_cache(max_bytes, seconds)

    def get(self, key: bytes) -> CachedResult[Any] | None:
        pickled = self._entries.get(key)
        # Safe to unpickle: only `put` of this process writes entries.
        answer: CachedResult[Any] | None = pickle.loads(pickled) if pickled is not None else None  # noqa: S301
        return answer

    def put(self, key: bytes, answer: CachedResult[Any]) -> None:
        _store(self._entries, key, pickle.dumps(answer, protocol=5))


class MemoryEmbeddingCache:
    """Vectors are stored as float32, as in the engine."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._entries: TTLCache[tuple[UUID, str, bytes], bytes] = _build_cache(max_bytes, seconds)

    def get(self, tenant_id: UUID, model: str, keys: Sequence[bytes]) -> Mapping[bytes, Vector]:
        lookups = ((key, self._entries.get((tenant_id, model, key))) for key in keys)
        return {key: array("f", packed) for key, packed in lookups if packed is not None}

    def put(self, tenant_id: UUID, model: str, vectors: Mapping[bytes, Vector]) -> None:
        for key, vector in vectors.items():
            _store(self._entries, (tenant_id, model, key), array("f", vector).tobytes())


def _build_cache(max_bytes: int, seconds: float) -> TTLCache[Any, bytes]:
    return TTLCache(max_bytes, seconds, getsizeof=_size)


def _size(value: bytes) -> int:
    return len(value) + _OVERHEAD


def _store(cache: TTLCache[Any, bytes], key: object, value: bytes) -> None:
    """Store a value, unless it would evict half of the other entries."""
    if _size(value) <= cache.maxsize / 2:
        cache[key] = value
