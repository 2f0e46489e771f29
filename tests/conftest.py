"""What tests share: the local cloud, started once, with a client of each user."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from local.aws.deploy import session
from local.client import ApiClient
from local.cloud import TEXT_MODEL, LocalCloud
from local.identities import User
from local.layout import ROOT, Layout

pytest_plugins = ["tests.database"]

# For the processes that tests start; `make` sets it for all of its own.
os.environ.setdefault("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "layers/common/python")]))

# Away from the documented ports: `make run` may be up.
PORTS = {
    "api": 18080, "aws": 14566, "postgres": 15432, "qdrant": 16333, "qdrant-grpc": 16334, "mail": 18025, "smtp": 11025,
}  # fmt: skip


# Where tests/fakes/text_model.py stands in for a model.
TEXT_MODEL_PORT = 18434
os.environ[TEXT_MODEL] = json.dumps(
    {"provider": "openai", "endpoint": f"http://127.0.0.1:{TEXT_MODEL_PORT}/v1", "model": "stand-in"}
)


@dataclass(frozen=True)
class Platform:
    """The deployed template, with who may use it."""

    cloud: LocalCloud
    api: str
    clients: dict[str, ApiClient]

    def __getitem__(self, username: str) -> ApiClient:
        return self.clients[username]

    @property
    def users(self) -> list[User]:
        return list(self.cloud.users)

    @property
    def mail(self) -> str:
        return f"{self.cloud.mail_url}/messages"

    @property
    def aws(self) -> Callable[[str], Any]:
        return session(self.cloud.aws_url)

    def look(self, query: str, *values: object) -> list[DictRow]:
        """As the superuser, past every wall: for looking, never for faking."""
        with psycopg.connect(self.cloud.database_url, row_factory=dict_row) as conn:
            return conn.execute(query, list(values)).fetchall()

    def function(self, logical_id: str) -> str:
        """The deployed name of a function of the template."""
        found = self.aws("cloudformation").describe_stack_resource(
            StackName="email-sender-local", LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])


def start_platform(home: Path, ports: dict[str, int]) -> Platform:
    cloud = LocalCloud(Layout(home), print, ports)
    try:
        cloud.start()
        return Platform(cloud, f"{cloud.api_url}/api/v1", clients_of(cloud))
    except BaseException:
        cloud.stop()
        raise


def clients_of(cloud: LocalCloud) -> dict[str, ApiClient]:
    base = f"{cloud.api_url}/api/v1"
    return {user.username: ApiClient.sign_in(base, user.username, user.password) for user in cloud.users}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    started = start_platform(tmp_path_factory.mktemp("cloud"), PORTS)
    yield started
    for client in started.clients.values():
        client.close()
    started.cloud.stop()
