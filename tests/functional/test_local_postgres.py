"""The local PostgreSQL: a real server, on TCP, that survives being killed."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from local.ports import pick
from local.postgres import Postgres
from local.processes import Child, NotReady, Spec, Supervisor


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Postgres:
    server = Postgres(tmp_path_factory.mktemp("state") / "postgres", pick("postgres", 55432, print))
    server.prepare()
    return server


def test_it_is_postgresql_18_behind_a_password(server: Postgres) -> None:
    with Supervisor() as supervisor:
        supervisor.start(server.spec())
        with psycopg.connect(server.url()) as connection:
            row = connection.execute("select current_setting('server_version_num')::int / 10000").fetchone()
            assert row == (18,)
            connection.execute("create table if not exists kept (word text)")
            connection.execute("insert into kept values ('before')")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url().replace(server.password, "wrong"))


def test_it_is_restarted_after_kill_9_with_what_was_committed(server: Postgres) -> None:
    ended: list[int] = []
    with Supervisor(on_exit=lambda _, status: ended.append(status)) as supervisor:
        child = supervisor.start(server.spec())
        with psycopg.connect(server.url()) as connection:
            connection.execute("insert into kept values ('killed')")
        os.killpg(child.process.pid, signal.SIGKILL)
        _wait_for_another(child, child.process.pid)
        _wait_until_it_answers(server)
        with psycopg.connect(server.url()) as connection:
            words = connection.execute("select word from kept order by word").fetchall()
    assert words == [("before",), ("killed",)]
    assert ended == [-signal.SIGKILL]


def test_preparing_again_keeps_the_data_and_the_password(server: Postgres) -> None:
    password = server.password
    server.prepare()
    assert server.password == password
    assert (server.data / "PG_VERSION").exists()


def test_a_failed_start_shows_the_end_of_the_log(server: Postgres, tmp_path: Path) -> None:
    spec = server.spec(tmp_path / "log")
    broken = Spec("postgres", [*spec.argv, "-c", "no_such_setting=1"], spec.log, spec.ready, user=spec.user)
    with Supervisor() as supervisor, pytest.raises(NotReady, match="no_such_setting"):
        supervisor.start(broken)


def _wait_for_another(child: Child, pid: int) -> None:
    import time

    deadline = time.monotonic() + 10
    while child.process.pid == pid and time.monotonic() < deadline:
        time.sleep(0.02)


def _wait_until_it_answers(server: Postgres) -> None:
    import time

    deadline = time.monotonic() + 20
    while not server.answers() and time.monotonic() < deadline:
        time.sleep(0.05)
