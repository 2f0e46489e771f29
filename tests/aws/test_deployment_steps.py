"""CloudFormation's sequences for the custom resource that prepares the database, on a new PostgreSQL as RDS makes it.

The owner is no superuser, roles do not exist yet, and the response goes to an HTTP server, as to a presigned URL.
"""

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest

from coordinator_lambda.events import migrate as migrate_function
from email_sender.adapters.postgres import migrate
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.kit import resources
from local.ports import pick_port
from local.postgres import HOST, Postgres
from local.processes import Supervisor

type Json = dict[str, Any]

OWNER_PASSWORD = secrets.token_urlsafe(16)


class Secrets:
    """Secrets Manager, as far as functions use it."""

    def __init__(self) -> None:
        self.passwords = {role: secrets.token_urlsafe(16) for role in ("app", "platform", "backup", "gateway")}

    def get_secret_value(self, SecretId: str) -> Json:  # boto3's name
        password = OWNER_PASSWORD if SecretId == "master" else self.passwords[SecretId]
        return {"SecretString": json.dumps({"username": SecretId, "password": password})}


class ResponseHandler(BaseHTTPRequestHandler):
    answers: list[Json]

    def do_PUT(self) -> None:
        self.answers.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def response_server() -> Iterator[tuple[str, list[Json]]]:
    responses: list[Json] = []
    handler = type("Handler", (ResponseHandler,), {"answers": responses})
    with HTTPServer((HOST, 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}/presigned", responses
        server.shutdown()


class Context:
    log_stream_name = "stream"
    aws_request_id = "request"


class Stack:
    """One stack's database and the calls of CloudFormation."""

    def __init__(self, server: Postgres, stored_secrets: Secrets, url: str, responses: list[Json]) -> None:
        self.server, self.secrets, self._url, self._responses = server, stored_secrets, url, responses

    def call(self, request: str, version: str = "1", old_version: str | None = None) -> Json:
        """Call the function as CloudFormation does, and return what it answered."""
        event = {
            "RequestType": request,
            "ResponseURL": self._url,
            "StackId": "arn:aws:cloudformation:eu-west-1:111122223333:stack/email-sender-dev/1",
            "RequestId": uuid4().hex,
            "LogicalResourceId": "Migrations",
            "ResourceType": "Custom::Migrations",
            "ResourceProperties": {"AppVersion": version},
        }
        if request != "Create":
            event["PhysicalResourceId"] = "Migrations"
        if old_version is not None:
            event["OldResourceProperties"] = {"AppVersion": old_version}
        context: Any = Context()
        migrate_function.handler(event, context)
        answer = self._responses.pop()
        assert (answer["PhysicalResourceId"], answer["RequestId"]) == ("Migrations", event["RequestId"])
        return answer

    def sign_in(self, role: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=HOST, port=self.server.port, dbname="email_sender", user=role, password=self.secrets.passwords[role]
        )

    def query(self, query: LiteralString) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.url("email_sender")) as conn:
            return conn.execute(query).fetchall()


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with TemporaryDirectory(prefix="email-sender-tests-") as folder, Supervisor() as supervisor:
        server = Postgres(Path(folder) / "postgres", pick_port("postgres", 31500, print))
        server.prepare()
        supervisor.start(server.spec())
        with psycopg.connect(server.url(), autocommit=True) as conn:
            # As RDS does: the master user may create roles and databases, and owns the first database.
            password = psycopg.sql.Literal(OWNER_PASSWORD)
            conn.execute(psycopg.sql.SQL("create role master login createrole createdb password {}").format(password))
            conn.execute("create role rds_iam nologin")
            conn.execute("grant rds_iam to master with admin option")
            conn.execute("create database email_sender owner master")
        stored_secrets = Secrets()
        monkeypatch.setattr(resources, "client", lambda _service: stored_secrets)
        for name, value in {
            "STAGE": "dev", "DATABASE_HOST": HOST, "DATABASE_PORT": str(server.port), "DATABASE_SSL": "disable",
            "DATABASE_USER": "master", "DATABASE_SECRET_ARN": "master", "APP_SECRET_ARN": "app",
            "PLATFORM_SECRET_ARN": "platform", "BACKUP_SECRET_ARN": "backup",
            "GATEWAY_SECRET_ARN": "gateway",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        with response_server() as (url, responses):
            yield Stack(server, stored_secrets, url, responses)


def test_the_first_deployment_makes_a_database_that_functions_can_use(stack: Stack) -> None:
    answer = stack.call("Create")
    assert answer["Status"] == "SUCCESS", answer["Reason"]
    for role in ("app", "platform", "backup", "gateway"):
        stack.sign_in(role).close()
    database = Database(
        lambda: (
            f"host={HOST} port={stack.server.port} dbname=email_sender user=platform "
            f"password={stack.secrets.passwords['platform']}"
        )
    )
    assert TenantDirectory(database).tenants() is not None
    database.close()
    assert stack.query("select id, kind from email_sender.tenants") == [(PLATFORM_TENANT, "platform")]


def test_a_failed_first_deployment_can_be_deleted_and_repeated(stack: Stack) -> None:
    """Another resource failed: CloudFormation deletes what it made, and the next deployment creates it again."""
    assert stack.call("Create")["Status"] == "SUCCESS"
    assert stack.call("Delete")["Status"] == "SUCCESS"
    assert stack.call("Create")["Status"] == "SUCCESS"
    assert stack.query("select count(*) from email_sender.tenants") == [(1,)]


def test_a_step_that_failed_itself_is_deleted_and_repeated(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder)
    (folder / "9999_broken.sql").write_text("select 1 from no_such_table;")
    use_migrations_of(monkeypatch, folder)
    answer = stack.call("Create")
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "UndefinedTable")
    assert stack.query("select count(*) from pg_namespace where nspname = 'email_sender'") == [(0,)]
    assert stack.call("Delete")["Status"] == "SUCCESS"
    (folder / "9999_broken.sql").unlink()
    assert stack.call("Create")["Status"] == "SUCCESS"


def use_migrations_of(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(migrate_function, "migrate", lambda conn: migrate.migrate(conn, folder))


def test_an_update_that_fails_later_goes_back_to_the_old_code_and_properties(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert stack.call("Create", "1")["Status"] == "SUCCESS"
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder)
    (folder / "9998_new.sql").write_text("create table email_sender.new_table (n int);")
    with monkeypatch.context() as new_code:
        use_migrations_of(new_code, folder)
        answer = stack.call("Update", "2", "1")
        assert json.loads(answer["Data"]["applied"]) == ["9998_new.sql"]
    # Now with the old code, which does not have the new file.
    answer = stack.call("Update", "1", "2")
    assert answer["Status"] == "SUCCESS", answer["Reason"]
    stack.sign_in("app").close()
    # The next attempt finds its migration applied.
    use_migrations_of(monkeypatch, folder)
    answer = stack.call("Update", "2", "1")
    assert (answer["Status"], json.loads(answer["Data"]["applied"])) == ("SUCCESS", [])


def test_deleting_the_stack_keeps_the_data(stack: Stack) -> None:
    stack.call("Create")
    assert stack.call("Delete")["Status"] == "SUCCESS"
    assert stack.query("select count(*) from email_sender.tenants") == [(1,)]


def test_a_changed_secret_reaches_the_database_with_the_next_deployment(stack: Stack) -> None:
    stack.call("Create")
    old = stack.secrets.passwords["app"]
    stack.secrets.passwords["app"] = "another-password"
    assert stack.call("Update", "2", "1")["Status"] == "SUCCESS"
    stack.sign_in("app").close()
    stack.secrets.passwords["app"] = old
    with pytest.raises(psycopg.OperationalError):
        stack.sign_in("app")


def members_of_rds_iam(stack: Stack) -> set[str]:
    return {
        name
        for (name,) in stack.query(
            "select member::regrole::text from pg_auth_members where roleid = 'rds_iam'::regrole"
        )
        if name != "master"
    }


def test_roles_use_iam_or_passwords_but_never_both(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member of rds_iam cannot sign in with a password, and RDS Proxy signs in with one."""
    monkeypatch.setenv("APP_SECRET_ARN", "")
    assert stack.call("Create")["Status"] == "SUCCESS"
    assert members_of_rds_iam(stack) == {"app"}
    monkeypatch.setenv("APP_SECRET_ARN", "app")
    assert stack.call("Update", "2", "1")["Status"] == "SUCCESS"
    assert members_of_rds_iam(stack) == set()
    stack.sign_in("app").close()
