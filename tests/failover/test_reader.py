"""Reads from a streaming standby: never older than the caller accepts, and never at the cost of an answer."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.replication import ReaderState, read_replication
from email_sender.adapters.postgres.stale_reads import accept
from email_sender.adapters.web.addresses import host_and_port, probe_addresses
from email_sender.errors import Unavailable
from email_sender.kit.system_clock import new_id
from local.database import DATABASE, TENANTS, prepare
from local.postgres import HOST, Postgres
from local.processes import Supervisor
from tests.failover.database_pair import DatabasePair

pytestmark = [pytest.mark.kills, pytest.mark.timeout(180)]

PASSWORDS = {"app": "app-password", "platform": "platform-password", "backup": "backup-password"}
TENANT = TENANTS[0].id


class Reads:
    """A primary, its standby as the reader, and the database as functions use it."""

    def __init__(self, pair: DatabasePair) -> None:
        self.pair = pair
        self.reader = Database(lambda: self._conninfo(pair.standby), timeout=1)
        self.database = Database(lambda: self._conninfo(pair.primary), reader=self.reader)

    @staticmethod
    def _conninfo(server: Postgres) -> str:
        return (
            f"host={HOST} port={server.port} dbname={DATABASE} user=app password={PASSWORDS['app']} connect_timeout=2"
        )

    def write(self) -> str:
        name = f"template-{new_id()}"
        with self.database.tenant(TENANT) as conn:
            conn.execute(
                "insert into templates (id, tenant_id, name, version) values (%s, %s, %s, 1)", [new_id(), TENANT, name]
            )
            conn.commit()
        return name

    def read(self) -> tuple[bool, set[str]]:
        """Return whether the reader answered, and the names of the templates."""
        with self.database.tenant(TENANT) as conn:
            (row,) = conn.execute("select pg_is_in_recovery() as from_reader").fetchall()
            return row["from_reader"], {row["name"] for row in conn.execute("select name from templates").fetchall()}


@pytest.fixture(scope="module")
def reads() -> Iterator[Reads]:
    with TemporaryDirectory(prefix="email-sender-tests-") as folder, Supervisor() as supervisor:
        pair = DatabasePair(Path(folder), supervisor)
        prepare(pair.primary, PASSWORDS)
        pair.add_standby()
        reads = Reads(pair)
        yield reads
        reads.database.close()
        pair.close()


def on_standby(reads: Reads, statement: str) -> None:
    with psycopg.connect(reads.pair.standby.url(DATABASE), autocommit=True) as conn:
        conn.execute(statement.encode())


def test_a_read_uses_the_reader_only_if_the_caller_accepts_an_age(reads: Reads) -> None:
    name = reads.write()
    assert reads.read() == (False, {name})
    time.sleep(0.5)
    with accept(30) as accepted:
        assert reads.read() == (True, {name})
    assert accepted.read is not None
    assert 0 < accepted.read < 30


def test_a_reader_that_is_too_far_behind_is_passed_over(reads: Reads) -> None:
    reads.write()
    on_standby(reads, "select pg_wal_replay_pause()")
    try:
        time.sleep(1.2)
        name = reads.write()
        with accept(1) as accepted:
            from_reader, names = reads.read()
        assert (from_reader, name in names, accepted.read) == (False, True, None)
        # A caller that waits for its own write to be old enough sees it, or is answered by the primary.
        with accept(60):
            from_reader, names = reads.read()
        assert (from_reader, name in names) == (True, False)
    finally:
        on_standby(reads, "select pg_wal_replay_resume()")


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_reader(reads: Reads) -> None:
    reads.write()
    time.sleep(0.3)
    calls = []

    def fail() -> None:
        with reads.database.tenant(TENANT):
            calls.append(1)
            raise Unavailable("An error of the caller.")

    with accept(30), pytest.raises(Unavailable, match="of the caller"):
        fail()
    assert len(calls) == 1
    # The reader refuses writes, also those that a route of reads makes by mistake.
    with accept(30), pytest.raises(Unavailable, match="accepts no writes"):
        reads.write()
    assert reads.read()[0] is False


def test_the_primary_serves_reads_while_the_reader_is_away(reads: Reads) -> None:
    name = reads.write()
    unreachable = Database(lambda: f"host={HOST} port=1 dbname={DATABASE} connect_timeout=1", timeout=1)
    database = Database(lambda: reads._conninfo(reads.pair.primary), reader=unreachable)
    started = time.monotonic()
    with accept(30), database.tenant(TENANT) as conn:
        names = {row["name"] for row in conn.execute("select name from templates").fetchall()}
    assert name in names
    assert time.monotonic() - started < 10
    database.close()


def test_the_state_of_the_replication_is_read_from_both_servers(reads: Reads) -> None:
    def of_platform(server: Postgres, reader: Database | None = None) -> Database:
        password = PASSWORDS["platform"]
        conninfo = f"host={HOST} port={server.port} dbname={DATABASE} user=platform password={password}"
        return Database(lambda: conninfo, reader=reader)

    standby = of_platform(reads.pair.standby)
    primary = of_platform(reads.pair.primary, standby)
    reads.write()
    time.sleep(0.5)
    state = read_replication(primary)
    assert (state.accepts_writes, state.timeline, state.standbys) == (True, 1, 1)
    assert state.reader == ReaderState(0, 0)
    on_standby(reads, "select pg_wal_replay_pause()")
    try:
        time.sleep(1)
        reads.write()
        behind = read_replication(primary).reader
        assert behind is not None
        assert (behind.behind_bytes > 0, behind.behind_seconds > 1) == (True, True)
    finally:
        on_standby(reads, "select pg_wal_replay_resume()")
    # Right after a failover, the address may lead to a server that does not accept writes yet.
    assert read_replication(standby).accepts_writes is False
    primary.close()


def test_every_address_of_a_name_is_tried() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = int(listener.getsockname()[1])
        assert probe_addresses(HOST, port) == {HOST: True}
        assert host_and_port(f"http://{HOST}:{port}/healthz") == (HOST, port)
    assert probe_addresses(HOST, port) == {HOST: False}
    assert host_and_port("https://q.example/healthz") == ("q.example", 443)
    with pytest.raises(Unavailable, match="has no address"):
        probe_addresses("nobody.invalid", 1)
