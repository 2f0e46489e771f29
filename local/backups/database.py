"""Restore the database of a backup into an empty one of this machine."""

from collections.abc import Sequence

import psycopg

from email_sender.adapters.postgres.restored_database import EraseAgain, KeyTransfer, load
from email_sender.backups.model import DatabaseDump
from email_sender.vectors.served_collections import ServedCollection
from local.backups.backup_folder import BackupFolder, Report


def load_database(
    url: str,
    folder: BackupFolder,
    database_dump: DatabaseDump,
    keys: KeyTransfer,
    report: Report,
    erase_again: EraseAgain | None = None,
) -> None:
    """Restore all tables in one transaction. `url` is the superuser's. Raises NotRestorable."""
    with psycopg.connect(url) as conn:
        load(conn, folder, database_dump, keys, report, erase_again)


def update_served_collections(url: str, collections: Sequence[ServedCollection]) -> None:
    """Store the changed settings of the restored collections."""
    with psycopg.connect(url) as conn:
        for collection in collections:
            conn.execute(
                "update email_sender.served_collections set size = %s, model = %s, lexical = %s where name = %s",
                [collection.size, collection.model, collection.lexical, collection.name],
            )
