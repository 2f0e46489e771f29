"""One collection: an engine's shard, the lock around it, and what the protocol reports of it.

On disk a collection is a folder. ``collection.json`` holds what the engine does not keep, and names the folder beside
it that is the shard: replacing the file replaces the shard.
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
from google.protobuf.json_format import MessageToDict, ParseDict  # type: ignore[import-untyped]

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.configs import dense_params, engine_config
from local.qdrant.errors import Invalid, Missing
from local.qdrant.files import write_json
from local.qdrant.indexes import engine_schema
from local.qdrant.values import Vector

_FLOAT_BYTES = 4


class Collection:
    """A collection that is open. Every use of the engine goes through ``reading`` or ``write``."""

    def __init__(self, folder: Path) -> None:
        stored = json.loads((folder / "collection.json").read_text())
        self.name = folder.name
        self.config: pb.CollectionConfig = ParseDict(stored["config"], pb.CollectionConfig())
        self.failure = ""
        self._folder = folder
        self._shard_name: str = stored["shard"]
        self._created_at: str = stored["created_at"]
        self._schema = {field: ParseDict(one, pb.PayloadSchemaInfo()) for field, one in stored["schema"].items()}
        for leftover in folder.glob("shard-*"):
            if leftover.name != self._shard_name:
                shutil.rmtree(leftover, ignore_errors=True)
        self._lock = threading.Lock()
        self._open: edge.EdgeShard | None = edge.EdgeShard.load(str(folder / self._shard_name))
        self._operations = 0
        self._copying: list[edge.UpdateOperation] | None = None
        self._read_sizes()
        self.changed = 0
        self.waiting = 1 if self.unindexed_bytes() >= self.indexing_threshold_bytes > 0 else 0
        self.last_write = time.monotonic()

    @staticmethod
    def lay(folder: Path, config: pb.CollectionConfig) -> None:
        """Write a new collection into an empty folder and leave it closed."""
        shard = folder / _shard_name()
        shard.mkdir()
        edge.EdgeShard.create(str(shard), engine_config(config)).close()
        content = {"shard": shard.name, "created_at": datetime.now(UTC).isoformat(), "schema": {}}
        write_json(folder / "collection.json", content | {"config": MessageToDict(config)})

    @contextlib.contextmanager
    def reading(self) -> Iterator[edge.EdgeShard]:
        """The engine, alone. Raises Missing once the collection is closed."""
        with self._lock:
            if self._open is None:
                raise Missing(f"Collection `{self.name}` doesn't exist!")
            yield self._open

    def write(self, operation: edge.UpdateOperation, points: int) -> int:
        """Apply a change of about ``points`` points and return its number. It survives ``kill -9`` from here on."""
        with self.reading() as shard:
            self._apply(shard, operation, points)
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

    def add_index(self, field: str, schema: pb.PayloadSchemaInfo) -> int:
        with self.reading() as shard:
            self._apply(shard, edge.UpdateOperation.create_field_index(field, engine_schema(schema)), 0)
            self._schema[field] = schema
            self._save()
            return self._operations

    def drop_index(self, field: str) -> int:
        with self.reading() as shard:
            self._apply(shard, edge.UpdateOperation.delete_field_index(field), 0)
            self._schema.pop(field, None)
            self._save()
            return self._operations

    def reconfigure(self, config: pb.CollectionConfig) -> None:
        """Apply and keep a new configuration. The engine takes one only when it opens a shard, so it is reopened."""
        wanted = engine_config(config)
        with self.reading() as shard:
            path = str(self._folder / self._shard_name)
            shard.close()
            self._open = None
            try:
                self._open = edge.EdgeShard.load(path, wanted)
            finally:
                if self._open is None:
                    self._open = edge.EdgeShard.load(path)
            self._copying = None  # a copy that is being optimized has the old configuration
            self.config = config
            self.waiting += 1
            self._read_sizes()
            self._save()

    def info(self) -> pb.CollectionInfo:
        """What ``Get`` answers; status is yellow while writes wait for the optimizer, red after it failed."""
        with self.reading() as shard:
            state = shard.info()
            busy = self.waiting or self._copying is not None
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
                # A kill between the engine's write and ours leaves an index without parameters: its type is known.
                known = self._schema.get(field) or pb.PayloadSchemaInfo(
                    data_type=pb.PayloadSchemaType.Value(str(index.data_type).rpartition(".")[2])
                )
                info.payload_schema[field].CopyFrom(known)
                info.payload_schema[field].points = index.points
            return info

    @property
    def indexing_threshold_bytes(self) -> int:
        """Vectors of this size get an index; 0 never."""
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

    def copy(self) -> Path:
        """Copy the shard beside itself. From here on writes are remembered, for ``adopt`` to repeat on the copy."""
        with self.reading() as shard:
            shard.flush()
            target = self._folder / _shard_name()
            shutil.copytree(self._folder / self._shard_name, target)
            self._copying = []
            self.waiting = self.changed = 0
            return target

    def adopt(self, copy: Path) -> None:
        """Serve from an optimized copy from now on. One that a change of configuration overtook is thrown away."""
        optimized = edge.EdgeShard.load(str(copy))
        with self.reading() as shard:
            if self._copying is None:
                optimized.close()
                shutil.rmtree(copy)
                return
            for operation in self._copying:
                _repeat(optimized, operation)
            optimized.flush()
            old = self._folder / self._shard_name
            self._open, self._shard_name, self._copying = optimized, copy.name, None
            self._save()
            shard.close()
            shutil.rmtree(old)

    def abandon(self, copy: Path) -> None:
        """Forget a copy that could not be optimized."""
        with self._lock:
            self._copying = None
            if copy.name != self._shard_name:  # it failed before it took over
                shutil.rmtree(copy, ignore_errors=True)

    def close(self) -> None:
        """Flush and release the shard. A second call does nothing."""
        with self._lock:
            if self._open is not None:
                self._open.flush()
                self._open.close()
                self._open = None

    def _apply(self, shard: edge.EdgeShard, operation: edge.UpdateOperation, points: int) -> None:
        try:
            shard.update(operation)
        finally:  # a refused operation may have changed some points before it came to the bad one
            self._operations += 1
            self.waiting += max(1, points)
            self.changed += points
            self.last_write = time.monotonic()
            if self._copying is not None:
                self._copying.append(operation)

    def _read_sizes(self) -> None:
        self._sizes = {name: int(params.size) for name, params in dense_params(self.config).items()}
        self._sparse = frozenset(self.config.params.sparse_vectors_config.map)
        self._point_bytes = sum(self._sizes.values()) * _FLOAT_BYTES

    def _save(self) -> None:
        content = {
            "shard": self._shard_name,
            "created_at": self._created_at,
            "schema": {field: MessageToDict(one) for field, one in self._schema.items()},
            "config": MessageToDict(self.config),
        }
        write_json(self._folder / "collection.json", content)


def _shard_name() -> str:
    return f"shard-{secrets.token_hex(4)}"


def _repeat(shard: edge.EdgeShard, operation: edge.UpdateOperation) -> None:
    # What was refused the first time is refused again, after the same partial change.
    with contextlib.suppress(Exception):
        shard.update(operation)
