"""A scenario of backups: a real PostgreSQL, S3 by moto, Qdrant in memory, and the services that back them up."""

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import boto3
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from email_sender.adapters.aws.backup_points import S3BackupPoints
from email_sender.adapters.aws.backup_store import S3Backups
from email_sender.adapters.postgres.backups import PostgresBackups
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.dump import PostgresDump
from email_sender.adapters.postgres.migrate import migrate
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collection_engine import QdrantCollections
from email_sender.adapters.qdrant.collection_settings import Placement
from email_sender.backups.model import backup_id_for
from email_sender.backups.points import PointsBackup
from email_sender.backups.steps import BackupSteps
from email_sender.kit.system_clock import new_id
from email_sender.vectors.jobs.transfer import StoredPoint
from email_sender.vectors.model import Distance, build_collections
from email_sender.vectors.served_collections import ServedCollection
from local.backups.backup_folder import BackupFolder, fetch
from tests.database import Cluster
from tests.fakes.qdrant_memory import MemoryChannel
from tests.wrapping_keys import local_wrapper

BUCKET = "backups"
NASTY = "a\tb\nc\rd\\e\\N\\.\"'ü日本🙂\x01\x7f"
SERVED = ServedCollection("document_vectors", "document_vectors-2", 8, Distance.EUCLID, None, lexical=False)
SMALLEST_PART = 5 * 1024 * 1024


class BackupScenario:
    """A platform's database and vector engine, with the services that back them up."""

    def __init__(self, cluster: Cluster, name: str, key_file: Path) -> None:
        self.url = cluster.server.url(name)
        with psycopg.connect(self.url) as conn:
            migrate(conn)
        self.roles = {
            role: Database(partial(make_conninfo, cluster.conninfo(role), dbname=name))
            for role in ("platform", "backup")
        }
        self.tenant = new_id()
        self.memory = MemoryChannel()
        self.engine = QdrantCollections(lambda: cast("Channel", self.memory), build_collections({}), Placement())
        self.backups = PostgresBackups(self.roles["platform"])
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.store = S3Backups(lambda: self.s3, BUCKET, SMALLEST_PART)
        self.time = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
        dump = PostgresDump(self.roles["backup"])
        retention = timedelta(days=35)
        self.steps = BackupSteps(self.backups, dump, self.store, "1.2.3", retention, lambda: self.time, new_id)
        self.points_store = S3BackupPoints(self.store)
        self.points = PointsBackup(self.backups, self.points_store, self.engine, page_size=3)
        self.wrapper = local_wrapper(key_file)
        self.whole_location = ""
        self.fill()

    def fill(self) -> None:
        run, workflow, other_run = new_id(), new_id(), new_id()
        with psycopg.connect(self.url) as conn:
            conn.execute("set search_path to email_sender")
            for statement, values in (
                ("insert into tenants (id, name, mail_from) values (%s, %s, null)", [self.tenant, NASTY]),
                (
                    "insert into data_keys (tenant_id, purpose, version, wrapped) values (%s, 'content', 1, %s)",
                    [self.tenant, self.wrapper.wrap(self.tenant, b"k" * 32)],
                ),
                (
                    "insert into contacts (id, tenant_id, address_hash, address_enc, attributes) "
                    "values (%s, %s, %s, %s, %s)",
                    [
                        new_id(),
                        self.tenant,
                        b"\x00\n\\\t\xff",
                        os.urandom(100),
                        Jsonb({NASTY[:-2]: [None]}),
                    ],
                ),
                (
                    "insert into contacts (id, tenant_id, address_hash, address_enc, name_enc) "
                    "values (%s, %s, '', '', null)",
                    [new_id(), self.tenant],
                ),
                (
                    "insert into workflows (id, tenant_id, name, definition) values (%s, %s, '', %s)",
                    [workflow, self.tenant, Jsonb({"n": 1e300, "f": 0.1})],
                ),
                (
                    "insert into runs (id, tenant_id, workflow_id, version, status, inputs, started_by, role) "
                    "values (%s, %s, %s, 1, 'running', '{}', '', 'user')",
                    [run, self.tenant, workflow],
                ),
                (
                    "insert into runs (id, tenant_id, workflow_id, version, status, inputs, started_by, role, passed, "
                    "lineage, called_by) values (%s, %s, %s, 1, 'running', '{}', %s, 'user', %s, %s, %s)",
                    [other_run, self.tenant, workflow, NASTY, [NASTY, "", "null", "{}"], [run, other_run], run],
                ),
                # The update moves this row behind the row that refers to it.
                ("update runs set status = 'waiting' where id = %s", [run]),
                (
                    "insert into triggers (id, tenant_id, workflow_id, kind, definition, state, started_by, role) "
                    "values (%s, %s, %s, 'event', '{}', 'active', 'ann', 'user')",
                    [new_id(), self.tenant, workflow],
                ),
                (
                    "insert into embeddings values (%s, 'm', sha256('a'), 'v', now() + interval '1 day')",
                    [self.tenant],
                ),
                (
                    "insert into served_collections values (%s, %s, %s, %s, null, false)",
                    [SERVED.name, SERVED.stored_as, SERVED.size, SERVED.distance],
                ),
            ):
                conn.execute(statement.encode(), values)
            for number in range(30):
                at = datetime.now(UTC) + timedelta(days=9 * number - 60)
                conn.execute(
                    "insert into events (id, type, payload, source, tenant_id, occurred_at) "
                    "values (%s, 'x', %s, 's', %s, %s)",
                    [new_id(), Jsonb({"n": number}), self.tenant, at],
                )
                self.add_outbox_row(conn)
        self.engine.create_if_missing(SERVED)
        self.put_points(range(40))

    def add_outbox_row(self, conn: psycopg.Connection[Any]) -> None:
        conn.execute(
            "insert into email_sender.outbox (id, tenant_id, source, type, detail) values (%s, %s, 's', 'x', '{}')",
            [new_id(), self.tenant],
        )

    def add_large_contact(self) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute(
                "insert into email_sender.contacts (id, tenant_id, address_hash, address_enc) values (%s, %s, %s, %s)",
                [new_id(), self.tenant, os.urandom(32), os.urandom(6 * 1024 * 1024)],
            )

    def replace_wrapped_key(self, wrapped: bytes) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute("update email_sender.data_keys set wrapped = %s", [wrapped])

    def put_points(self, numbers: range) -> None:
        points = [
            StoredPoint(
                str(uuid4()), cast("Any", vector(number)), {"tenant_id": str(self.tenant), "text": NASTY, "n": number}
            )
            for number in numbers
        ]
        self.engine.points(SERVED.stored_as).put(points)

    def back_up(self, execution: str) -> UUID:
        backup_id = backup_id_for(execution)
        self.steps.begin(backup_id)
        for lane in self.steps.dump(backup_id, lambda: True):
            assert self.points.copy_parts(backup_id, lane.collection, lane.parts, lambda: True)
        self.steps.close(backup_id)
        return backup_id

    def fetch_backup(self, backup_id: UUID, into: Path) -> BackupFolder:
        location = self.backups.get(backup_id).location
        return BackupFolder(fetch(self.s3, location, into, print))

    def query(self, query: str) -> list[Any]:
        return fetch_all(self.url, query)


def vector(number: int) -> list[float]:
    return [float(number + offset) for offset in range(SERVED.size)]


def fetch_all(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as conn:
        conn.execute("set search_path to email_sender")
        return conn.execute(query.encode()).fetchall()
