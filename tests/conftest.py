"""Shared fixtures: the local cloud, started once per session, with a signed-in API client for each user."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.rows import DictRow, dict_row

from local.aws.deploy import client_factory
from local.client import ApiClient
from local.cloud import TEXT_MODEL, LocalCloud
from local.identities import User
from local.layout import ROOT, Layout

# A slow machine is no failure.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

pytest_plugins = ["tests.database"]

# Processes started by tests need it; `make` sets it for every process that it starts.
os.environ.setdefault("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "layers/common/python")]))

# Different from the documented ports, because `make run` may be running.
PORTS = {
    "api": 18080, "aws": 14566, "postgres": 15432, "qdrant": 16333, "qdrant-grpc": 16334, "mail": 18025, "smtp": 11025,
}  # fmt: skip

# Where the functions of the shared cloud record their calls of AWS, below its home.
AWS_CALLS = "aws-calls.ndjson"

# tests/fakes/text_model.py listens here in place of a real model.
TEXT_MODEL_PORT = 18434
os.environ[TEXT_MODEL] = json.dumps(
    {"provider": "openai", "endpoint": f"http://127.0.0.1:{TEXT_MODEL_PORT}/v1", "model": "stand-in"}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they use, and run tests with a cloud of their own last."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "platform" in fixtures:
            item.add_marker(pytest.mark.needs_cloud)
        if "cluster" in fixtures:
            item.add_marker(pytest.mark.needs_postgres)
    # First what records calls of AWS, then what reads the record, and last what starts clouds of its own.
    items.sort(key=lambda item: [item.get_closest_marker(name) is not None for name in ("own_cloud", "reads_calls")])


@dataclass(frozen=True)
class Platform:
    """The deployed template, with a signed-in client for each user."""

    cloud: LocalCloud
    api: str
    clients: dict[str, ApiClient]

    def __getitem__(self, username: str) -> ApiClient:
        return self.clients[username]

    @property
    def users(self) -> list[User]:
        return list(self.cloud.users)

    @property
    def mail_url(self) -> str:
        return f"{self.cloud.mail_url}/messages"

    @property
    def aws(self) -> Callable[[str], Any]:
        return client_factory(self.cloud.aws_url)

    def query(self, query: str, *values: object) -> list[DictRow]:
        """Run a query as the superuser, without row-level security. Use it to inspect data, never to set it up."""
        with psycopg.connect(self.cloud.database_url, row_factory=dict_row) as conn:
            return conn.execute(query, list(values)).fetchall()

    def function_name(self, logical_id: str) -> str:
        """Return the deployed name of the function with this logical ID in the template."""
        response = self.aws("cloudformation").describe_stack_resource(
            StackName="email-sender-local", LogicalResourceId=logical_id
        )
        return str(response["StackResourceDetail"]["PhysicalResourceId"])


def start_platform(home: Path, ports: dict[str, int]) -> Platform:
    # The tests make the requests of many clients.
    cloud = LocalCloud(Layout(home), print, ports, limited=False)
    try:
        cloud.start()
        return Platform(cloud, f"{cloud.api_url}/api/v1", sign_in_users(cloud))
    except BaseException:
        cloud.stop()
        raise


def sign_in_users(cloud: LocalCloud) -> dict[str, ApiClient]:
    base = f"{cloud.api_url}/api/v1"
    return {user.username: ApiClient.sign_in(base, user.username, user.password) for user in cloud.users}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECORDED_CALLS", str(home / AWS_CALLS))
        deployed_platform = start_platform(home, PORTS)
    yield deployed_platform
    for client in deployed_platform.clients.values():
        client.close()
    deployed_platform.cloud.stop()
