"""The local PostgreSQL: a real server on TCP that survives being killed."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from local.ports import pick_port
from local.postgres import Postgres
from local.processes import Child, NotReady, Spec, Supervisor

pytestmark = [pytest.mark.kills]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Postgres:
    server = Postgres(tmp_path_factory.mktemp("state") / "postgres", pick_port("postgres", 30432, print))
    server.prepare()
    return server


def test_the_server_is_postgresql_18_and_requires_a_password(server: Postgres) -> None:
    with Supervisor() as supervisor:
        supervisor.start(server.spec())
        with psycopg.connect(server.url()) as connection:
            row = connection.execute("select current_setting('server_version_num')::int / 10000").fetchone()
            assert row == (18,)
            connection.execute("create table if not exists kept (word text)")
            connection.execute("insert into kept values ('before')")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url().replace(server.password, "wrong"))


def test_a_killed_server_is_restarted_with_all_committed_data(server: Postgres) -> None:
    exit_statuses: list[int] = []
    with Supervisor(on_exit=lambda _, status: exit_statuses.append(status)) as supervisor:
        child = supervisor.start(server.spec())
        with psycopg.connect(server.url()) as connection:
            connection.execute("insert into kept values ('killed')")
        os.killpg(child.process.pid, signal.SIGKILL)
        _wait_for_new_process(child, child.process.pid)
        _wait_until_ready(server)
        with psycopg.connect(server.url()) as connection:
            stored_words = connection.execute("select word from kept order by word").fetchall()
    assert stored_words == [("before",), ("killed",)]
    assert exit_statuses == [-signal.SIGKILL]


def test_preparing_again_keeps_the_data_and_the_password(server: Postgres) -> None:
    password = server.password
    server.prepare()
    assert server.password == password
    assert (server.data / "PG_VERSION").exists()


def test_a_failed_start_shows_the_end_of_the_log(server: Postgres, tmp_path: Path) -> None:
    spec = server.spec(tmp_path / "log")
    broken_spec = Spec("postgres", [*spec.argv, "-c", "no_such_setting=1"], spec.log, spec.ready, user=spec.user)
    with Supervisor() as supervisor, pytest.raises(NotReady, match="no_such_setting"):
        supervisor.start(broken_spec)


def _wait_for_new_process(child: Child, pid: int) -> None:
    import time

    deadline = time.monotonic() + 10
    while child.process.pid == pid and time.monotonic() < deadline:
        time.sleep(0.02)


def _wait_until_ready(server: Postgres) -> None:
    import time

    deadline = time.monotonic() + 20
    while not server.accepts_connections() and time.monotonic() < deadline:
        time.sleep(0.05)
