"""What is known of backups. Implements backups.model.BackupRows, for the platform's role."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database, Row
from email_sender.backups import manifest as manifests
from email_sender.backups.model import Backup, BackupStatus, Manifest, PointsObject, StoredObject
from email_sender.errors import NotFound

_ADD = """
insert into backup_objects (backup_id, collection, part, after, position, key, points, checksum, bytes, sha256)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing
"""
# Ids are in hexadecimal, whatever the database's own order is.
_LAST = """
select * from backup_objects where backup_id = %s and collection = %s and part = %s
order by position collate "C" desc limit 1
"""
_OBJECTS = """
select * from backup_objects where backup_id = %s and collection = %s order by part, position collate "C"
"""
_NOTE = "update backups set manifest = %s where id = %s and manifest is null"
_END = "update backups set status = %s, finished_at = %s, reason = %s where id = %s and status = 'running'"


class PostgresBackups:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, new: Backup) -> Backup:
        with self._database.platform() as conn:
            conn.execute(
                "insert into backups (id, status, started_at, location) values (%s, %s, %s, %s) on conflict do nothing",
                [new.id, new.status, new.started_at, new.location],
            )
            conn.commit()
        return self.get(new.id)

    def forget(self, before: datetime) -> int:
        with self._database.platform() as conn:
            gone = conn.execute("delete from backups where started_at < %s", [before]).rowcount
            conn.commit()
        return gone

    def give_up(self, before: datetime, reason: str) -> int:
        with self._database.platform() as conn:
            changed = conn.execute(
                "update backups set status = 'failed', finished_at = now(), reason = %s "
                "where status = 'running' and started_at < %s",
                [reason, before],
            ).rowcount
            conn.commit()
        return changed

    def get(self, backup_id: UUID) -> Backup:
        with self._database.platform() as conn:
            row = conn.execute("select * from backups where id = %s", [backup_id]).fetchone()
        if row is None:
            raise NotFound("There is no such backup.")
        return _backup(row)

    def note_dump(self, backup_id: UUID, manifest: Manifest) -> Manifest:
        with self._database.platform() as conn:
            conn.execute(_NOTE, [Jsonb(manifests.to_json(manifest)), backup_id])
            conn.commit()
        return self.get(backup_id).manifest or manifest

    def last(self, backup_id: UUID, collection: str, part: int) -> PointsObject | None:
        with self._database.platform() as conn:
            row = conn.execute(_LAST, [backup_id, collection, part]).fetchone()
        return _object(row) if row else None

    def add(self, backup_id: UUID, collection: str, page: PointsObject) -> PointsObject:
        stored = page.stored
        with self._database.platform() as conn:
            conn.execute(
                _ADD,
                [
                    backup_id, collection, page.part, page.after, page.position, stored.key, page.points,
                    page.checksum, stored.bytes, stored.sha256,
                ],
            )  # fmt: skip
            conn.commit()
        return self.last(backup_id, collection, page.part) or page

    def objects(self, backup_id: UUID, collection: str) -> Sequence[PointsObject]:
        with self._database.platform() as conn:
            rows = conn.execute(_OBJECTS, [backup_id, collection]).fetchall()
        return [_object(row) for row in rows]

    def end(self, backup_id: UUID, status: BackupStatus, at: datetime, *, reason: str | None = None) -> None:
        with self._database.platform() as conn:
            conn.execute(_END, [status, at, reason, backup_id])
            conn.execute("delete from backup_objects where backup_id = %s", [backup_id])
            conn.commit()

    def complete(self, manifest: Manifest) -> None:
        with self._database.platform() as conn:
            conn.execute(
                "update backups set status = 'completed', finished_at = %s, reason = null, manifest = %s where id = %s",
                [manifest.finished_at, Jsonb(manifests.summary(manifest)), manifest.backup_id],
            )
            conn.execute("delete from backup_objects where backup_id = %s", [manifest.backup_id])
            conn.commit()


def _backup(row: Row) -> Backup:
    manifest = manifests.from_json(row["manifest"]) if row["manifest"] else None
    return Backup(
        row["id"], BackupStatus(row["status"]), row["started_at"], row["location"], manifest, row["reason"]
    )  # fmt: skip


def _object(row: Row) -> PointsObject:
    stored = StoredObject(row["key"], row["bytes"], row["sha256"])
    return PointsObject(row["part"], row["after"], row["position"], row["points"], int(row["checksum"]), stored)
