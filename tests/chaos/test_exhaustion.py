"""The disk of a store is full, its connections are used up, or a function has no memory left.

What must hold: writes are refused with Unavailable (503) or end with their process, no acknowledged write is lost, and
once there is room again, everyone writes.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import psycopg
import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.coordination.events import Event
from email_sender.errors import Unavailable
from email_sender.kit.system_clock import new_id
from email_sender.vectors.model import Collection, Distance, Point
from local.database import DATABASE, TENANTS, prepare
from local.layout import ROOT
from local.ports import pick_port
from local.postgres import HOST, Postgres
from local.processes import Supervisor
from tests.chaos.load import under_load
from tests.functional.test_engine_resilience import EngineProcess

pytestmark = [pytest.mark.kills, pytest.mark.needs_engine, pytest.mark.timeout(120)]

PASSWORDS = {"app": "app-password", "platform": "platform-password", "backup": "backup-password"}
TENANT = TENANTS[0].id
WRITERS = 4


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 160 MB, which only root can make."""
    with TemporaryDirectory(prefix="email-sender-tests-") as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("Only root can mount a small disk, and not in every container.")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def database_of(server: Postgres) -> Database:
    info = f"host={HOST} port={server.port} dbname={DATABASE} user=app password={PASSWORDS['app']} connect_timeout=2"
    return Database(lambda: info)


def event_writer(server: Postgres, databases: list[Database]) -> Callable[[], Callable[[UUID], None]]:
    def writer() -> Callable[[UUID], None]:
        database = database_of(server)
        databases.append(database)
        units = Units(database, None)

        def write(event_id: UUID) -> None:
            data = {"collection": "c", "count": 1}
            with units(TENANT) as unit:
                unit.emit(Event(event_id, "vectors.inserted", "vectors", TENANT, "c", datetime.now(UTC), data))
                unit.commit()

        return write

    return writer


def stored_events(server: Postgres) -> set[UUID]:
    with psycopg.connect(server.url(DATABASE)) as conn:
        return {row[0] for row in conn.execute("select id from email_sender.outbox").fetchall()}


def fill(disk: Path) -> Path:
    """Use up the disk, and return the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 65_536):
            pass
    return ballast


def test_the_disk_of_the_database_is_full(small_disk: Path) -> None:
    databases: list[Database] = []
    with Supervisor() as supervisor:
        server = Postgres(small_disk / "postgres", pick_port("postgres", 36_400, print))
        server.prepare()
        supervisor.start(server.spec())
        prepare(server, PASSWORDS)
        with under_load(event_writer(server, databases), WRITERS) as load:
            time.sleep(1)
            ballast = fill(small_disk)
            deadline = time.monotonic() + 30
            while not load.refused and time.monotonic() < deadline:
                fill_the_table(server)
            ballast.unlink()
            recovery = load.wait_for_all(30)
        for database in databases:
            database.close()
        logging.getLogger(__name__).info(
            f"full disk: {len(load.acknowledged)} acknowledged, {len(load.refused)} refused, all writers write again "
            f"{recovery:.2f} s after there was room"
        )
        assert load.unexpected == []
        assert load.refused
        assert recovery < 30
        assert load.acknowledged.keys() - stored_events(server) == set()


def fill_the_table(server: Postgres) -> None:
    """Need new pages: small writes fit into those that the table has for a while."""
    with suppress(psycopg.Error), psycopg.connect(server.url(DATABASE), connect_timeout=2) as conn:
        conn.execute("create table if not exists public.ballast (content text)")
        conn.execute("insert into public.ballast select repeat('x', 7000) from generate_series(1, 2000)")


@pytest.fixture
def engine(small_disk: Path) -> Iterator[EngineProcess]:
    process = EngineProcess(small_disk)
    yield process
    process.kill()


def test_the_disk_of_the_engine_is_full(small_disk: Path, engine: EngineProcess) -> None:
    """The engine maps its files into memory: where the disk has no room for a page, its process dies."""
    channel = Channel(Address(HOST, engine.port, tls=False))
    index = QdrantIndex(lambda: channel)
    index.prepare(Collection("chaos", 256, Distance.COSINE, quantized=False))
    acknowledged: list[UUID] = []

    def write() -> bool:
        ids = [new_id() for _ in range(50)]
        try:
            index.upsert(TENANT, "chaos", [Point(point_id, [1.0] * 256, {"text": "x" * 2000}) for point_id in ids])
        except Unavailable:
            return False
        acknowledged.extend(ids)
        return True

    assert write()
    ballast = fill(small_disk)
    deadline = time.monotonic() + 30
    while write() and time.monotonic() < deadline:
        pass
    assert time.monotonic() < deadline
    ballast.unlink()
    started, status = time.monotonic(), engine.exit_status
    # As the supervisor of the local cloud, or the service manager of an instance, does.
    engine.kill()
    engine.start()
    while not write():
        time.sleep(0.1)
    logging.getLogger(__name__).info(
        f"full disk of the engine: it ended with {status}; {len(acknowledged)} points acknowledged, written again "
        f"after {time.monotonic() - started:.2f} s"
    )
    lost = [point_id for point_id in acknowledged if not index.has(TENANT, "chaos", point_id)]
    channel.close()
    assert lost == []


def test_more_functions_than_connections() -> None:
    """Thirty functions share ten connections, of which the server keeps three for itself."""
    databases: list[Database] = []
    with TemporaryDirectory(prefix="email-sender-tests-") as folder, Supervisor() as supervisor:
        server = Postgres(Path(folder) / "postgres", pick_port("postgres", 36_500, print))
        server.prepare()
        spec = server.spec()
        supervisor.start(replace(spec, argv=[*spec.argv, "-c", "max_connections=10"]))
        prepare(server, PASSWORDS)
        with under_load(event_writer(server, databases), 30) as load:
            time.sleep(4)
        for database in databases:
            database.close()
        logging.getLogger(__name__).info(
            f"30 functions on 10 connections: {len(load.acknowledged)} acknowledged, {len(load.refused)} refused, "
            f"slowest call {max(load.seconds):.2f} s"
        )
        assert load.unexpected == []
        assert load.refused
        assert load.acknowledged.keys() - stored_events(server) == set()
        # A function that gets no connection gives up after its pool's timeout.
        assert max(load.seconds) < 20


def test_a_function_without_memory_ends_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A process that may use little memory writes pairs of ever larger workflows, until it cannot."""
    with TemporaryDirectory(prefix="email-sender-tests-") as folder, Supervisor() as supervisor:
        server = Postgres(Path(folder) / "postgres", pick_port("postgres", 36_600, print))
        server.prepare()
        supervisor.start(server.spec())
        prepare(server, PASSWORDS)
        completed = subprocess.run(
            [sys.executable, "-m", "tests.chaos.hungry_writer", str(server.port)], cwd=ROOT, capture_output=True,
            text=True, check=False, timeout=60,
        )  # fmt: skip
        acknowledged = {UUID(line) for line in completed.stdout.split()}
        assert acknowledged, completed.stderr
        assert "MemoryError" in completed.stderr or "out of memory" in completed.stderr.lower(), completed.stderr
        # Each transaction writes two. One without the other would be half a transaction.
        with psycopg.connect(server.url(DATABASE)) as conn:
            stored = {row[0] for row in conn.execute("select id from email_sender.workflows").fetchall()}
        assert stored == acknowledged
