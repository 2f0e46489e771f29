"""The migration runner, each test on a database of its own."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from email_sender.adapters.postgres.migrate import FOLDER, migrate
from email_sender.errors import Conflict
from tests.database import Cluster


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    name = f"m{uuid4().hex}"
    with cluster.connect_as_owner() as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield cluster.server.url(name)
    with cluster.connect_as_owner() as conn:
        conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text(
        "create table email_sender.one (n int); insert into email_sender.one select 1;"
    )
    (tmp_path / "0002_two.sql").write_text("create table email_sender.two (n int);")
    return tmp_path


def apply(url: str, folder: Path = FOLDER) -> list[str]:
    with psycopg.connect(url) as conn:
        return migrate(conn, folder)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as conn:
        rows = conn.execute("select tablename from pg_tables where schemaname = 'email_sender'").fetchall()
    return {row[0] for row in rows}


def test_all_migrations_are_applied_in_order_and_a_second_run_does_nothing(url: str) -> None:
    assert apply(url) == sorted(file.name for file in FOLDER.glob("*.sql"))
    assert apply(url) == []


def test_two_concurrent_runs_apply_everything_once(url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        results = sorted(threads.map(lambda _: apply(url), range(2)))
    assert results == [[], sorted(file.name for file in FOLDER.glob("*.sql"))]


def test_a_new_file_is_applied_after_the_applied_ones(url: str, folder: Path) -> None:
    apply(url, folder)
    (folder / "0003_three.sql").write_text("insert into email_sender.one select 3;")
    assert apply(url, folder) == ["0003_three.sql"]


def test_an_edited_file_is_refused_and_nothing_else_is_applied(url: str, folder: Path) -> None:
    apply(url, folder)
    (folder / "0001_one.sql").write_text("create table email_sender.other (n int);")
    (folder / "0003_three.sql").write_text("create table email_sender.three (n int);")
    with pytest.raises(Conflict, match=r"0001_one\.sql was edited"):
        apply(url, folder)
    assert tables(url) == {"schema_migrations", "one", "two"}


def test_files_of_a_newer_version_are_accepted(url: str, folder: Path) -> None:
    """A deployment that fails after its migrations goes back to the code before it."""
    apply(url, folder)
    (folder / "0002_two.sql").unlink()
    assert apply(url, folder) == []


def test_a_missing_file_is_refused(url: str, folder: Path) -> None:
    apply(url, folder)
    (folder / "0001_one.sql").unlink()
    with pytest.raises(Conflict, match=r"0001_one\.sql was applied, but its file is missing"):
        apply(url, folder)


def test_a_failure_in_the_last_file_rolls_back_the_first(url: str, folder: Path) -> None:
    (folder / "0003_three.sql").write_text("create table email_sender.three (n int); select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        apply(url, folder)
    assert tables(url) == set()
    (folder / "0003_three.sql").unlink()
    assert apply(url, folder) == ["0001_one.sql", "0002_two.sql"]


def test_existing_roles_of_the_cluster_do_not_stop_a_migration(url: str, tmp_path: Path) -> None:
    """Roles belong to the cluster: the first migration finds those that the session's own database created."""
    copied_folder = tmp_path / "copied"
    copied_folder.mkdir()
    shutil.copy(FOLDER / "0001_tenancy.sql", copied_folder)
    assert apply(url, copied_folder) == ["0001_tenancy.sql"]
    assert "tenants" in tables(url)
