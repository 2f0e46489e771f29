"""What vectors run on in a bench: the local engine, PostgreSQL, and the function itself, called as Lambda calls it."""

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from qdrant_client import QdrantClient, models

from email_sender.adapters.memory_cache import MemoryResults
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.serving import PostgresGate, PostgresServed
from email_sender.adapters.postgres.unit import Units
from email_sender.adapters.postgres.vector_cache import PostgresVersions
from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.index import QdrantIndex
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.kit.ambient import new_id, now
from email_sender.kit.gate import gate_of
from email_sender.kit.telemetry import cache_lookups
from email_sender.vectors.caching import CachedIndex, Embeddings
from email_sender.vectors.model import Collection, Distance
from email_sender.vectors.service import VectorService
from email_sender.vectors.serving import GatedIndex, ServedCollections
from local.database import DATABASE, TENANTS, prepare
from local.ports import pick
from local.postgres import HOST, Postgres
from local.processes import Spec, Supervisor

TENANT = TENANTS[0].id

COLLECTIONS = {
    each.name: each
    for each in (
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
class Stage:
    raw: QdrantClient
    index: QdrantIndex
    gated: GatedIndex
    database: Database
    engine_pid: int

    def empty(self, collection: Collection) -> None:
        """Made anew, with nothing in it."""
        self.raw.delete_collection(f"{collection.name}-1")
        self.index.prepare(collection)

    def settle(self, collection: Collection) -> None:
        """Until the engine has made its index."""
        deadline = time.monotonic() + 600
        while self.raw.get_collection(collection.name).status != models.CollectionStatus.GREEN:
            if time.monotonic() > deadline:
                raise TimeoutError("the engine did not finish its index in ten minutes")
            time.sleep(0.5)

    def resident_mb(self) -> float:
        for line in Path(f"/proc/{self.engine_pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1000
        raise RuntimeError("the system does not say how much memory a process has")

    def call(self, path: str, body: bytes, tenant: UUID = TENANT) -> dict[str, Any]:
        """The whole handler: event in, answer out. Its log and metrics lines go nowhere."""
        from vectors.handler import handler

        with silence():
            answer = handler(_event(path, body.decode(), tenant), Context())
        if answer["statusCode"] != 200:
            raise RuntimeError(answer["body"])
        return dict(json.loads(answer["body"]))


@contextmanager
def silence() -> Iterator[None]:
    """What a handler prints, its logs and metrics, goes nowhere."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def stage(scratch: Path) -> Iterator[Stage]:
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
    grpc, http = pick("grpc", 36334, print), pick("http", 36333, print)
    argv = [sys.executable, "-m", "local.qdrant", "--data", str(scratch / "qdrant")]
    argv += ["--grpc-port", str(grpc), "--http-port", str(http)]
    server = Postgres(scratch / "postgres", pick("postgres", 35432, print))
    server.prepare()
    password = secrets.token_urlsafe(16)
    with Supervisor() as supervisor:
        engine = supervisor.start(Spec("qdrant", argv, scratch / "log", environment=dict(os.environ)))
        supervisor.start(server.spec())
        prepare(server, {"app": password, "platform": secrets.token_urlsafe(16)})
        database = Database(
            lambda: f"host={HOST} port={server.port} dbname={DATABASE} user=app password={password}", size=2
        )
        raw = QdrantClient(host=HOST, grpc_port=grpc, prefer_grpc=True, check_compatibility=False, timeout=60)
        channel = Channel(Address(HOST, grpc, tls=False))
        index = QdrantIndex(lambda: channel)
        for each in COLLECTIONS.values():
            index.prepare(each)
        gated = GatedIndex(
            index,
            PostgresGate(database, lambda: None),
            ServedCollections(COLLECTIONS, PostgresServed(lambda: database, PLATFORM_TENANT)),
        )
        _serve(gated, database)
        yield Stage(raw, index, gated, database, engine.process.pid)
        raw.close()
        channel.close()
        database.close()


def _serve(index: GatedIndex, database: Database) -> None:
    """The deployed app, on these parts. Events go to the outbox; the bus is AWS's and is left out."""
    import vectors.bootstrap

    cached = CachedIndex(index, MemoryResults(64 * 1024 * 1024, 60.0), PostgresVersions(database), cache_lookups)
    service = VectorService(cached, Embeddings({}), COLLECTIONS, Units(database, None), now, new_id)
    # Before the routes are imported, which take it from there.
    vectors.bootstrap.vector_service = lambda: service
    gate = gate_of(database)
    vars(vectors.bootstrap)["gate"] = lambda: gate


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
