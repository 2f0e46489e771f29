"""The steps of statemachines/restore.asl.json: a database whose owner is no superuser, a bucket, and the engine."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import boto3
import pytest

from coordinator_lambda.restore import RestoreStep, restore_database
from email_sender.adapters.aws.key_wrappers import KmsKeyWrapper
from email_sender.adapters.files.backup_points import BackupPointSource
from email_sender.adapters.files.stored_backup import StoredBackup
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collection_engine import QdrantCollections
from email_sender.adapters.qdrant.collection_settings import Placement
from email_sender.adapters.tenant_key_wrapper import TenantKeyWrapper
from email_sender.backups.model import NotRestorable
from email_sender.backups.restored_points import Lane, PointsRestore
from email_sender.errors import NotFound
from email_sender.vectors.jobs.transfer import PART_COUNT, StoredPoint
from email_sender.vectors.model import build_collections
from tests.database import Cluster
from tests.fakes.qdrant_memory import MemoryChannel
from tests.functional.backups.conftest import Connect
from tests.functional.backups.scenario import BUCKET, SERVED, BackupScenario, fetch_all, vector
from tests.wrapping_keys import new_table

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]


def step(scenario: BackupScenario, execution: str = "first", location: str = "") -> RestoreStep:
    return RestoreStep(backup=location or scenario.whole_location, execution=execution)


@pytest.mark.usefixtures("environment")
def test_the_owner_of_the_database_restores_every_row_and_may_repeat_it(
    scenario: BackupScenario, connect: Connect, cluster: Cluster
) -> None:
    # Of now: other tests add to the scenario.
    location = scenario.backups.get(scenario.back_up("by the owner")).location
    answer = restore_database(step(scenario, location=location), connect)
    assert answer["collections"] == [SERVED.name]
    assert sorted(part for lane in answer["lanes"] for part in lane["parts"]) == list(range(PART_COUNT))
    with connect() as conn:
        url = cluster.server.url(conn.info.dbname)
    tables = ("contacts", "runs", "workflows", "events", "outbox")
    for table in tables:
        query = f"select row_to_json(t)::text from {table} t order by 1"
        assert fetch_all(url, query) == scenario.query(query)
    # Foreign keys, triggers and row-level security are as the migrations made them.
    checks = (
        "select conname, pg_get_constraintdef(oid) from pg_constraint "
        "where contype = 'f' and connamespace = 'email_sender'::regnamespace order by 1, 2",
        "select tgname, tgenabled::text from pg_trigger where not tgisinternal order by 1, 2",
        "select relname from pg_class where relforcerowsecurity order by 1",
    )
    for query in checks:
        assert fetch_all(url, query) == scenario.query(query)
    record = "select status, reason, location from backups"
    assert fetch_all(url, record) == [("completed", "first", location)]
    # The function may die after its commit. The repeated step finds its work; another restore finds tenants.
    assert restore_database(step(scenario, location=location), connect) == answer
    with pytest.raises(NotRestorable, match="There is data in the database already"):
        restore_database(step(scenario, "second", location), connect)


@pytest.mark.usefixtures("environment")
def test_what_cannot_be_restored_leaves_the_empty_platform_as_it_was(
    scenario: BackupScenario, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    damaged = next(
        entry["Key"] for entry in scenario.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        if entry["Key"].endswith("contacts.copy.gz") and scenario.whole_location.endswith(entry["Key"].split("/")[0])
    )  # fmt: skip
    before = scenario.s3.get_object(Bucket=BUCKET, Key=damaged)["Body"].read()
    scenario.s3.put_object(Bucket=BUCKET, Key=damaged, Body=before[:-1] + b"x")
    try:
        with pytest.raises(NotRestorable, match=r"contacts\.copy\.gz is damaged"):
            restore_database(step(scenario), connect)
    finally:
        scenario.s3.put_object(Bucket=BUCKET, Key=damaged, Body=before)
    for location, message in (
        (f"s3://{BUCKET}/no-backup", "is not a complete backup"),
        ("s3://someone-elses/backup", "may not read it"),
    ):
        with pytest.raises(NotRestorable, match=message):
            restore_database(RestoreStep(backup=location, execution="first"), connect)
    other_key = tmp_path / "other.key"
    other_key.write_bytes(b"o" * 32)
    monkeypatch.setenv("KEY_WRAPPER", f"file:{other_key}")
    with pytest.raises(NotRestorable, match="RestoreKeyArn"):
        restore_database(step(scenario), connect)
    with connect() as conn:
        assert conn.execute("select count(*) from email_sender.tenants").fetchone() == (0,)


@pytest.mark.usefixtures("environment")
def test_keys_of_a_deleted_stack_are_wrapped_by_the_key_of_this_one(
    scenario: BackupScenario, connect: Connect, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    kms = boto3.client("kms", region_name="us-east-1")
    former, own = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    former_wrapper = TenantKeyWrapper(new_table("keys-of-a-deleted-stack"), KmsKeyWrapper(kms, former))
    own_wrapper = TenantKeyWrapper(new_table("own-keys"), KmsKeyWrapper(kms, own))
    wrapped = former_wrapper.wrap(scenario.tenant, b"s" * 32)
    original_key = scenario.query("select wrapped from data_keys")[0][0]
    scenario.replace_wrapped_key(wrapped)
    try:
        location = scenario.backups.get(scenario.back_up("former-key")).location
    finally:
        scenario.replace_wrapped_key(original_key)
    monkeypatch.setenv("KEY_WRAPPER", f"kms:{own}")
    monkeypatch.setenv("TENANT_KEYS_TABLE", "own-keys")
    monkeypatch.setenv("RESTORE_KEY_ARN", former)
    monkeypatch.setenv("RESTORE_KEYS_TABLE_ARN", "keys-of-a-deleted-stack")
    restore_database(RestoreStep(backup=location, execution="first"), connect)
    with connect() as conn:
        url = cluster.server.url(conn.info.dbname)
    ((rewrapped,),) = fetch_all(url, "select wrapped from data_keys")
    assert own_wrapper.unwrap(scenario.tenant, rewrapped) == b"s" * 32


class Points:
    """The restore of the scenario's points into an empty engine."""

    def __init__(self, scenario: BackupScenario, models: dict[str, frozenset[str]] | None = None) -> None:
        folder = scenario.whole_location.rpartition("/")[2]
        self.backup = StoredBackup(partial(scenario.store.open, folder), folder)
        self.manifest = self.backup.manifest()
        self.memory = MemoryChannel()
        self.engine = QdrantCollections(lambda: cast("Channel", self.memory), build_collections({}), Placement())
        self.restore = PointsRestore(self.manifest, self.source, self.engine, models or {})

    def source(self, collection: str) -> BackupPointSource:
        return BackupPointSource(self.backup, self.manifest.collections[collection].objects)

    def stored(self) -> list[StoredPoint]:
        pages = [self.engine.points(SERVED.stored_as).page(part, None, 100) for part in range(PART_COUNT)]
        return [point for page in pages if page for point in page.points]


def one_page() -> Callable[[], bool]:
    """Return a `has_time_left` that allows one page."""
    allowed = iter([True])
    return lambda: next(allowed, False)


@pytest.fixture
def points(scenario: BackupScenario) -> Iterator[Points]:
    restored = Points(scenario)
    yield restored
    restored.memory.close()


def test_points_are_restored_page_by_page_however_often_a_function_ends(points: Points) -> None:
    lane, calls = Lane(SERVED.name, range(PART_COUNT)), 0
    while not lane.done:
        # A function that died after its page repeats it.
        points.restore.advance(lane, one_page())
        lane = points.restore.advance(lane, one_page())
        calls += 1
    assert calls > 2 * PART_COUNT
    stored = points.stored()
    assert sorted(point.payload["n"] for point in stored) == list(range(40))
    assert all(list(point.vector) == vector(point.payload["n"]) for point in stored)
    assert points.restore.serve(SERVED.name) == 40
    assert points.engine.describe(build_collections({})[SERVED.name]).stored_as == SERVED.stored_as


def test_a_point_that_differs_from_the_backup_is_found(points: Points) -> None:
    parts = list(range(PART_COUNT))
    copied = Lane(SERVED.name, parts)
    while copied.parts:
        copied = points.restore.advance(copied, one_page())
    changed = points.stored()[-1]
    points.engine.points(SERVED.stored_as).put([replace(changed, payload={**changed.payload, "n": -1})])
    with pytest.raises(NotRestorable, match="its payload differs"):
        points.restore.advance(copied, lambda: True)


def test_a_collection_whose_model_is_missing_is_refused(scenario: BackupScenario, points: Points) -> None:
    dumped = points.manifest.collections[SERVED.name]
    of_titan = replace(dumped, served=replace(SERVED, model="titan"))
    manifest = replace(points.manifest, collections={SERVED.name: of_titan})
    for models, is_refused in (({}, True), ({SERVED.name: frozenset({"titan"})}, False)):
        points_restore = PointsRestore(manifest, points.source, points.engine, models)
        if is_refused:
            with pytest.raises(NotRestorable, match="embedded by titan, which this deployment does not have"):
                points_restore.advance(Lane(SERVED.name, [0]), lambda: True)
        else:
            assert points_restore.advance(Lane(SERVED.name, [0]), lambda: True).done
    with pytest.raises(NotFound):
        points.restore.advance(Lane("task_vectors", [0]), lambda: True)
