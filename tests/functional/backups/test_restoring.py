"""Backups restored: every row and point as it was, and what is refused before anything is written."""

import gzip
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import boto3
import psycopg
import pytest

from email_sender.adapters.key_wrappers import FileKeyWrapper
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.copying import QdrantCopying
from email_sender.adapters.qdrant.settings import Placement
from email_sender.backups.manifest import from_bytes
from email_sender.backups.model import Manifest
from email_sender.errors import InvalidInput
from email_sender.vectors.model import collections
from email_sender.vectors.transfer import Stored
from local.layout import Layout
from local.restoring import NotRestorable, points, tables
from local.restoring.files import BackupFolder
from local.restoring.keys import rewrapping
from local.restoring.restore import restore
from tests.database import Cluster
from tests.fakes.qdrant_memory import MemoryChannel
from tests.functional.backups.conftest import NewDatabase
from tests.functional.backups.world import SERVED, World, everything, vector

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]


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
    assert all(list(each.vector) == vector(each.payload["n"]) for each in found)
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
