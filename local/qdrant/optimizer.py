"""When a collection is optimized: after its writes go quiet, or when too many of them pile up.

A small collection is optimized where it is, in milliseconds. Once its vectors are worth an index, a copy is optimized
by another process while the collection goes on serving and writing; then the copy takes over.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time

from local.qdrant.collection import Collection
from local.qdrant.errors import Missing

logger = logging.getLogger("local.qdrant")

QUIET_SECONDS = 0.5
"""Writes that pause this long are over."""

BATCH_POINTS = 20_000
"""Writes that never pause are optimized once this many points, or half of the collection, wait for it."""

CHANGED_SHARE = 0.2
"""An index is built anew once this share of its points was written or deleted, as Qdrant's vacuum does."""

_POLL_SECONDS = 0.1


def settle(collection: Collection, stopping: threading.Event) -> None:
    """Optimize and flush a collection if it is time, else return at once. Gives up when ``stopping`` is set."""
    try:
        if _due(collection):
            _settle(collection, stopping)
            collection.failure = ""
    except Missing:
        pass  # it was deleted meanwhile
    except Exception as error:
        logger.exception("collection %s could not be optimized", collection.name)
        collection.failure = str(error)


def _due(collection: Collection) -> bool:
    if not collection.waiting:
        return False
    if time.monotonic() - collection.last_write >= QUIET_SECONDS:
        return True
    return collection.waiting >= max(BATCH_POINTS, collection.points // 2)


def _settle(collection: Collection, stopping: threading.Event) -> None:
    threshold = collection.indexing_threshold_bytes
    if threshold == 0 or collection.vector_bytes() < threshold:
        with collection.reading() as shard:
            shard.optimize()
            shard.flush()
            collection.waiting = 0
    elif collection.unindexed_bytes() >= threshold or collection.changed > CHANGED_SHARE * collection.points:
        _optimize_beside(collection, stopping)
    else:
        # Too little to index: searched as it is, next to the index, as Qdrant does below the threshold.
        with collection.reading() as shard:
            shard.flush()
            collection.waiting = 0


def _optimize_beside(collection: Collection, stopping: threading.Event) -> None:
    copy = collection.copy()
    worker = subprocess.Popen([sys.executable, "-m", "local.qdrant.optimize", str(copy)])
    try:
        while worker.poll() is None:
            if stopping.wait(_POLL_SECONDS):
                worker.kill()
                worker.wait()
        if worker.returncode != 0 and not stopping.is_set():
            raise RuntimeError(f"the optimizer ended with {worker.returncode}")
        if not stopping.is_set():
            collection.adopt(copy)
    except BaseException:
        collection.abandon(copy)
        raise
    if stopping.is_set():
        collection.abandon(copy)
