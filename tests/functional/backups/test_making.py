"""Backups made: of one moment, repeated, killed, too large, past their time."""

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
from email_sender.backups.model import BackupStatus, Manifest, ObjectWriter, StoredObject, backup_of
from email_sender.backups.points import PointsBackup
from email_sender.backups.steps import Lane
from email_sender.errors import Conflict, NotFound
from tests.functional.backups.world import BUCKET, SERVED, SMALLEST_PART, World

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]


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
                if deadly.work(backup_id, lane.collection, lane.parts, partial(next, clock, False)):
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
