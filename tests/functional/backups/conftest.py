"""A world that is made once, and backed up as it was made."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from moto import mock_aws
from psycopg import sql

from local.layout import Layout
from local.restoring.files import fetch
from tests.database import Cluster
from tests.functional.backups.world import World

type NewDatabase = Callable[[], str]


@pytest.fixture(scope="package")
def new_database(cluster: Cluster) -> NewDatabase:
    """Empty ones. They go with the cluster: to drop one costs a checkpoint."""

    def make() -> str:
        name = f"b{uuid4().hex}"
        with cluster.owner() as conn:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return name

    return make


@pytest.fixture(scope="package")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "wrapping.key"
    path.write_bytes(os.urandom(32))
    return path


@pytest.fixture(scope="package")
def world(cluster: Cluster, new_database: NewDatabase, key_file: Path) -> Iterator[World]:
    with mock_aws():
        made = World(cluster, new_database(), key_file)
        made.first = made.rows.get(made.back_up("whole")).location
        yield made
        made.memory.close()
        for each in made.roles.values():
            each.close()


@pytest.fixture(scope="package")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the world as it was made, copied: for tests that read it."""
    return fetch(world.s3, world.first, tmp_path_factory.mktemp("whole"), print)


@pytest.fixture
def layout(tmp_path: Path, key_file: Path) -> Layout:
    """Another local cloud, with the same wrapping key."""
    made = Layout(tmp_path / "other")
    made.key_file.parent.mkdir(parents=True)
    made.key_file.write_bytes(key_file.read_bytes())
    return made
