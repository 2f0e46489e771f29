"""Records of backups. Implements backups.model.BackupRecords, for the platform role."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database, Row
from email_sender.backups import manifest as manifests
from email_sender.backups.model import Backup, BackupStatus, Manifest, PointsObject, StoredObject
from email_sender.errors import NotFound

_ADD_OBJECT = """
insert into backup_objects (backup_id, collection, part, after, position, key, points, checksum, bytes, sha256)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing
"""
# Ids are hexadecimal: the collation "C" gives them the same order in every database.
_SELECT_LAST_OBJECT = """
select * from backup_objects where backup_id = %s and collection = %s and part = %s
order by position collate "C" desc limit 1
"""
_SELECT_OBJECTS = """
select * from backup_objects where backup_id = %s and collection = %s order by part, position collate "C"
"""
_SET_MANIFEST = "update backups set manifest = %s where id = %s and manifest is null"
_END_BACKUP = "update backups set status = %s, finished_at = %s, reason = %s where id = %s and status = 'running'"


class PostgresBackups:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, new_backup: Backup) -> Backup:
        with self._database.platform() as conn:
            conn.execute(
                "insert into backups (id, status, started_at, location) values (%s, %s, %s, %s) on conflict do nothing",
                [new_backup.id, new_backup.status, new_backup.started_at, new_backup.location],
            )
            conn.commit()
        return self.get(new_backup.id)

    def delete_before(self, before: datetime) -> int:
        with self._database.platform() as conn:
            deleted_count = conn.execute("delete from backups where started_at < %s", [before]).rowcount
            conn.commit()
        return deleted_count

    def fail_overdue(self, before: datetime, reason: str) -> int:
        with self._database.platform() as conn:
            updated_count = conn.execute(
                "update backups set status = 'failed', finished_at = now(), reason = %s "
                "where status = 'running' and started_at < %s",
                [reason, before],
            ).rowcount
            conn.commit()
        return updated_count

    def get(self, backup_id: UUID) -> Backup:
        with self._database.platform() as conn:
            row = conn.execute("select * from backups where id = %s", [backup_id]).fetchone()
        if row is None:
            raise NotFound("Backup not found.")
        return _backup(row)

    def record_dump(self, backup_id: UUID, manifest: Manifest) -> Manifest:
        with self._database.platform() as conn:
            conn.execute(_SET_MANIFEST, [Jsonb(manifests.to_json(manifest)), backup_id])
            conn.commit()
        return self.get(backup_id).manifest or manifest

    def last_object(self, backup_id: UUID, collection: str, part: int) -> PointsObject | None:
        with self._database.platform() as conn:
            row = conn.execute(_SELECT_LAST_OBJECT, [backup_id, collection, part]).fetchone()
        return _object(row) if row else None

    def add_object(self, backup_id: UUID, collection: str, points_object: PointsObject) -> PointsObject:
        stored_object = points_object.stored_object
        with self._database.platform() as conn:
            conn.execute(
                _ADD_OBJECT,
                [
                    backup_id,
                    collection,
                    points_object.part,
                    points_object.after,
                    points_object.position,
                    stored_object.key,
                    points_object.points,
                    points_object.checksum,
                    stored_object.bytes,
                    stored_object.sha256,
                ],
            )
            conn.commit()
        return self.last_object(backup_id, collection, points_object.part) or points_object

    def objects(self, backup_id: UUID, collection: str) -> Sequence[PointsObject]:
        with self._database.platform() as conn:
            rows = conn.execute(_SELECT_OBJECTS, [backup_id, collection]).fetchall()
        return [_object(row) for row in rows]

    def finish(self, backup_id: UUID, status: BackupStatus, at: datetime, *, reason: str | None = None) -> None:
        with self._database.platform() as conn:
            conn.execute(_END_BACKUP, [status, at, reason, backup_id])
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
    stored_object = StoredObject(row["key"], row["bytes"], row["sha256"])
    return PointsObject(row["part"], row["after"], row["position"], row["points"], int(row["checksum"]), stored_object)
