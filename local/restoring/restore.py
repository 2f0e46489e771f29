"""A backup into an empty `.local`: made in a folder aside, and put in its place when all of it is there."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from email_sender.adapters.key_wrappers import FileKeyWrapper
from email_sender.adapters.postgres.archive_texts import ArchiveTexts
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.vault import PostgresVault
from email_sender.backups.model import Manifest
from local.database import DATABASE
from local.layout import PORTS, Layout
from local.ports import HOST, pick
from local.postgres import Postgres
from local.processes import Supervisor
from local.qdrant.spec import qdrant_spec
from local.restoring import NotRestorable, points, tables
from local.restoring.files import BackupFolder, Report, fetch
from local.restoring.keys import rewrapping

# What facts lie in. The engine's first: where it alone is in its place, the next restore says that it is there.
_PARTS = ("qdrant", "postgres")


def restore(backup: str, layout: Layout, key: str | None, report: Report) -> Manifest:
    """`backup` is a folder or s3://…; `key` as for keys.rewrapping. Returns what was restored.

    Raises:
        NotRestorable: it was not, and nothing has changed.
    """
    for part in _PARTS:
        if layout.directory(part).exists():
            raise NotRestorable(
                f"There is data in {layout.directory(part)}: a backup is restored into an empty local cloud. Stop it "
                f"and move {layout.home} away, but keep {layout.key_file}."
            )
    aside = Layout(layout.home / "restoring")
    # Left by one that was killed.
    shutil.rmtree(aside.home, ignore_errors=True)
    aside.home.mkdir(parents=True)
    try:
        folder = BackupFolder(_path_of(backup, aside.home / "backup", report))
        rewrap = rewrapping(layout, key)
        manifest = folder.verified(report)
        with _timed("all of it", report), Supervisor() as supervisor:
            server = Postgres(aside.directory("postgres"), pick("postgres", PORTS["postgres"], report))
            server.prepare()
            url = f"{server.url(DATABASE)}?options=-csearch_path%3Demail_sender"
            supervisor.start(server.spec())
            with psycopg.connect(server.url(), autocommit=True) as conn:
                conn.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
            tables.load(url, folder, manifest.database, rewrap, report)
            grpc_port = pick("qdrant-grpc", PORTS["qdrant-grpc"], report)
            http_port = pick("qdrant", PORTS["qdrant"], report, [grpc_port])
            log = aside.home / "qdrant.log"
            supervisor.start(qdrant_spec(aside.directory("qdrant"), log, grpc_port, http_port))
            with (
                closing(Channel(Address(HOST, grpc_port, tls=False))) as channel,
                closing(Database(lambda: url)) as own,
            ):
                archive = ArchiveTexts(own, PostgresVault(own, FileKeyWrapper(layout.key_file)))
                served = points.load(channel, folder, manifest.collections, archive, report)
            tables.serve(url, served)
        for part in _PARTS:
            aside.directory(part).rename(layout.directory(part))
        return manifest
    finally:
        shutil.rmtree(aside.home, ignore_errors=True)


def _path_of(backup: str, into: Path, report: Report) -> Path:
    if not backup.startswith("s3://"):
        return Path(backup)
    import boto3

    return fetch(boto3.client("s3"), backup, into, report)


@contextmanager
def _timed(what: str, report: Report) -> Iterator[None]:
    started = time.perf_counter()
    yield
    report(f"{what}: {time.perf_counter() - started:.1f} s")
