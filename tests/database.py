"""A real PostgreSQL for tests: one migrated cluster per session, whose roles can sign in. Loaded as a pytest plugin."""

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from email_sender.adapters.aws.key_wrappers import FileKeyWrapper
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.vault import PostgresVault
from email_sender.kit.system_clock import new_id
from local.database import DATABASE, prepare
from local.ports import pick_port
from local.postgres import HOST, Postgres
from local.processes import Supervisor

# Not used by any local cloud that tests start.
_FIRST_PORT = 27432
MAIL_FROM = "Acme Support <support@acme.example>"


@dataclass(frozen=True)
class Cluster:
    server: Postgres
    passwords: dict[str, str]
    key_file: Path
    _databases: dict[tuple[str, int], Database] = field(default_factory=dict)
    _owners: list[Connection[DictRow]] = field(default_factory=list)

    def conninfo(self, role: str) -> str:
        return make_conninfo(
            host=HOST, port=self.server.port, dbname=DATABASE, user=role, password=self.passwords[role]
        )

    def database(self, role: str, size: int = 4) -> Database:
        """Return the role's connection pool, which is created on first use and closed with the cluster."""
        return self._databases.setdefault((role, size), Database(lambda: self.conninfo(role), size=size))

    def close(self) -> None:
        for database in self._databases.values():
            database.close()
        for connection in self._owners:
            connection.close()

    def connect_as_owner(self, database: str = DATABASE) -> Connection[DictRow]:
        """Connect as the superuser, without row-level security and with autocommit."""
        return psycopg.connect(
            self.server.url(database),
            autocommit=True,
            row_factory=dict_row,
            options="-c search_path=email_sender,public",
        )

    def query(self, query: str, *values: object) -> list[DictRow]:
        return self._owner().execute(query, list(values)).fetchall()

    def execute(self, query: str, *values: object) -> None:
        self._owner().execute(query, list(values))

    def _owner(self) -> Connection[DictRow]:
        """Return one connection for all statements: opening one takes longer than most of them."""
        if not self._owners or self._owners[-1].closed:
            self._owners.append(self.connect_as_owner())
        return self._owners[-1]

    def new_tenant(self, mail_from: str | None = MAIL_FROM) -> UUID:
        tenant = new_id()
        self.execute("insert into tenants (id, name, mail_from) values (%s, %s, %s)", tenant, f"t-{tenant}", mail_from)
        return tenant

    def vault(self, database: Database) -> PostgresVault:
        return PostgresVault(database, FileKeyWrapper(self.key_file))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    # Not below pytest's own folder: every pytest process removes other users' access to that folder, and if this
    # process is root, the server runs as another user.
    with TemporaryDirectory(prefix="email-sender-tests-") as folder, Supervisor() as supervisor:
        home = Path(folder)
        server = Postgres(home / "postgres", pick_port("postgres", _FIRST_PORT, print))
        server.prepare()
        key_file = home / "key"
        key_file.write_bytes(os.urandom(32))
        passwords = {role: secrets.token_urlsafe(16) for role in ("app", "platform", "backup", "gateway")}
        supervisor.start(server.spec())
        prepare(server, passwords)
        cluster = Cluster(server, passwords, key_file)
        yield cluster
        cluster.close()


@pytest.fixture(scope="session")
def app_role(cluster: Cluster) -> Database:
    return cluster.database("app")


@pytest.fixture(scope="session")
def platform_role(cluster: Cluster) -> Database:
    return cluster.database("platform")


@pytest.fixture
def tenant(cluster: Cluster) -> UUID:
    """Return a new tenant that only this test uses."""
    return cluster.new_tenant()


@pytest.fixture
def new_tenant(cluster: Cluster) -> Callable[[], UUID]:
    return cluster.new_tenant
