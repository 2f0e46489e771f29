"""Fixtures: the vector index in memory, on the local engine over gRPC, and on the server that QDRANT_URL names; and the
messaging stores in memory and on PostgreSQL."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.messaging.ports import MessagingUnits
from email_sender.vectors.model import Collection, Distance
from local.ports import pick_port
from local.processes import Spec, Supervisor
from tests.contract.messaging import Backend, InMemoryBackend, PostgresBackend
from tests.database import Cluster
from tests.fakes.qdrant_memory import MemoryChannel

SIZE = 8

_SERVER = os.environ.get("QDRANT_URL", "")


@pytest.fixture(scope="module", params=["memory", "engine", *(["server"] if _SERVER else [])])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantIndex]:
    if request.param == "memory":
        memory = MemoryChannel()
        yield QdrantIndex(lambda: memory)  # type: ignore[arg-type, return-value]  # the same calls
        memory.close()
    elif request.param == "engine":
        yield from _engine(tmp_path_factory.mktemp("engine"))
    else:
        parts = urlsplit(_SERVER)
        channel = Channel(Address(parts.hostname or "", parts.port or 6334, tls=parts.scheme == "https"))
        yield QdrantIndex(lambda: channel)
        channel.close()


def _engine(folder: Path) -> Iterator[QdrantIndex]:
    grpc, http = pick_port("grpc", 32034, print), pick_port("http", 32133, print)
    argv = [sys.executable, "-m", "local.qdrant", "--data", str(folder / "data")]
    argv += ["--grpc-port", str(grpc), "--http-port", str(http)]
    with Supervisor() as supervisor:
        supervisor.start(Spec("qdrant", argv, folder / "log", environment=dict(os.environ)))
        channel = Channel(Address("127.0.0.1", grpc, tls=False))
        yield QdrantIndex(lambda: channel)
        channel.close()


@pytest.fixture
def collection(index: QdrantIndex) -> Collection:
    new_collection = Collection(
        f"c{uuid4().hex}", SIZE, Distance.COSINE, quantized=False, lexical=True, model="m",
        payload_indexes={"contact": "keyword", "sent_at": "datetime"},
    )  # fmt: skip
    assert index.prepare(new_collection)
    return new_collection


@pytest.fixture(params=["fake", "postgresql"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "fake":
        return InMemoryBackend()
    cluster: Cluster = request.getfixturevalue("cluster")
    return PostgresBackend(cluster, request.getfixturevalue("app_role"))


@pytest.fixture
def units(backend: Backend) -> MessagingUnits:
    return backend.units


@pytest.fixture
def tenant_id(backend: Backend) -> UUID:
    return backend.create_tenant()
