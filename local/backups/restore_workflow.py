"""Restore a backup into an empty `.local`: in a temporary folder, which is moved into place at the end."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from email_sender.adapters.postgres.archive_texts import ArchiveTexts
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.erasures import erase_again
from email_sender.adapters.postgres.vault import PostgresVault
from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.backups.model import Manifest, NotRestorable
from local.backups import collections
from local.backups.backup_folder import ERASURES, BackupFolder, Report, fetch, fetch_erasures, read_erasures
from local.backups.database import load_database, update_served_collections
from local.backups.wrapping_keys import LocalKeys, own_wrapper
from local.database import DATABASE
from local.layout import PORTS, Layout
from local.ports import HOST, pick_port
from local.postgres import Postgres
from local.processes import Supervisor
from local.qdrant.spec import qdrant_spec

# The folders with data. The engine's is moved first: if only that succeeded, the next restore reports its data.
_PARTS = ("qdrant", "postgres")


def restore(backup: str, layout: Layout, key: str | None, report: Report, tenant_keys: str | None = None) -> Manifest:
    """Restore a backup and return its manifest.

    `backup` is a folder or s3://<bucket>/<backup>; `key` and `tenant_keys` are those of LocalKeys.

    Raises:
        NotRestorable: the backup was not restored, and nothing has changed.
    """
    for part in _PARTS:
        if layout.directory(part).exists():
            raise NotRestorable(
                f"There is data in {layout.directory(part)}, but a restore needs an empty local cloud. Stop the local "
                f"cloud and move {layout.home} away, but keep {layout.key_file.parent}: without these keys, nobody can "
                "read a backup."
            )
    staging = Layout(layout.home / "restoring")
    # A restore that was killed may have left this folder.
    shutil.rmtree(staging.home, ignore_errors=True)
    staging.home.mkdir(parents=True)
    try:
        path = _path_of(backup, staging.home / "backup", report)
        folder = BackupFolder(path)
        erasures = read_erasures(path)
        keys = LocalKeys(layout, key, tenant_keys)
        erase = partial(
            erase_again, erasures=erasures, unwrap=lambda tenant, wrapped: own_wrapper(layout).unwrap(tenant, wrapped)
        )
        manifest = folder.verify(report)
        with _timed("Restored everything", report), Supervisor() as supervisor:
            server = Postgres(staging.directory("postgres"), pick_port("postgres", PORTS["postgres"], report))
            server.prepare()
            url = f"{server.url(DATABASE)}?options=-csearch_path%3Demail_sender"
            supervisor.start(server.spec())
            with psycopg.connect(server.url(), autocommit=True) as conn:
                conn.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
            load_database(url, folder, manifest.database, keys, report, erase if erasures else None)
            grpc_port = pick_port("qdrant-grpc", PORTS["qdrant-grpc"], report)
            http_port = pick_port("qdrant", PORTS["qdrant"], report, [grpc_port])
            log = staging.home / "qdrant.log"
            supervisor.start(qdrant_spec(staging.directory("qdrant"), log, grpc_port, http_port))
            with (
                closing(Channel(Address(HOST, grpc_port, tls=False))) as channel,
                closing(Database(lambda: url)) as connections,
            ):
                archive = ArchiveTexts(connections, PostgresVault(connections, own_wrapper(layout)))
                served_collections = collections.load(channel, folder, manifest.collections, archive, report)
            update_served_collections(url, served_collections)
        for part in _PARTS:
            staging.directory(part).rename(layout.directory(part))
        return manifest
    finally:
        shutil.rmtree(staging.home, ignore_errors=True)


def _path_of(backup: str, into: Path, report: Report) -> Path:
    if not backup.startswith("s3://"):
        return Path(backup)
    import boto3

    client = boto3.client("s3")
    folder = fetch(client, backup, into, report)
    fetch_erasures(client, backup, into.parent / ERASURES)
    return folder


@contextmanager
def _timed(task: str, report: Report) -> Iterator[None]:
    started = time.perf_counter()
    yield
    report(f"{task} in {time.perf_counter() - started:.1f} s")
