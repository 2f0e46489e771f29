"""One collection: an engine's shard, the lock around it, and when it optimizes.

On disk a collection is a folder: ``shard/`` is the engine's, ``collection.json`` holds what the protocol reports and
the engine does not keep.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from google.protobuf.json_format import MessageToDict, ParseDict  # type: ignore[import-untyped]

from local.qdrant.configs import dense_params, engine_config
from local.qdrant.errors import Invalid, Missing
from local.qdrant.indexes import engine_schema
from local.qdrant.values import Vector
from local.qdrant.wire import pb

logger = logging.getLogger("local.qdrant")

QUIET_SECONDS = 0.5
"""Writes that pause this long are over: time to build the index."""

BATCH_POINTS = 20_000
"""Writes that never pause are optimized once this many points, or half of the collection, wait for it."""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file at once: a reader, or a start after a kill, sees the old content or the new."""
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, as ``fsync`` does for a file's content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Collection:
    """A collection that is open. Every use of the engine goes through ``reading`` or ``writing``."""

    def __init__(self, folder: Path) -> None:
        stored = json.loads((folder / "collection.json").read_text())
        self.name = folder.name
        self.config: pb.CollectionConfig = ParseDict(stored["config"], pb.CollectionConfig())
        self._schema = {field: ParseDict(one, pb.PayloadSchemaInfo()) for field, one in stored["schema"].items()}
        self._created_at: str = stored["created_at"]
        self._folder = folder
        self._lock = threading.Lock()
        self._open: edge.EdgeShard | None = edge.EdgeShard.load(str(folder / "shard"))
        self._operations = 0
        self._waiting = 0
        self._settled = self._open.info().points_count
        self._last_write = time.monotonic()
        self._failure = ""
        self._read_sizes()

    @staticmethod
    def lay(folder: Path, config: pb.CollectionConfig) -> None:
        """Write a new collection into an empty folder and leave it closed."""
        (folder / "shard").mkdir()
        edge.EdgeShard.create(str(folder / "shard"), engine_config(config)).close()
        content = {"created_at": datetime.now(UTC).isoformat(), "config": MessageToDict(config), "schema": {}}
        write_json(folder / "collection.json", content)

    @contextmanager
    def reading(self) -> Iterator[edge.EdgeShard]:
        """The engine, alone. Raises Missing once the collection is closed."""
        with self._lock:
            if self._open is None:
                raise Missing(f"Collection `{self.name}` doesn't exist!")
            yield self._open

    @contextmanager
    def writing(self, points: int) -> Iterator[edge.EdgeShard]:
        """The engine, alone, for a change of about ``points`` points, which the next optimization will look at."""
        with self.reading() as shard:
            try:
                yield shard
            finally:
                self._operations += 1
                self._waiting += max(1, points)
                self._last_write = time.monotonic()

    @property
    def operations(self) -> int:
        """Writes since the process started: the protocol's operation id."""
        return self._operations

    def checked(self, vectors: dict[str, Vector]) -> dict[str, Vector]:
        """Vectors that fit the collection. Raises Invalid for an unknown name or a wrong size.

        The engine checks too, but only when it comes to the point: those before it in the batch would be stored.
        """
        for name, vector in vectors.items():
            if isinstance(vector, edge.SparseVector):
                if name not in self._sparse:
                    raise Invalid(f"Not existing vector name error: {name}")
                continue
            if name not in self._sizes:
                raise Invalid(f"Not existing vector name error: {name}")
            for row in vector if vector and isinstance(vector[0], list) else [vector]:
                if len(row) != self._sizes[name]:
                    raise Invalid(f"Vector dimension error: expected dim: {self._sizes[name]}, got {len(row)}")
        return vectors

    def add_index(self, field: str, schema: pb.PayloadSchemaInfo) -> None:
        with self.writing(0) as shard:
            shard.update(edge.UpdateOperation.create_field_index(field, engine_schema(schema)))
            self._schema[field] = schema
            self._save()

    def drop_index(self, field: str) -> None:
        with self.writing(0) as shard:
            shard.update(edge.UpdateOperation.delete_field_index(field))
            self._schema.pop(field, None)
            self._save()

    def reconfigure(self, config: pb.CollectionConfig) -> None:
        """Apply and keep a new configuration. The engine takes one only when it opens a shard, so it is reopened."""
        wanted = engine_config(config)
        with self.writing(0) as shard:
            shard.close()
            try:
                self._open = edge.EdgeShard.load(str(self._folder / "shard"), wanted)
            except Exception:
                self._open = edge.EdgeShard.load(str(self._folder / "shard"))
                raise
            self.config = config
            self._read_sizes()
            self._save()

    def info(self) -> pb.CollectionInfo:
        """What ``Get`` answers; status is yellow while writes wait for the optimizer, red after it failed."""
        with self.reading() as shard:
            state = shard.info()
            status = pb.CollectionStatus.Yellow if self._waiting else pb.CollectionStatus.Green
            info = pb.CollectionInfo(
                status=pb.CollectionStatus.Red if self._failure else status,
                optimizer_status=pb.OptimizerStatus(ok=not self._failure, error=self._failure),
                segments_count=state.segments_count,
                points_count=state.points_count,
                indexed_vectors_count=state.indexed_vectors_count,
                config=self.config,
                update_queue=pb.UpdateQueueInfo(length=0),
            )
            info.created_at.FromDatetime(datetime.fromisoformat(self._created_at))
            for field, index in state.payload_schema.items():
                # A kill between the engine's write and ours leaves an index without parameters: its type is known.
                known = self._schema.get(field) or pb.PayloadSchemaInfo(
                    data_type=pb.PayloadSchemaType.Value(str(index.data_type).rpartition(".")[2])
                )
                info.payload_schema[field].CopyFrom(known)
                info.payload_schema[field].points = index.points
            return info

    def settle(self) -> None:
        """Optimize and flush if writes have gone quiet or have piled up; otherwise return at once."""
        quiet = time.monotonic() - self._last_write >= QUIET_SECONDS
        if not self._waiting or not (quiet or self._waiting >= max(BATCH_POINTS, self._settled // 2)):
            return
        with self._lock:
            if self._open is None:
                return
            try:
                self._open.optimize()
                self._open.flush()
                self._failure = ""
            except Exception as error:
                logger.exception("collection %s could not be optimized", self.name)
                self._failure = str(error)
            self._waiting = 0
            self._settled = self._open.info().points_count

    def close(self) -> None:
        """Flush and release the shard. A second call does nothing."""
        with self._lock:
            if self._open is not None:
                self._open.flush()
                self._open.close()
                self._open = None

    def _read_sizes(self) -> None:
        self._sizes = {name: int(params.size) for name, params in dense_params(self.config).items()}
        self._sparse = frozenset(self.config.params.sparse_vectors_config.map)

    def _save(self) -> None:
        content = {
            "created_at": self._created_at,
            "config": MessageToDict(self.config),
            "schema": {field: MessageToDict(one) for field, one in self._schema.items()},
        }
        write_json(self._folder / "collection.json", content)
