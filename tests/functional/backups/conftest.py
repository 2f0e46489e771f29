"""A backup scenario that is created once, and a backup of its initial state."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import psycopg
import pytest
from moto import mock_aws
from psycopg import sql

from coordinator_lambda import restore
from email_sender.adapters.postgres.migrate import migrate
from email_sender.kit import resources
from local.backups.backup_folder import fetch
from local.layout import Layout
from tests.database import Cluster
from tests.functional.backups.scenario import BackupScenario

type NewDatabase = Callable[[], str]
type Connect = Callable[[], psycopg.Connection[Any]]

OWNER = "restoring_owner"


@pytest.fixture(scope="package")
def new_database(cluster: Cluster) -> NewDatabase:
    """Return a function that creates an empty database. None is dropped, because a drop costs a checkpoint."""

    def create_database() -> str:
        name = f"b{uuid4().hex}"
        with cluster.connect_as_owner() as conn:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return name

    return create_database


@pytest.fixture(scope="package")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "wrapping.key"
    path.write_bytes(os.urandom(32))
    return path


@pytest.fixture(scope="package")
def scenario(cluster: Cluster, new_database: NewDatabase, key_file: Path) -> Iterator[BackupScenario]:
    with mock_aws():
        backup_scenario = BackupScenario(cluster, new_database(), key_file)
        backup_scenario.whole_location = backup_scenario.backups.get(backup_scenario.back_up("whole")).location
        yield backup_scenario
        backup_scenario.memory.close()
        for role_database in backup_scenario.roles.values():
            role_database.close()


@pytest.fixture(scope="package")
def whole_backup(scenario: BackupScenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a local copy of the backup of the scenario's initial state, for tests that only read it."""
    return fetch(scenario.s3, scenario.whole_location, tmp_path_factory.mktemp("whole"), print)


@pytest.fixture
def layout(tmp_path: Path, key_file: Path) -> Layout:
    """Return the layout of another local cloud with the same wrapping key."""
    other_layout = Layout(tmp_path / "other")
    other_layout.key_file.parent.mkdir(parents=True)
    other_layout.key_file.write_bytes(key_file.read_bytes())
    shutil.copytree(key_file.parent / "tenants", other_layout.key_file.parent / "tenants", dirs_exist_ok=True)
    return other_layout


@pytest.fixture(scope="package")
def owner(cluster: Cluster) -> None:
    """A role with the rights of an RDS master user: it may create roles, and is no superuser."""
    with cluster.connect_as_owner() as conn:
        conn.execute(sql.SQL("create role {} login createrole password 'p'").format(sql.Identifier(OWNER)))
        conn.execute(
            sql.SQL("grant app, platform, backup, gateway to {} with admin option").format(sql.Identifier(OWNER))
        )


@pytest.fixture
def connect(owner: None, cluster: Cluster, new_database: NewDatabase) -> Connect:
    """Connect as the owner of a database as a deployment leaves it."""
    name = new_database()
    with cluster.connect_as_owner() as conn:
        conn.execute(sql.SQL("alter database {} owner to {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
    url = cluster.server.url(name)
    info = psycopg.conninfo.make_conninfo(url, user=OWNER, password="p")
    with psycopg.connect(info) as conn:
        migrate(conn)
    return partial(psycopg.connect, info)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, scenario: BackupScenario, key_file: Any) -> None:
    monkeypatch.setenv("STAGE", "local")
    monkeypatch.setenv("KEY_WRAPPER", f"file:{key_file}")
    monkeypatch.setattr(restore, "client", partial(boto3.client, region_name="us-east-1"))
    monkeypatch.setattr(resources, "client", partial(boto3.client, region_name="us-east-1"))
