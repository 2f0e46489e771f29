"""One collection: a shard of the engine, its lock, and the information that the protocol reports about it.

On disk a collection is a folder. ``collection.json`` holds what the engine does not store, and the name of the shard's
folder next to it. Replacing the file replaces the shard.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import qdrant_edge as edge
from google.protobuf.json_format import MessageToDict, ParseDict

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.atomic_files import write_json
from local.qdrant.configs import dense_params, engine_config
from local.qdrant.errors import InvalidArgument, NotFound
from local.qdrant.indexes import engine_schema
from local.qdrant.values import Vector

_FLOAT_BYTES = 4


class Collection:
    """An open collection. Every use of the engine goes through ``reading`` or ``write``."""

    def __init__(self, folder: Path) -> None:
        content = json.loads((folder / "collection.json").read_text())
        self.name = folder.name
        self.config: pb.CollectionConfig = ParseDict(content["config"], pb.CollectionConfig())
        self.failure = ""
        self._folder = folder
        self._shard_name: str = content["shard"]
        self._created_at: str = content["created_at"]
        self._schema = {field: ParseDict(info, pb.PayloadSchemaInfo()) for field, info in content["schema"].items()}
        for leftover in folder.glob("shard-*"):
            if leftover.name != self._shard_name:
                shutil.rmtree(leftover, ignore_errors=True)
        self._lock = threading.Lock()
        self._shard: edge.EdgeShard | None = edge.EdgeShard.load(str(folder / self._shard_name))
        self._operation_count = 0
        self._operations_since_copy: list[edge.UpdateOperation] | None = None
        self._read_sizes()
        self.changed_points = 0
        self.waiting_changes = 1 if self.unindexed_bytes() >= self.indexing_threshold_bytes > 0 else 0
        self.last_write = time.monotonic()

    @staticmethod
    def initialize(folder: Path, config: pb.CollectionConfig) -> None:
        """Write a new collection into an empty folder, without opening it."""
        shard = folder / _shard_name()
        shard.mkdir()
        edge.EdgeShard.create(str(shard), engine_config(config)).close()
        content = {"shard": shard.name, "created_at": datetime.now(UTC).isoformat(), "schema": {}}
        write_json(folder / "collection.json", content | {"config": MessageToDict(config)})

    @contextlib.contextmanager
    def reading(self) -> Iterator[edge.EdgeShard]:
        """Lock the engine and yield it. Raises NotFound once the collection is closed."""
        with self._lock:
            if self._shard is None:
                raise NotFound(f"Collection `{self.name}` doesn't exist!")
            yield self._shard

    def write(self, operation: edge.UpdateOperation, points: int) -> int:
        """Apply a change of about ``points`` points and return its operation number. It then survives ``kill -9``."""
        with self.reading() as shard:
            self._apply(shard, operation, points)
            return self._operation_count

    def check_vectors(self, vectors: dict[str, Vector]) -> dict[str, Vector]:
        """Return the vectors if they fit the collection. Raises InvalidArgument for an unknown name or a wrong size.

        The engine also checks, but point by point: the valid points before an invalid one would already be stored.
        """
        for name, vector in vectors.items():
            if isinstance(vector, edge.SparseVector):
                if name not in self._sparse:
                    raise InvalidArgument(f"Not existing vector name error: {name}")
                continue
            if name not in self._sizes:
                raise InvalidArgument(f"Not existing vector name error: {name}")
            for row in vector if vector and isinstance(vector[0], list) else [vector]:
                if len(row) != self._sizes[name]:
                    raise InvalidArgument(f"Vector dimension error: expected dim: {self._sizes[name]}, got {len(row)}")
        return vectors

    def add_index(self, field: str, schema: pb.PayloadSchemaInfo) -> int:
        """Create a payload index and return the operation number."""
        with self.reading() as shard:
            self._apply(shard, edge.UpdateOperation.create_field_index(field, engine_schema(schema)), 0)
            self._schema[field] = schema
            self._save()
            return self._operation_count

    def drop_index(self, field: str) -> int:
        """Delete a payload index and return the operation number."""
        with self.reading() as shard:
            self._apply(shard, edge.UpdateOperation.delete_field_index(field), 0)
            self._schema.pop(field, None)
            self._save()
            return self._operation_count

    def reconfigure(self, config: pb.CollectionConfig) -> None:
        """Apply and store a new configuration. The engine reads it when it opens a shard, so that is reopened."""
        new_config = engine_config(config)
        with self.reading() as shard:
            path = str(self._folder / self._shard_name)
            shard.close()
            self._shard = None
            try:
                self._shard = edge.EdgeShard.load(path, new_config)
            finally:
                if self._shard is None:
                    self._shard = edge.EdgeShard.load(path)
            self._operations_since_copy = None  # a copy that is being optimized has the old configuration
            self.config = config
            self.waiting_changes += 1
            self._read_sizes()
            self._save()

    def info(self) -> pb.CollectionInfo:
        """Return what ``Get`` reports. The status is yellow while writes wait for the optimizer, red if it failed."""
        with self.reading() as shard:
            state = shard.info()
            busy = self.waiting_changes or self._operations_since_copy is not None
            status = pb.CollectionStatus.Yellow if busy else pb.CollectionStatus.Green
            info = pb.CollectionInfo(
                status=pb.CollectionStatus.Red if self.failure else status,
                optimizer_status=pb.OptimizerStatus(ok=not self.failure, error=self.failure),
                segments_count=state.segments_count,
                points_count=state.points_count,
                indexed_vectors_count=state.indexed_vectors_count,
                config=self.config,
                update_queue=pb.UpdateQueueInfo(length=0),
            )
            info.created_at.FromDatetime(datetime.fromisoformat(self._created_at))
            for field, index in state.payload_schema.items():
                # A kill between the engine's write and ours leaves an index without parameters; only its type is known.
                schema = self._schema.get(field) or pb.PayloadSchemaInfo(
                    data_type=pb.PayloadSchemaType.Value(str(index.data_type).rpartition(".")[2])
                )
                info.payload_schema[field].CopyFrom(schema)
                info.payload_schema[field].points = index.points
            return info

    @property
    def indexing_threshold_bytes(self) -> int:
        """Vectors get an index once they have this size in bytes; 0 means never."""
        return int(self.config.optimizer_config.indexing_threshold) * 1024

    @property
    def points(self) -> int:
        with self.reading() as shard:
            return int(shard.info().points_count)

    def vector_bytes(self) -> int:
        return self.points * self._point_bytes

    def unindexed_bytes(self) -> int:
        with self.reading() as shard:
            state = shard.info()
        indexed = state.indexed_vectors_count // max(1, len(self._sizes))
        return max(0, state.points_count - indexed) * self._point_bytes

    def copy_shard(self) -> Path:
        """Copy the shard and return the copy's path. ``switch_to_copy`` repeats the writes from here on."""
        with self.reading() as shard:
            shard.flush()
            target = self._folder / _shard_name()
            shutil.copytree(self._folder / self._shard_name, target)
            self._operations_since_copy = []
            self.waiting_changes = self.changed_points = 0
            return target

    def switch_to_copy(self, copy: Path) -> None:
        """Replace the shard by an optimized copy. A copy that has an outdated configuration is deleted instead."""
        optimized = edge.EdgeShard.load(str(copy))
        with self.reading() as shard:
            if self._operations_since_copy is None:
                optimized.close()
                shutil.rmtree(copy)
                return
            for operation in self._operations_since_copy:
                _replay(optimized, operation)
            optimized.flush()
            old_shard_path = self._folder / self._shard_name
            self._shard, self._shard_name, self._operations_since_copy = optimized, copy.name, None
            self._save()
            shard.close()
            shutil.rmtree(old_shard_path)

    def discard_copy(self, copy: Path) -> None:
        """Delete a copy that could not be optimized."""
        with self._lock:
            self._operations_since_copy = None
            if copy.name != self._shard_name:  # the copy is not the active shard
                shutil.rmtree(copy, ignore_errors=True)

    def close(self) -> None:
        """Flush and release the shard. A second call does nothing."""
        with self._lock:
            if self._shard is not None:
                self._shard.flush()
                self._shard.close()
                self._shard = None

    def _apply(self, shard: edge.EdgeShard, operation: edge.UpdateOperation, points: int) -> None:
        try:
            shard.update(operation)
        finally:  # a rejected operation may have changed points before the invalid one
            self._operation_count += 1
            self.waiting_changes += max(1, points)
            self.changed_points += points
            self.last_write = time.monotonic()
            if self._operations_since_copy is not None:
                self._operations_since_copy.append(operation)

    def _read_sizes(self) -> None:
        self._sizes = {name: int(params.size) for name, params in dense_params(self.config).items()}
        self._sparse = frozenset(self.config.params.sparse_vectors_config.map)
        self._point_bytes = sum(self._sizes.values()) * _FLOAT_BYTES

    def _save(self) -> None:
        content = {
            "shard": self._shard_name,
            "created_at": self._created_at,
            "schema": {field: MessageToDict(info) for field, info in self._schema.items()},
            "config": MessageToDict(self.config),
        }
        write_json(self._folder / "collection.json", content)


def _shard_name() -> str:
    return f"shard-{secrets.token_hex(4)}"


def _replay(shard: edge.EdgeShard, operation: edge.UpdateOperation) -> None:
    # An operation that was rejected the first time is rejected again, after the same partial change.
    with contextlib.suppress(Exception):
        shard.update(operation)
