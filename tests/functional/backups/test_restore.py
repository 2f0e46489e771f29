"""Restoring backups: every row and point unchanged, and refusals before anything is written."""

import gzip
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import boto3
import psycopg
import pytest

from email_sender.adapters.aws.key_wrappers import KmsKeyWrapper
from email_sender.adapters.files.wrapping_keys import FileWrappingKeys
from email_sender.adapters.postgres.database import Database, admit_suspended
from email_sender.adapters.postgres.vault import PostgresVault
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collection_engine import QdrantCollections
from email_sender.adapters.qdrant.collection_settings import Placement
from email_sender.adapters.tenant_key_wrapper import TenantKeyWrapper
from email_sender.backups.manifest import from_bytes
from email_sender.backups.model import Manifest, NotRestorable
from email_sender.errors import InvalidInput, KeyDestroyed
from email_sender.kit.system_clock import new_id
from email_sender.vectors.jobs.transfer import StoredPoint
from email_sender.vectors.model import build_collections
from local.backups import collections
from local.backups.backup_folder import BackupFolder
from local.backups.database import load_database
from local.backups.restore_workflow import restore
from local.backups.wrapping_keys import LocalKeys, own_wrapper
from local.layout import Layout
from tests.database import Cluster
from tests.fakes.qdrant_memory import MemoryChannel
from tests.functional.backups.conftest import NewDatabase
from tests.functional.backups.scenario import SERVED, BackupScenario, fetch_all, vector
from tests.wrapping_keys import local_wrapper, new_table

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]


def load(url: str, folder: BackupFolder, layout: Layout, key: str | None = None, table: str | None = None) -> Manifest:
    manifest = folder.verify(print)
    load_database(url, folder, manifest.database, LocalKeys(layout, key, table), print)
    return manifest


def test_every_row_is_restored_unchanged(
    scenario: BackupScenario, cluster: Cluster, new_database: NewDatabase, layout: Layout, tmp_path: Path
) -> None:
    scenario.add_large_contact()
    folder = scenario.fetch_backup(scenario.back_up("rows"), tmp_path / "fetched")
    url = cluster.server.url(new_database())
    manifest = load(url, folder, layout)
    assert manifest.version == "1.2.3"
    assert manifest.database.left_out == ["backup_objects", "backups", "embeddings", "schema_migrations"]
    assert {"emails", "suppressions"} <= {name for name, table in manifest.database.tables.items() if table.rows == 0}
    queries = []
    for name in manifest.database.tables.keys() - {"triggers"}:
        queries.append(f"select '{name}', row_to_json(t)::text from {name} t")
    all_rows_query = f"{' union all '.join(queries)} order by 1, 2"
    assert fetch_all(url, all_rows_query) == scenario.query(all_rows_query)
    assert fetch_all(url, "select count(*) from embeddings") == [(0,)]
    # Triggers depend on AWS resources, which are created again.
    assert fetch_all(url, "select state from triggers") == [("pending",)]
    with psycopg.connect(url) as conn:
        highest = conn.execute("select max(sequence) from email_sender.outbox").fetchone()
        scenario.add_outbox_row(conn)
        assert conn.execute("select max(sequence) - %s from email_sender.outbox", highest).fetchone() == (1,)


def test_every_point_is_restored_and_compared(whole_backup: Path) -> None:
    folder = BackupFolder(whole_backup)
    manifest = folder.verify(print)
    dumped = manifest.collections[SERVED.name]
    assert (dumped.served, dumped.points) == (SERVED, 40)
    memory = MemoryChannel()
    collections.load(cast("Channel", memory), folder, manifest.collections, NoTexts(), print)
    engine = QdrantCollections(lambda: cast("Channel", memory), build_collections({}), Placement())
    loaded_points = [point for number in range(16) for point in _read_part(engine, number)]
    assert sorted(point.payload["n"] for point in loaded_points) == list(range(40))
    assert all(list(point.vector) == vector(point.payload["n"]) for point in loaded_points)
    memory.close()


class NoTexts:
    def texts_of(self, points: Sequence[StoredPoint]) -> dict[str, str]:
        raise AssertionError("The stored vectors are kept, so no text is needed.")


class SomeTexts:
    """Return texts for even numbers only: the other messages arrived after the database was dumped."""

    def texts_of(self, points: Sequence[StoredPoint]) -> dict[str, str]:
        return {point.id: f"message {point.payload['n']}" for point in points if point.payload["n"] % 2 == 0}


def test_messages_of_an_unavailable_model_are_embedded_again_and_other_vectors_kept(whole_backup: Path) -> None:
    folder = BackupFolder(whole_backup)
    dumped = folder.verify(print).collections[SERVED.name]
    memory, log_lines = MemoryChannel(), list[str]()
    of_titan = [
        replace(SERVED, name=name, stored_as=f"{name}-1", model="titan", lexical=True)
        for name in ("message_vectors", "document_vectors")
    ]
    dumped_collections = {
        served_collection.name: replace(dumped, served=served_collection) for served_collection in of_titan
    }
    served_collections = collections.load(
        cast("Channel", memory), folder, dumped_collections, SomeTexts(), log_lines.append
    )
    messages, documents = served_collections
    assert (messages.model, messages.size, messages.lexical) == ("minilm-l6-v2+use-multilingual-3", 896, True)
    assert (documents.model, documents.size, documents.lexical) == (None, SERVED.size, False)
    assert "Left out 20 points of message_vectors: the backup has no text for them" in log_lines
    engine = QdrantCollections(lambda: cast("Channel", memory), build_collections({}), Placement())
    assert [engine.points(served_collection.stored_as).count() for served_collection in served_collections] == [20, 40]
    memory.close()


def _read_part(engine: QdrantCollections, part: int) -> list[StoredPoint]:
    page = engine.points(SERVED.stored_as).page(part, None, 100)
    return list(page.points) if page else []


def spoil_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def spoil_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def change_rows(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\\N\n"))


def test_damaged_data_is_refused_before_anything_is_written(whole_backup: Path, layout: Layout, tmp_path: Path) -> None:
    shutil.copytree(whole_backup, tmp_path / "fetched")
    for pattern in ("contacts.copy.gz", "*.ndjson.gz"):
        path = sorted((tmp_path / "fetched").rglob(pattern))[-1]
        before = path.read_bytes()
        for spoil in (spoil_byte, spoil_end, change_rows, Path.unlink):
            spoil(path)
            with pytest.raises(NotRestorable, match=path.name):
                restore(str(tmp_path / "fetched"), layout, None, print)
            path.write_bytes(before)
    assert sorted(entry.name for entry in layout.home.iterdir()) == ["keys"]


def test_an_invalid_manifest_is_refused(whole_backup: Path, layout: Layout, tmp_path: Path) -> None:
    shutil.copytree(whole_backup, tmp_path / "fetched")
    path = tmp_path / "fetched/manifest.json"
    manifest = json.loads(path.read_text())
    invalid_manifests: list[tuple[Any, str]] = [
        ({**manifest, "format": 2}, "format 2"),
        ({**manifest, "database": {}}, "not a backup manifest"),
        ([], "not a backup manifest"),
    ]
    outside_path = json.loads(path.read_text())
    outside_path["database"]["tables"]["contacts"]["key"] = "../../secret"
    fewer_rows = json.loads(path.read_text())
    fewer_rows["database"]["tables"]["contacts"]["rows"] -= 1
    without_points = json.loads(path.read_text())
    without_points["collections"][SERVED.name]["objects"].pop()
    invalid_manifests += [
        (outside_path, "outside the backup"),
        (fewer_rows, "contacts"),
        (without_points, "do not add up to"),
    ]
    for document, expected_message in invalid_manifests:
        path.write_text(json.dumps(document))
        with pytest.raises(NotRestorable, match=expected_message):
            restore(str(tmp_path / "fetched"), layout, None, print)
    path.write_text("{")
    with pytest.raises(NotRestorable, match="not valid JSON"):
        restore(str(tmp_path / "fetched"), layout, None, print)
    path.unlink()
    with pytest.raises(NotRestorable, match="not a complete backup"):
        restore(str(tmp_path / "fetched"), layout, None, print)
    with pytest.raises(NotRestorable, match="names no backup"):
        restore("s3://bucket", layout, None, print)
    assert sorted(entry.name for entry in layout.home.iterdir()) == ["keys"]
    with pytest.raises(InvalidInput):
        from_bytes(b"[]")


def test_existing_data_is_not_touched(
    scenario: BackupScenario, layout: Layout, cluster: Cluster, new_database: NewDatabase, whole_backup: Path
) -> None:
    folder = BackupFolder(whole_backup)
    before = scenario.query("select count(*) from contacts")
    with pytest.raises(NotRestorable, match="There is data in the database already"):
        load(scenario.url, folder, layout)
    assert scenario.query("select count(*) from contacts") == before
    layout.directory("postgres").mkdir()
    with pytest.raises(NotRestorable, match="an empty local cloud"):
        restore(str(whole_backup), layout, None, print)


def test_a_backup_of_a_newer_version_is_refused(
    layout: Layout, cluster: Cluster, new_database: NewDatabase, whole_backup: Path
) -> None:
    folder = BackupFolder(whole_backup)
    manifest = folder.verify(print)
    url = cluster.server.url(new_database())
    for migrations, expected_message in (
        ({**manifest.database.migrations, "9999_later.sql": "x"}, r"9999_later\.sql, which this version does not have"),
        (dict.fromkeys(manifest.database.migrations, "x"), "other contents"),
        (dict(list(manifest.database.migrations.items())[:5]), "not those of its migrations"),
    ):
        changed_dump = replace(manifest.database, migrations=migrations)
        with pytest.raises(NotRestorable, match=expected_message):
            load_database(url, folder, changed_dump, LocalKeys(layout, None), print)
        assert fetch_all(url, "select to_regclass('email_sender.tenants')") == [(None,)]


def test_the_wrapping_key_is_required_and_a_wrong_key_restores_nothing(
    scenario: BackupScenario,
    layout: Layout,
    cluster: Cluster,
    new_database: NewDatabase,
    whole_backup: Path,
    tmp_path: Path,
    key_file: Path,
) -> None:
    folder = BackupFolder(whole_backup)
    url = cluster.server.url(new_database())
    layout.key_file.write_bytes(os.urandom(32))
    shutil.rmtree(layout.key_file.parent / "tenants")
    with pytest.raises(NotRestorable, match="are wrapped by another key"):
        load(url, folder, layout)
    assert fetch_all(url, "select to_regclass('email_sender.tenants')") == [(None,)]
    with pytest.raises(NotRestorable, match="There is no wrapping key"):
        load(url, folder, layout, str(tmp_path / "nowhere"))
    # The named key unwraps the data keys, and the key of this local cloud wraps them again.
    load(url, folder, layout, str(key_file))
    ((wrapped,),) = fetch_all(url, "select wrapped from data_keys")
    assert local_wrapper(layout.key_file).unwrap(scenario.tenant, wrapped) == b"k" * 32
    layout.key_file.unlink()
    with pytest.raises(NotRestorable, match="put that key there, with the folder"):
        load(url, folder, layout)


def test_data_keys_wrapped_by_kms_are_rewrapped_by_the_local_key(
    scenario: BackupScenario, layout: Layout, cluster: Cluster, new_database: NewDatabase, tmp_path: Path
) -> None:
    kms = boto3.client("kms", region_name="us-east-1")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    wrapped = TenantKeyWrapper(new_table("former-keys"), KmsKeyWrapper(kms, arn)).wrap(scenario.tenant, b"s" * 32)
    original_key = scenario.query("select wrapped from data_keys")[0][0]
    scenario.replace_wrapped_key(wrapped)
    try:
        folder = scenario.fetch_backup(scenario.back_up("kms"), tmp_path / "fetched")
    finally:
        scenario.replace_wrapped_key(original_key)
    url = cluster.server.url(new_database())
    load(url, folder, layout, f"kms:{arn}", "former-keys")
    ((rewrapped_key,),) = fetch_all(url, "select wrapped from data_keys")
    assert local_wrapper(layout.key_file).unwrap(scenario.tenant, rewrapped_key) == b"s" * 32


def test_the_data_of_a_tenant_deleted_since_cannot_be_read_and_is_deleted_again(
    scenario: BackupScenario, layout: Layout, cluster: Cluster, new_database: NewDatabase, whole_backup: Path
) -> None:
    keys = FileWrappingKeys(layout.key_file.parent / "tenants")
    keys.destroy(scenario.tenant)
    url = cluster.server.url(new_database())
    load(url, BackupFolder(whole_backup), layout)
    assert fetch_all(url, "select count(*) from data_keys") == [(0,)]
    # Not at once: the points are restored after the rows.
    query = (
        "select deletes_at between now() + interval '23 hours' and now() + interval '1 day', suspended_at is not null, "
        "deleted_at from email_sender.tenants where id = %s"
    )
    with psycopg.connect(url) as conn:
        assert conn.execute(query, [scenario.tenant]).fetchall() == [(True, True, None)]
        (address,) = (
            conn.execute("select address_enc from email_sender.contacts where length(address_enc) > 9").fetchone() or ()
        )
    database = Database(lambda: f"{url}?options=-csearch_path%3Demail_sender")
    vault = PostgresVault(database, own_wrapper(layout))
    with admit_suspended(), pytest.raises(KeyDestroyed):
        vault.keys_for(scenario.tenant).decrypt(bytes(address), "contacts.address")


def test_a_tenant_whose_deletion_was_planned_gets_its_time_again(
    scenario: BackupScenario, layout: Layout, cluster: Cluster, new_database: NewDatabase, tmp_path: Path
) -> None:
    plan = "update email_sender.tenants set deletes_at = %s, suspended_at = %s where id = %s"
    past = scenario.time - timedelta(days=30)
    with psycopg.connect(scenario.url) as conn:
        conn.execute(plan, [past, past, scenario.tenant])
    try:
        folder = scenario.fetch_backup(scenario.back_up("planned"), tmp_path / "fetched")
    finally:
        with psycopg.connect(scenario.url) as conn:
            conn.execute(plan, [None, None, scenario.tenant])
    url = cluster.server.url(new_database())
    load(url, folder, layout)
    with psycopg.connect(url) as conn:
        query = "select deletes_at > now() + interval '6 days' from email_sender.tenants where id = %s"
        assert conn.execute(query, [scenario.tenant]).fetchone() == (True,)


def test_a_deleted_tenant_without_keys_is_deleted_again_too(
    scenario: BackupScenario, layout: Layout, cluster: Cluster, new_database: NewDatabase, tmp_path: Path
) -> None:
    tenant = new_id()
    with psycopg.connect(scenario.url) as conn:
        conn.execute("insert into email_sender.tenants (id, name, mail_from) values (%s, 'empty', null)", [tenant])
    try:
        folder = scenario.fetch_backup(scenario.back_up("empty"), tmp_path / "fetched")
    finally:
        with psycopg.connect(scenario.url) as conn:
            conn.execute("delete from email_sender.tenants where id = %s", [tenant])
    FileWrappingKeys(layout.key_file.parent / "tenants").destroy(tenant)
    url = cluster.server.url(new_database())
    load(url, folder, layout)
    with psycopg.connect(url) as conn:
        query = "select deletes_at is not null from email_sender.tenants where id = %s"
        assert conn.execute(query, [tenant]).fetchone() == (True,)
