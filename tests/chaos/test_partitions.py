"""The network between functions and a store fails under load, and heals. FAULT=30 makes it last 30 seconds.

What must hold: no acknowledged write is lost, a refused one is refused with Unavailable (503), a call ends in time, and
after the network heals, everyone writes again.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.coordination.events import Event
from email_sender.vectors.model import Collection, Distance, Point
from local.postgres import HOST
from tests.chaos.load import Load, under_load
from tests.chaos.proxy import Fault, Proxy
from tests.database import Cluster
from tests.functional.test_engine_resilience import EngineProcess

pytestmark = [pytest.mark.kills, pytest.mark.needs_engine, pytest.mark.timeout(120)]

WRITERS = 4
FAULT_SECONDS = float(os.environ.get("FAULT", "2"))
RECOVERY_SECONDS = 20.0
COLLECTION, SIZE, TENANT = "chaos", 16, UUID(int=1)


def report(store: str, fault: Fault, load: Load, recovery: float) -> None:
    logging.getLogger(__name__).info(
        f"{store}, {fault}: {len(load.acknowledged)} acknowledged, {len(load.refused)} refused, slowest call "
        f"{max(load.seconds):.2f} s, all {WRITERS} writers write again {recovery:.2f} s after it healed"
    )


def survive(proxy: Proxy, fault: Fault, writers: Callable[[], Callable[[UUID], object]]) -> tuple[Load, float]:
    """Return the load, and the seconds after which all writers wrote again."""
    with under_load(writers, WRITERS) as load:
        time.sleep(1)
        proxy.fail(fault)
        time.sleep(FAULT_SECONDS)
        proxy.heal()
        recovery = load.wait_for_all(RECOVERY_SECONDS)
    assert load.unexpected == []
    return load, recovery


@pytest.fixture
def database_proxy(cluster: Cluster) -> Iterator[Proxy]:
    proxy = Proxy(cluster.server.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.SILENT, Fault.SLOW])
def test_the_network_to_the_database_fails(cluster: Cluster, database_proxy: Proxy, fault: Fault) -> None:
    tenant, databases = cluster.new_tenant(), list[Database]()

    def writer() -> Callable[[UUID], object]:
        info = f"{cluster.conninfo('app')} host={HOST} port={database_proxy.port} connect_timeout=2"
        database = Database(lambda: info)
        databases.append(database)
        units = Units(database, None)

        def write(event_id: UUID) -> None:
            data = {"collection": "c", "count": 1}
            with units(tenant) as unit:
                unit.emit(Event(event_id, "vectors.inserted", "vectors", tenant, "c", datetime.now(UTC), data))
                unit.commit()

        return write

    load, recovery = survive(database_proxy, fault, writer)
    for database in databases:
        database.close()
    report("database", fault, load, recovery)
    stored = {row["id"] for row in cluster.query("select id from outbox where tenant_id = %s", tenant)}
    assert load.acknowledged.keys() - stored == set()
    # While the network is silent, a call waits for its answer: until it heals here, and at most for the function's own
    # timeout on AWS. A new connection gives up after two seconds.
    assert max(load.seconds) < FAULT_SECONDS + 6
    assert recovery < RECOVERY_SECONDS


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    process = EngineProcess(tmp_path)
    yield process
    process.kill()


@pytest.fixture
def engine_proxy(engine: EngineProcess) -> Iterator[Proxy]:
    proxy = Proxy(engine.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.SILENT, Fault.SLOW])
def test_the_network_to_the_engine_fails(engine: EngineProcess, engine_proxy: Proxy, fault: Fault) -> None:
    direct = Channel(Address(HOST, engine.port, tls=False))
    QdrantIndex(lambda: direct).prepare(Collection(COLLECTION, SIZE, Distance.COSINE, quantized=False))
    channels: list[Channel] = []

    def writer() -> Callable[[UUID], object]:
        channel = Channel(Address(HOST, engine_proxy.port, tls=False))
        channels.append(channel)
        index = QdrantIndex(lambda: channel)
        return lambda point_id: index.upsert(TENANT, COLLECTION, [Point(point_id, [1.0] * SIZE, {})])

    load, recovery = survive(engine_proxy, fault, writer)
    for channel in channels:
        channel.close()
    report("engine", fault, load, recovery)
    index = QdrantIndex(lambda: direct)
    lost = [point_id for point_id in load.acknowledged if not index.has(TENANT, COLLECTION, point_id)]
    direct.close()
    assert lost == []
    # The deadline of a call is 3 s, and it is repeated once.
    assert max(load.seconds) < 20
    # The circuit breaker lets a call through every 5 s.
    assert recovery < RECOVERY_SECONDS
