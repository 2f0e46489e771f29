"""Backups made and restored on a real PostgreSQL, with S3 by moto and the engine in memory."""

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import boto3
import psycopg
import pytest
from moto import mock_aws
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from email_sender.adapters.backup_points import S3BackupPoints
from email_sender.adapters.backup_store import S3Backups
from email_sender.adapters.key_wrappers import FileKeyWrapper
from email_sender.adapters.postgres.backups import PostgresBackups
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.dump import PostgresDump
from email_sender.adapters.postgres.migrate import migrate
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.copying import QdrantCopying
from email_sender.adapters.qdrant.settings import Placement
from email_sender.backups.manifest import from_bytes
from email_sender.backups.model import BackupStatus, Manifest, ObjectWriter, StoredObject, backup_of
from email_sender.backups.points import PointsBackup
from email_sender.backups.steps import BackupSteps, Lane
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.kit.ambient import new_id
from email_sender.vectors.model import Distance, collections
from email_sender.vectors.serving import Served
from email_sender.vectors.transfer import Stored
from local.layout import Layout
from local.restoring import NotRestorable, points, tables
from local.restoring.files import BackupFolder, fetch
from local.restoring.keys import rewrapping
from local.restoring.restore import restore
from tests.database import Cluster
from tests.fakes.qdrant_memory import MemoryChannel

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]
BUCKET = "backups"
NASTY = "a\tb\nc\rd\\e\\N\\.\"'ü日本🙂\x01\x7f"
SERVED = Served("document_vectors", "document_vectors-2", 8, Distance.EUCLID, None, lexical=False)
SMALLEST_PART = 5 * 1024 * 1024

type NewDatabase = Callable[[], str]


@pytest.fixture(scope="module")
def new_database(cluster: Cluster) -> NewDatabase:
    """Empty ones. They go with the cluster: to drop one costs a checkpoint."""

    def make() -> str:
        name = f"b{uuid4().hex}"
        with cluster.owner() as conn:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return name

    return make


class World:
    """A platform's database and engine, and what backs them up."""

    def __init__(self, cluster: Cluster, name: str, key_file: Path) -> None:
        self.url = cluster.server.url(name)
        with psycopg.connect(self.url) as conn:
            migrate(conn)
        self.roles = {
            role: Database(lambda role=role: make_conninfo(cluster.conninfo(role), dbname=name))  # type: ignore[misc]
            for role in ("platform", "backup")
        }
        self.tenant = new_id()
        self.memory = MemoryChannel()
        self.engine = QdrantCopying(lambda: cast("Channel", self.memory), collections({}), Placement())
        self.rows = PostgresBackups(self.roles["platform"])
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.store = S3Backups(lambda: self.s3, BUCKET, SMALLEST_PART)
        self.time = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
        dump = PostgresDump(self.roles["backup"])
        keep = timedelta(days=35)
        self.steps = BackupSteps(self.rows, dump, self.store, "1.2.3", keep, lambda: self.time, new_id)
        self.points_store = S3BackupPoints(self.store)
        self.points = PointsBackup(self.rows, self.points_store, self.engine, page=3)
        self.wrapper = FileKeyWrapper(key_file)
        self.first = ""
        self.fill()

    def fill(self) -> None:
        run, workflow, other = new_id(), new_id(), new_id()
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
                    [other, self.tenant, workflow, NASTY, [NASTY, "", "null", "{}"], [run, other], run],
                ),
                # Behind what refers to it.
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
                self.tell(conn)
        self.engine.make(SERVED)
        self.put(range(40))

    def tell(self, conn: psycopg.Connection[Any]) -> None:
        conn.execute(
            "insert into email_sender.outbox (id, tenant_id, source, type, detail) values (%s, %s, 's', 'x', '{}')",
            [new_id(), self.tenant],
        )

    def add_large(self) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute(
                "insert into email_sender.contacts (id, tenant_id, address_hash, address_enc) values (%s, %s, 'x', %s)",
                [new_id(), self.tenant, os.urandom(6 * 1024 * 1024)],
            )

    def wrap(self, wrapped: bytes) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute("update email_sender.data_keys set wrapped = %s", [wrapped])

    def put(self, numbers: range) -> None:
        found = [
            Stored(str(uuid4()), cast("Any", _vector(each)), {"tenant_id": str(self.tenant), "text": NASTY, "n": each})
            for each in numbers
        ]
        self.engine.points(SERVED.stored_as).put(found)

    def back_up(self, execution: str) -> UUID:
        backup_id = backup_of(execution)
        self.steps.begin(backup_id)
        for lane in self.steps.dump(backup_id, lambda: True):
            assert self.points.work(backup_id, lane.collection, lane.parts, lambda: True)
        self.steps.close(backup_id)
        return backup_id

    def fetched(self, backup_id: UUID, into: Path) -> BackupFolder:
        location = self.rows.get(backup_id).location
        return BackupFolder(fetch(self.s3, location, into, print))

    def look(self, query: str) -> list[Any]:
        return everything(self.url, query)


def _vector(number: int) -> list[float]:
    return [float(number + each) for each in range(SERVED.size)]


def everything(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as conn:
        conn.execute("set search_path to email_sender")
        return conn.execute(query.encode()).fetchall()


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "wrapping.key"
    path.write_bytes(os.urandom(32))
    return path


@pytest.fixture(scope="module")
def world(cluster: Cluster, new_database: NewDatabase, key_file: Path) -> Iterator[World]:
    with mock_aws():
        made = World(cluster, new_database(), key_file)
        made.first = made.rows.get(made.back_up("whole")).location
        yield made
        made.memory.close()
        for each in made.roles.values():
            each.close()


@pytest.fixture(scope="module")
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


def load(url: str, folder: BackupFolder, layout: Layout, key: str | None = None) -> Manifest:
    manifest = folder.verified(print)
    tables.load(url, folder, manifest.database, rewrapping(layout, key), print)
    return manifest


def test_every_row_comes_back_as_it_was(
    world: World, cluster: Cluster, new_database: NewDatabase, layout: Layout, tmp_path: Path
) -> None:
    world.add_large()
    folder = world.fetched(world.back_up("rows"), tmp_path / "fetched")
    url = cluster.server.url(new_database())
    manifest = load(url, folder, layout)
    assert manifest.version == "1.2.3"
    assert manifest.database.left_out == ["backup_objects", "backups", "embeddings", "schema_migrations"]
    assert {"emails", "suppressions"} <= {name for name, table in manifest.database.tables.items() if table.rows == 0}
    queries = []
    for name in manifest.database.tables.keys() - {"triggers"}:
        queries.append(f"select '{name}', row_to_json(t)::text from {name} t")
    whole = f"{' union all '.join(queries)} order by 1, 2"
    assert everything(url, whole) == world.look(whole)
    assert everything(url, "select count(*) from embeddings") == [(0,)]
    # What is bound to AWS is made there anew.
    assert everything(url, "select state from triggers") == [("pending",)]
    with psycopg.connect(url) as conn:
        highest = conn.execute("select max(sequence) from email_sender.outbox").fetchone()
        world.tell(conn)
        assert conn.execute("select max(sequence) - %s from email_sender.outbox", highest).fetchone() == (1,)


def test_every_point_comes_back_and_is_compared(whole: Path) -> None:
    folder = BackupFolder(whole)
    manifest = folder.verified(print)
    dumped = manifest.collections[SERVED.name]
    assert (dumped.served, dumped.points) == (SERVED, 40)
    memory = MemoryChannel()
    points.load(cast("Channel", memory), folder, manifest.collections, NoTexts(), print)
    engine = QdrantCopying(lambda: cast("Channel", memory), collections({}), Placement())
    found = [each for number in range(16) for each in _all(engine, number)]
    assert sorted(each.payload["n"] for each in found) == list(range(40))
    assert all(list(each.vector) == _vector(each.payload["n"]) for each in found)
    memory.close()


class NoTexts:
    def of(self, points: Sequence[Stored]) -> dict[str, str]:
        raise AssertionError("they are kept as they are")


class SomeTexts:
    """Of the even ones: the others' messages came after the database was dumped."""

    def of(self, points: Sequence[Stored]) -> dict[str, str]:
        return {each.id: f"message {each.payload['n']}" for each in points if each.payload["n"] % 2 == 0}


def test_messages_of_a_model_that_is_not_here_are_embedded_anew_and_other_vectors_kept(whole: Path) -> None:
    folder = BackupFolder(whole)
    dumped = folder.verified(print).collections[SERVED.name]
    memory, said = MemoryChannel(), list[str]()
    of_titan = [
        replace(SERVED, name=name, stored_as=f"{name}-1", model="titan", lexical=True)
        for name in ("message_vectors", "document_vectors")
    ]
    given = {each.name: replace(dumped, served=each) for each in of_titan}
    served = points.load(cast("Channel", memory), folder, given, SomeTexts(), said.append)
    messages, documents = served
    assert (messages.model, messages.size, messages.lexical) == ("wordllama-l2-supercat-256", 256, True)
    assert (documents.model, documents.size, documents.lexical) == (None, SERVED.size, False)
    assert "left out: 20 points of message_vectors, whose messages were not there yet" in said
    engine = QdrantCopying(lambda: cast("Channel", memory), collections({}), Placement())
    assert [engine.points(each.stored_as).count() for each in served] == [20, 40]
    memory.close()


def _all(engine: QdrantCopying, part: int) -> list[Stored]:
    page = engine.points(SERVED.stored_as).page(part, None, 100)
    return list(page.points) if page else []


def test_the_database_is_of_one_moment_whatever_is_written_meanwhile(world: World, tmp_path: Path) -> None:
    before = world.look("select (select count(*) from contacts), (select count(*) from outbox)")

    def more() -> bool:
        with psycopg.connect(world.url) as conn:
            world.tell(conn)
            conn.execute("delete from email_sender.contacts")
        return True

    backup_id = backup_of("busy")
    world.steps.begin(backup_id)
    world.steps.dump(backup_id, more)
    for lane in world.steps.dump(backup_id, more):
        world.points.work(backup_id, lane.collection, lane.parts, lambda: True)
    manifest = world.steps.close(backup_id)
    rows = {name: table.rows for name, table in manifest.database.tables.items()}
    assert [(rows["contacts"], rows["outbox"])] == before
    assert world.fetched(backup_id, tmp_path / "fetched").verified(print) == manifest


def test_a_large_object_goes_in_parts_and_one_that_fails_leaves_nothing(world: World) -> None:
    world.add_large()
    backup_id = world.back_up("large")
    manifest = cast("Manifest", world.rows.get(backup_id).manifest)
    stored = manifest.database.tables["contacts"].stored
    folder = world.rows.get(backup_id).folder
    assert stored.bytes > SMALLEST_PART
    assert "-2" in world.s3.head_object(Bucket=BUCKET, Key=f"{folder}/{stored.key}")["ETag"]
    with pytest.raises(RuntimeError, match="killed"), world.store.writing("f", "k") as writer:
        _write_and_fail(writer)
    assert "Uploads" not in world.s3.list_multipart_uploads(Bucket=BUCKET)
    assert "Contents" not in world.s3.list_objects_v2(Bucket=BUCKET, Prefix="f/")


def _write_and_fail(writer: ObjectWriter) -> None:
    writer.write(os.urandom(SMALLEST_PART + 1))
    raise RuntimeError("killed")


def test_steps_that_are_repeated_or_killed_make_one_backup(world: World, tmp_path: Path) -> None:
    backup_id = backup_of("again")
    assert world.steps.begin(backup_id) == world.steps.begin(backup_id)
    lanes = world.steps.dump(backup_id, lambda: True)
    first = world.rows.get(backup_id).manifest
    assert world.steps.dump(backup_id, lambda: True) == lanes
    assert world.rows.get(backup_id).manifest == first
    assert lanes[0] == Lane(SERVED.name, range(0, 16, 4))

    class Killed(Exception):
        pass

    class Deadly(PostgresBackups):
        """Killed after an object was written and before its row, at every second one."""

        calls = 0

        def add(self, *given: Any) -> Any:
            self.calls += 1
            if self.calls % 2:
                raise Killed
            return super().add(*given)

    deadly = PointsBackup(Deadly(world.roles["platform"]), world.points_store, world.engine, page=3)
    turns = 0
    for lane in lanes:
        while True:
            turns += 1
            assert turns < 100
            # What is written meanwhile makes another page of what was not noted.
            world.put(range(100 + turns, 101 + turns))
            try:
                # As if the time were over after five pages.
                clock = iter([True] * 5)
                if deadly.work(backup_id, lane.collection, lane.parts, lambda clock=clock: next(clock, False)):  # type: ignore[misc]
                    break
            except Killed:
                continue
    manifest = world.steps.close(backup_id)
    assert world.steps.close(backup_id).collections[SERVED.name].points == 0  # what is known of it has no list
    assert manifest.collections[SERVED.name].points >= 40
    assert world.fetched(backup_id, tmp_path / "fetched").verified(print) == manifest
    assert world.look("select count(*) from backup_objects") == [(0,)]


def test_two_at_one_part_go_on_from_what_the_first_wrote(world: World) -> None:
    backup_id = backup_of("two")
    world.steps.begin(backup_id)
    lanes = world.steps.dump(backup_id, lambda: True)

    class Behind(PostgresBackups):
        """The other was at it while this one read its page."""

        def add(self, backup_id: UUID, collection: str, page: Any) -> Any:
            stored = StoredObject("theirs", 1, "x")
            super().add(backup_id, collection, replace(page, stored=stored))
            return super().add(backup_id, collection, page)

    behind = PointsBackup(Behind(world.roles["platform"]), world.points_store, world.engine)
    for lane in lanes:
        assert behind.work(backup_id, lane.collection, lane.parts, lambda: True)
    found = world.rows.objects(backup_id, SERVED.name)
    assert {each.stored.key for each in found} == {"theirs"}
    assert sum(each.points for each in found) == world.engine.points(SERVED.stored_as).count()


def test_a_database_too_large_for_a_function_fails_with_its_reason_and_is_no_backup(world: World) -> None:
    backup_id = backup_of("too large")
    world.steps.begin(backup_id)
    turns = iter([True] * 5)
    with pytest.raises(Conflict, match=r"too large .* of \d\d tables") as caught:
        world.steps.dump(backup_id, lambda: next(turns, False))
    with pytest.raises(Conflict, match="not dumped"):
        world.steps.close(backup_id)
    world.steps.fail(backup_id, caught.value.detail)
    world.steps.fail(backup_id, "and again")
    ended = world.rows.get(backup_id)
    assert (ended.status, ended.reason) == (BackupStatus.FAILED, caught.value.detail)
    listed = world.s3.list_objects_v2(Bucket=BUCKET, Prefix=ended.folder).get("Contents", [])
    assert not [each for each in listed if "manifest.json" in each["Key"]]
    with pytest.raises(NotFound):
        world.steps.dump(backup_of("nobody's"), lambda: True)


def test_rows_of_backups_past_their_time_go_and_one_that_never_ended_has_failed(world: World) -> None:
    old = world.back_up("old")
    world.time += timedelta(days=34)
    lost = backup_of("lost")
    world.steps.begin(lost)
    world.time += timedelta(days=2)
    world.back_up("new")
    assert (world.rows.get(lost).status, world.rows.get(lost).reason) == (BackupStatus.FAILED, "It never ended.")
    with pytest.raises(NotFound):
        world.rows.get(old)
    assert world.rows.get(backup_of("new")).status is BackupStatus.COMPLETED


def spoil_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def spoil_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def other_rows(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\\N\n"))


def test_what_is_damaged_is_refused_before_anything_is_written(whole: Path, layout: Layout, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "fetched")
    for what in ("contacts.copy.gz", "*.ndjson.gz"):
        path = sorted((tmp_path / "fetched").rglob(what))[-1]
        before = path.read_bytes()
        for spoil in (spoil_byte, spoil_end, other_rows, Path.unlink):
            spoil(path)
            with pytest.raises(NotRestorable, match=path.name):
                restore(str(tmp_path / "fetched"), layout, None, print)
            path.write_bytes(before)
    assert sorted(each.name for each in layout.home.iterdir()) == ["keys"]


def test_a_manifest_that_is_not_one_is_refused(whole: Path, layout: Layout, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "fetched")
    path = tmp_path / "fetched/manifest.json"
    said = json.loads(path.read_text())
    changed: list[tuple[Any, str]] = [
        ({**said, "format": 2}, "format 2"),
        ({**said, "database": {}}, "not one of a backup"),
        ([], "not one of a backup"),
    ]
    outside = json.loads(path.read_text())
    outside["database"]["tables"]["contacts"]["key"] = "../../secret"
    fewer = json.loads(path.read_text())
    fewer["database"]["tables"]["contacts"]["rows"] -= 1
    points_less = json.loads(path.read_text())
    points_less["collections"][SERVED.name]["objects"].pop()
    changed += [
        (outside, "outside the backup"), (fewer, "contacts"), (points_less, "are not what it says of them together"),
    ]  # fmt: skip
    for document, words in changed:
        path.write_text(json.dumps(document))
        with pytest.raises(NotRestorable, match=words):
            restore(str(tmp_path / "fetched"), layout, None, print)
    path.write_text("{")
    with pytest.raises(NotRestorable, match="not JSON"):
        restore(str(tmp_path / "fetched"), layout, None, print)
    path.unlink()
    with pytest.raises(NotRestorable, match="no whole backup"):
        restore(str(tmp_path / "fetched"), layout, None, print)
    with pytest.raises(NotRestorable, match="names no backup"):
        restore("s3://bucket", layout, None, print)
    assert sorted(each.name for each in layout.home.iterdir()) == ["keys"]
    with pytest.raises(InvalidInput):
        from_bytes(b"[]")


def test_data_that_is_there_is_not_touched(
    world: World, layout: Layout, cluster: Cluster, new_database: NewDatabase, whole: Path
) -> None:
    folder = BackupFolder(whole)
    before = world.look("select count(*) from contacts")
    with pytest.raises(NotRestorable, match="There is data in the database already"):
        load(world.url, folder, layout)
    assert world.look("select count(*) from contacts") == before
    layout.directory("postgres").mkdir()
    with pytest.raises(NotRestorable, match="an empty local cloud"):
        restore(str(whole), layout, None, print)


def test_a_backup_of_a_newer_version_is_refused(
    layout: Layout, cluster: Cluster, new_database: NewDatabase, whole: Path
) -> None:
    folder = BackupFolder(whole)
    manifest = folder.verified(print)
    url = cluster.server.url(new_database())
    for migrations, words in (
        ({**manifest.database.migrations, "9999_later.sql": "x"}, r"9999_later\.sql, which this version does not have"),
        (dict.fromkeys(manifest.database.migrations, "x"), "other contents"),
        (dict(list(manifest.database.migrations.items())[:5]), "not those of its migrations"),
    ):
        dumped = replace(manifest.database, migrations=migrations)
        with pytest.raises(NotRestorable, match=words):
            tables.load(url, folder, dumped, rewrapping(layout, None), print)
        assert everything(url, "select to_regclass('email_sender.tenants')") == [(None,)]


def test_the_wrapping_key_is_asked_for_and_a_wrong_one_restores_nothing(
    world: World,
    layout: Layout,
    cluster: Cluster,
    new_database: NewDatabase,
    whole: Path,
    tmp_path: Path,
    key_file: Path,
) -> None:
    folder = BackupFolder(whole)
    url = cluster.server.url(new_database())
    layout.key_file.write_bytes(os.urandom(32))
    with pytest.raises(NotRestorable, match="are wrapped by another key"):
        load(url, folder, layout)
    assert everything(url, "select to_regclass('email_sender.tenants')") == [(None,)]
    with pytest.raises(NotRestorable, match="There is no wrapping key"):
        load(url, folder, layout, str(tmp_path / "nowhere"))
    # Named, it is taken from there and given the key of this local cloud.
    load(url, folder, layout, str(key_file))
    ((wrapped,),) = everything(url, "select wrapped from data_keys")
    assert FileKeyWrapper(layout.key_file).unwrap(world.tenant, wrapped) == b"k" * 32
    layout.key_file.unlink()
    with pytest.raises(NotRestorable, match="put that key there, or name it"):
        load(url, folder, layout)


def test_data_keys_that_kms_wrapped_are_wrapped_by_the_local_key(
    world: World, layout: Layout, cluster: Cluster, new_database: NewDatabase, tmp_path: Path
) -> None:
    kms = boto3.client("kms", region_name="us-east-1")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    wrapped = kms.encrypt(KeyId=arn, Plaintext=b"s" * 32, EncryptionContext={"tenant_id": str(world.tenant)})
    ours = world.look("select wrapped from data_keys")[0][0]
    world.wrap(wrapped["CiphertextBlob"])
    try:
        folder = world.fetched(world.back_up("kms"), tmp_path / "fetched")
    finally:
        world.wrap(ours)
    url = cluster.server.url(new_database())
    load(url, folder, layout, f"kms:{arn}")
    ((here,),) = everything(url, "select wrapped from data_keys")
    assert FileKeyWrapper(layout.key_file).unwrap(world.tenant, here) == b"s" * 32
