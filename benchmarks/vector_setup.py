"""The setup of the vector benchmarks: the local engine, PostgreSQL, and the function, called as Lambda calls it."""

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from qdrant_client import QdrantClient, models

from email_sender.adapters.memory_cache import MemoryResultCache
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.served_collections import PostgresServedCollectionStore, PostgresWriteLock
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.postgres.vector_cache import PostgresVersions
from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.kit.resources import manager_gate
from email_sender.kit.system_clock import new_id, now
from email_sender.kit.telemetry import count_cache_lookups
from email_sender.vectors.cache import CachedSearch, Embeddings
from email_sender.vectors.model import Collection, Distance
from email_sender.vectors.served_collections import CollectionCatalogue, LockingWriter
from email_sender.vectors.service import VectorService
from local.database import DATABASE, TENANTS, prepare
from local.ports import pick_port
from local.postgres import HOST, Postgres
from local.processes import Spec, Supervisor

TENANT = TENANTS[0].id

COLLECTIONS = {
    collection.name: collection
    for collection in (
        Collection("inserted", 1536, Distance.COSINE, quantized=False),
        Collection("searched", 768, Distance.EUCLID, quantized=True),
        Collection("bulk", 768, Distance.EUCLID, quantized=True),
        Collection("resting", 1536, Distance.COSINE, quantized=False, segments=2),
    )
}


class Context:
    function_name = "bench"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"
    aws_request_id = "bench"


@dataclass
class VectorBench:
    raw_client: QdrantClient
    index: QdrantIndex
    writer: LockingWriter
    database: Database
    engine_pid: int

    def recreate(self, collection: Collection) -> None:
        """Delete the collection and create it again, empty."""
        self.raw_client.delete_collection(f"{collection.name}-1")
        self.index.prepare(collection)

    def wait_until_indexed(self, collection: Collection) -> None:
        """Wait until the engine has built its index."""
        deadline = time.monotonic() + 600
        while self.raw_client.get_collection(collection.name).status != models.CollectionStatus.GREEN:
            if time.monotonic() > deadline:
                raise TimeoutError("The engine did not finish its index within 600 s.")
            time.sleep(0.5)

    def resident_mb(self) -> float:
        for line in Path(f"/proc/{self.engine_pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1000
        raise RuntimeError("/proc does not show the memory of the engine's process.")

    def call(self, path: str, body: bytes, tenant: UUID = TENANT) -> dict[str, Any]:
        """Send a POST request to the whole handler and return the JSON response. Logs and metrics are discarded."""
        from vectors_lambda.http.handler import handler

        with discard_output():
            response = handler(_event(path, body.decode(), tenant), Context())
        if response["statusCode"] != 200:
            raise RuntimeError(response["body"])
        return dict(json.loads(response["body"]))


@contextmanager
def discard_output() -> Iterator[None]:
    """Discard what a handler prints: its logs and metrics."""
    with redirect_stdout(_open_devnull()):
        yield


@cache
def _open_devnull() -> TextIO:
    """Return a file that stays open, because threads share the redirection."""
    return Path(os.devnull).open("w")


@contextmanager
def vector_bench(scratch: Path, *more: Collection) -> Iterator[VectorBench]:
    """Yield the running parts with COLLECTIONS and `more` collections."""
    collections = {**COLLECTIONS, **{collection.name: collection for collection in more}}
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
    # Without a table of limits, there are none.
    os.environ.setdefault("STAGE", "bench")
    grpc_port, http_port = pick_port("grpc", 29334, print), pick_port("http", 29433, print)
    argv = [sys.executable, "-m", "local.qdrant", "--data", str(scratch / "qdrant")]
    argv += ["--grpc-port", str(grpc_port), "--http-port", str(http_port)]
    server = Postgres(scratch / "postgres", pick_port("postgres", 29532, print))
    server.prepare()
    password = secrets.token_urlsafe(16)
    with Supervisor() as supervisor:
        engine = supervisor.start(Spec("qdrant", argv, scratch / "log", environment=dict(os.environ)))
        supervisor.start(server.spec())
        prepare(server, {"app": password, "platform": secrets.token_urlsafe(16)})
        database = Database(
            lambda: f"host={HOST} port={server.port} dbname={DATABASE} user=app password={password}", size=2
        )
        raw_client = QdrantClient(
            host=HOST, grpc_port=grpc_port, prefer_grpc=True, check_compatibility=False, timeout=60
        )
        channel = Channel(Address(HOST, grpc_port, tls=False))
        index = QdrantIndex(lambda: channel)
        for collection in collections.values():
            index.prepare(collection)
        writer = LockingWriter(
            index,
            PostgresWriteLock(database, lambda: None),
            CollectionCatalogue(collections, PostgresServedCollectionStore(lambda: database, PLATFORM_TENANT)),
        )
        _serve(writer, index, database)
        yield VectorBench(raw_client, index, writer, database, engine.process.pid)
        raw_client.close()
        channel.close()
        database.close()


def _serve(writer: LockingWriter, index: QdrantIndex, database: Database) -> None:
    """Make the deployed app use these parts. Events go to the outbox; there is no bus."""
    import vectors_lambda.bootstrap.core

    search = CachedSearch(
        index, MemoryResultCache(64 * 1024 * 1024, 60.0), PostgresVersions(database), count_cache_lookups
    )
    service = VectorService(writer, index, search, Embeddings({}), COLLECTIONS, Units(database, None), now, new_id)
    # Replaced before the routes are imported, because they read it from the bootstrap module.
    vectors_lambda.bootstrap.core.vector_service = lambda: service
    gate = manager_gate(database)
    vars(vectors_lambda.bootstrap.core)["gate"] = lambda: gate


def _event(path: str, body: str, tenant: UUID) -> dict[str, Any]:
    claims = {"sub": "s", "token_use": "access", "exp": "4102444800", "role": "admin", "tenant_id": str(tenant)}
    http = {"method": "POST", "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1", "userAgent": "b"}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": http, "requestId": "r", "stage": "$default", "authorizer": {"jwt": {"claims": claims}},
        },
        "body": body,
        "isBase64Encoded": False,
    }  # fmt: skip
