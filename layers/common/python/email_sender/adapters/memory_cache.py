"""Caches of one sandbox, bounded by bytes and by time. Implements vectors.caching's Results and EmbeddingCache."""

import pickle
from array import array
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from cachetools import TTLCache

from email_sender.vectors.caching import Answer, Vector

# A key and the cache's own books, for each entry.
_OVERHEAD = 256


class MemoryResults:
    """Answers are kept pickled: their size is known then, and nobody holds a part of what is kept."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._kept: TTLCache[bytes, bytes] = _bounded(max_bytes, seconds)

    def get(self, key: bytes) -> Answer[Any] | None:
        found = self._kept.get(key)
        # Written by `put` alone, in this process.
        answer: Answer[Any] | None = pickle.loads(found) if found is not None else None  # noqa: S301
        return answer

    def put(self, key: bytes, answer: Answer[Any]) -> None:
        _keep(self._kept, key, pickle.dumps(answer, protocol=5))


class MemoryEmbeddings:
    """Vectors are kept as float32, which is how the engine stores them."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._kept: TTLCache[tuple[UUID, str, bytes], bytes] = _bounded(max_bytes, seconds)

    def get(self, tenant_id: UUID, model: str, keys: Sequence[bytes]) -> Mapping[bytes, Vector]:
        found = ((key, self._kept.get((tenant_id, model, key))) for key in keys)
        return {key: array("f", kept) for key, kept in found if kept is not None}

    def put(self, tenant_id: UUID, model: str, vectors: Mapping[bytes, Vector]) -> None:
        for key, vector in vectors.items():
            _keep(self._kept, (tenant_id, model, key), array("f", vector).tobytes())


def _bounded(max_bytes: int, seconds: float) -> TTLCache[Any, bytes]:
    return TTLCache(max_bytes, seconds, getsizeof=_size)


def _size(value: bytes) -> int:
    return len(value) + _OVERHEAD


def _keep(kept: TTLCache[Any, bytes], key: object, value: bytes) -> None:
    """What would push out half of the others is not kept."""
    if _size(value) <= kept.maxsize / 2:
        kept[key] = value
