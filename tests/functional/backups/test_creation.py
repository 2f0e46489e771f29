"""Creating backups: one consistent moment, repeated and killed steps, an oversized database, and retention."""

import os
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest

from email_sender.adapters.postgres.backups import PostgresBackups
from email_sender.backups.model import BackupStatus, Manifest, ObjectWriter, StoredObject, backup_id_for
from email_sender.backups.points import PointsBackup
from email_sender.backups.steps import Lane
from email_sender.errors import Conflict, NotFound
from tests.functional.backups.scenario import BUCKET, SERVED, SMALLEST_PART, BackupScenario

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]


def test_the_dump_shows_one_moment_despite_concurrent_writes(scenario: BackupScenario, tmp_path: Path) -> None:
    before = scenario.query("select (select count(*) from contacts), (select count(*) from outbox)")

    def write_concurrently() -> bool:
        with psycopg.connect(scenario.url) as conn:
            scenario.add_outbox_row(conn)
            conn.execute("delete from email_sender.contacts")
        return True

    backup_id = backup_id_for("busy")
    scenario.steps.begin(backup_id)
    scenario.steps.dump(backup_id, write_concurrently)
    for lane in scenario.steps.dump(backup_id, write_concurrently):
        scenario.points.copy_parts(backup_id, lane.collection, lane.parts, lambda: True)
    manifest = scenario.steps.close(backup_id)
    rows = {name: table.rows for name, table in manifest.database.tables.items()}
    assert [(rows["contacts"], rows["outbox"])] == before
    assert scenario.fetch_backup(backup_id, tmp_path / "fetched").verify(print) == manifest


def test_a_large_object_is_uploaded_in_parts_and_a_failed_upload_leaves_nothing(scenario: BackupScenario) -> None:
    scenario.add_large_contact()
    backup_id = scenario.back_up("large")
    manifest = cast("Manifest", scenario.backups.get(backup_id).manifest)
    stored_object = manifest.database.tables["contacts"].stored_object
    folder = scenario.backups.get(backup_id).folder
    assert stored_object.bytes > SMALLEST_PART
    assert "-2" in scenario.s3.head_object(Bucket=BUCKET, Key=f"{folder}/{stored_object.key}")["ETag"]
    with pytest.raises(RuntimeError, match="killed"), scenario.store.open_writer("f", "k") as writer:
        _write_and_fail(writer)
    assert "Uploads" not in scenario.s3.list_multipart_uploads(Bucket=BUCKET)
    assert "Contents" not in scenario.s3.list_objects_v2(Bucket=BUCKET, Prefix="f/")


def _write_and_fail(writer: ObjectWriter) -> None:
    writer.write(os.urandom(SMALLEST_PART + 1))
    raise RuntimeError("killed")


def test_repeated_and_killed_steps_produce_one_backup(scenario: BackupScenario, tmp_path: Path) -> None:
    backup_id = backup_id_for("again")
    assert scenario.steps.begin(backup_id) == scenario.steps.begin(backup_id)
    lanes = scenario.steps.dump(backup_id, lambda: True)
    first = scenario.backups.get(backup_id).manifest
    assert scenario.steps.dump(backup_id, lambda: True) == lanes
    assert scenario.backups.get(backup_id).manifest == first
    assert lanes[0] == Lane(SERVED.name, range(0, 16, 4))

    class Killed(Exception):
        pass

    class KilledBeforeRow(PostgresBackups):
        """Raise `Killed` at every second object, after the object was written and before its row is stored."""

        calls = 0

        def add_object(self, *arguments: Any) -> Any:
            self.calls += 1
            if self.calls % 2:
                raise Killed
            return super().add_object(*arguments)

    killed_backup = PointsBackup(
        KilledBeforeRow(scenario.roles["platform"]), scenario.points_store, scenario.engine, page_size=3
    )
    attempts = 0
    for lane in lanes:
        while True:
            attempts += 1
            assert attempts < 100
            # Points written during the backup change the pages that are not recorded yet.
            scenario.put_points(range(100 + attempts, 101 + attempts))
            try:
                # Simulate that the time runs out after five pages.
                clock = iter([True] * 5)
                if killed_backup.copy_parts(backup_id, lane.collection, lane.parts, partial(next, clock, False)):
                    break
            except Killed:
                continue
    manifest = scenario.steps.close(backup_id)
    assert scenario.steps.close(backup_id).collections[SERVED.name].points == 0  # the stored manifest lists no objects
    assert manifest.collections[SERVED.name].points >= 40
    assert scenario.fetch_backup(backup_id, tmp_path / "fetched").verify(print) == manifest
    assert scenario.query("select count(*) from backup_objects") == [(0,)]


def test_a_second_worker_of_a_part_continues_from_the_first_workers_objects(scenario: BackupScenario) -> None:
    backup_id = backup_id_for("two")
    scenario.steps.begin(backup_id)
    lanes = scenario.steps.dump(backup_id, lambda: True)

    class OvertakenBackups(PostgresBackups):
        """Simulate another worker that stored its object while this worker read the page."""

        def add_object(self, backup_id: UUID, collection: str, points_object: Any) -> Any:
            other_object = StoredObject("theirs", 1, "x")
            super().add_object(backup_id, collection, replace(points_object, stored_object=other_object))
            return super().add_object(backup_id, collection, points_object)

    overtaken_backup = PointsBackup(
        OvertakenBackups(scenario.roles["platform"]), scenario.points_store, scenario.engine
    )
    for lane in lanes:
        assert overtaken_backup.copy_parts(backup_id, lane.collection, lane.parts, lambda: True)
    stored_objects = scenario.backups.objects(backup_id, SERVED.name)
    assert {stored_object.stored_object.key for stored_object in stored_objects} == {"theirs"}
    assert (
        sum(stored_object.points for stored_object in stored_objects)
        == scenario.engine.points(SERVED.stored_as).count()
    )


def test_a_database_too_large_for_one_function_fails_with_its_reason_and_no_backup(scenario: BackupScenario) -> None:
    backup_id = backup_id_for("too large")
    scenario.steps.begin(backup_id)
    turns = iter([True] * 5)
    with pytest.raises(Conflict, match=r"too large .* of \d\d tables") as error:
        scenario.steps.dump(backup_id, lambda: next(turns, False))
    with pytest.raises(Conflict, match="not been dumped"):
        scenario.steps.close(backup_id)
    scenario.steps.fail(backup_id, error.value.detail)
    scenario.steps.fail(backup_id, "and again")
    failed_backup = scenario.backups.get(backup_id)
    assert (failed_backup.status, failed_backup.reason) == (BackupStatus.FAILED, error.value.detail)
    listed_objects = scenario.s3.list_objects_v2(Bucket=BUCKET, Prefix=failed_backup.folder).get("Contents", [])
    assert not [entry for entry in listed_objects if "manifest.json" in entry["Key"]]
    with pytest.raises(NotFound):
        scenario.steps.dump(backup_id_for("nobody's"), lambda: True)


def test_expired_backups_are_removed_and_an_unfinished_one_is_marked_failed(scenario: BackupScenario) -> None:
    old_backup = scenario.back_up("old")
    scenario.time += timedelta(days=34)
    lost_backup = backup_id_for("lost")
    scenario.steps.begin(lost_backup)
    scenario.time += timedelta(days=2)
    scenario.back_up("new")
    assert (scenario.backups.get(lost_backup).status, scenario.backups.get(lost_backup).reason) == (
        BackupStatus.FAILED,
        "The backup did not finish within a day.",
    )
    with pytest.raises(NotFound):
        scenario.backups.get(old_backup)
    assert scenario.backups.get(backup_id_for("new")).status is BackupStatus.COMPLETED
