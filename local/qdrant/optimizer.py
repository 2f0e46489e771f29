"""Optimize collections: after a pause in the writes, or once too many writes wait.

A small collection is optimized in place, in milliseconds. Once its vectors need an index, another process optimizes a
copy while the collection keeps serving requests; then the copy replaces it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time

from local.qdrant.collection import Collection
from local.qdrant.errors import NotFound

logger = logging.getLogger("local.qdrant")

QUIET_SECONDS = 0.5
"""A collection is optimized after a pause of this length in its writes."""

BATCH_POINTS = 20_000
"""Without such a pause, it is optimized once this many points, or half of the collection, wait."""

CHANGED_SHARE = 0.2
"""An index is rebuilt once this share of its points has been written or deleted, as Qdrant's vacuum does."""

_POLL_SECONDS = 0.1


def optimize_if_due(collection: Collection, stopping: threading.Event) -> None:
    """Optimize and flush a collection if that is due, else return at once. Stops early once ``stopping`` is set."""
    try:
        if _is_due(collection):
            _optimize(collection, stopping)
            collection.failure = ""
    except NotFound:
        pass  # the collection has been deleted
    except Exception as error:
        logger.exception("collection %s could not be optimized", collection.name)
        collection.failure = str(error)


def _is_due(collection: Collection) -> bool:
    if not collection.waiting_changes:
        return False
    if time.monotonic() - collection.last_write >= QUIET_SECONDS:
        return True
    return collection.waiting_changes >= max(BATCH_POINTS, collection.points // 2)


def _optimize(collection: Collection, stopping: threading.Event) -> None:
    threshold = collection.indexing_threshold_bytes
    if threshold == 0 or collection.vector_bytes() < threshold:
        with collection.reading() as shard:
            shard.optimize()
            shard.flush()
            collection.waiting_changes = 0
    elif collection.unindexed_bytes() >= threshold or collection.changed_points > CHANGED_SHARE * collection.points:
        _optimize_copy(collection, stopping)
    else:
        # Too few changes for an index: they are searched without one, as Qdrant does below the threshold.
        with collection.reading() as shard:
            shard.flush()
            collection.waiting_changes = 0


def _optimize_copy(collection: Collection, stopping: threading.Event) -> None:
    copy = collection.copy_shard()
    worker = subprocess.Popen([sys.executable, "-m", "local.qdrant.optimizer_process", str(copy)])
    try:
        while worker.poll() is None:
            if stopping.wait(_POLL_SECONDS):
                worker.kill()
                worker.wait()
        if worker.returncode != 0 and not stopping.is_set():
            raise RuntimeError(f"The optimizer process ended with status {worker.returncode}.")
        if not stopping.is_set():
            collection.switch_to_copy(copy)
    except BaseException:
        collection.discard_copy(copy)
        raise
    if stopping.is_set():
        collection.discard_copy(copy)
