"""Exports and migrations on PostgreSQL: the steps as the state machine calls them, killed between any two calls."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import methodcaller
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from moto import mock_aws

from email_sender.errors import Conflict, InvalidInput, NotFound, Unavailable
from email_sender.kit.system_clock import new_id
from email_sender.vectors.jobs.model import Job, JobStatus, Source, SourceKind
from email_sender.vectors.jobs.service import TargetOverrides
from email_sender.vectors.model import (
    Condition,
    Delete,
    Distance,
    Filter,
    Nearest,
    Point,
    PointSelector,
    Search,
    SetPayload,
)
from tests.database import Cluster
from tests.functional.test_archive_texts import archive_message
from tests.functional.vector_job_scenario import BUCKET, FAR, NEAR, PLATFORM, Killed, VectorJobScenario

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]


@pytest.fixture
def scenario(new_tenant: Callable[[], UUID], cluster: Cluster) -> Iterator[VectorJobScenario]:
    # One connection for each role, as in an execution environment: code that needs a second one blocks itself.
    app, platform = cluster.database("app", size=1), cluster.database("platform", size=1)
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        job_scenario = VectorJobScenario(app, platform, [new_tenant(), new_tenant()])
        yield job_scenario
        job_scenario.memory.close()


def test_a_migration_copies_the_whole_collection(scenario: VectorJobScenario) -> None:
    scenario.memory.snapshots = False
    before = scenario.read_points()
    assert len(before) == 40
    job = scenario.run(scenario.migrate())
    assert (job.status, job.error) == (JobStatus.SWITCHED, None)
    assert (scenario.served_collection.stored_as, scenario.served_collection.noted) == (f"{scenario.name}-2", True)
    assert scenario.read_points() == before
    assert scenario.visible_ids(scenario.own_tenant) == scenario.visible_ids(scenario.other_tenant) == set(range(20))
    assert job.report["points"] == 40
    assert job.report["vectors_compared"] == 40
    # Without snapshots, the migration exports first.
    assert job.report["export"].startswith(f"s3://{BUCKET}/exports/{job.id}/")


def test_an_engine_with_snapshots_takes_a_snapshot_instead_of_an_export(scenario: VectorJobScenario) -> None:
    job = scenario.run(scenario.migrate())
    assert (job.status, job.report["snapshot"]) == (JobStatus.SWITCHED, f"{scenario.name}-1.snapshot")
    assert "export" not in job.report


def test_a_migration_to_another_model_embeds_the_stored_texts_again(scenario: VectorJobScenario) -> None:
    job = scenario.run(scenario.migrate(Source(text_key="text"), model="vowels"))
    assert (job.status, job.error) == (JobStatus.SWITCHED, None)
    assert (scenario.served_collection.size, scenario.served_collection.model) == (3, "vowels")
    scenario.served_collections.invalidate()
    scenario.served_collections.refresh()
    assert (scenario.served_collections[scenario.name].size, scenario.served_collections[scenario.name].model) == (
        3,
        "vowels",
    )
    # Many "a"s before one "e": the direction of the first letter.
    (first,) = scenario.index.search(scenario.own_tenant, scenario.name, Search(Nearest([1.0, 0.0, 0.0]), limit=1))
    assert first.id == 19


def test_a_point_without_text_stops_a_migration_that_needs_it(scenario: VectorJobScenario) -> None:
    scenario.write(lambda index: index.upsert(scenario.own_tenant, scenario.name, [Point(99, NEAR, {"other": 1})]))
    job = scenario.run(scenario.migrate(Source(text_key="text"), model="vowels"))
    assert (job.status, scenario.served_collection.stored_as, scenario.served_collection.noted) == (
        JobStatus.FAILED, f"{scenario.name}-1", False,
    )  # fmt: skip
    assert job.error is not None
    assert "1 points could not be converted" in job.error
    assert "it has no stored text" in job.error
    assert scenario.collections() == {f"{scenario.name}-1"}
    assert scenario.visible_ids(scenario.own_tenant) == {*range(20), 99}


def test_a_migration_to_another_distance_keeps_the_vectors(scenario: VectorJobScenario) -> None:
    job = scenario.run(scenario.migrate(distance=Distance.EUCLID))
    assert (job.status, scenario.served_collection.distance) == (JobStatus.SWITCHED, Distance.EUCLID)


def test_writes_during_a_migration_are_present_after_the_switch(scenario: VectorJobScenario) -> None:
    def write_at_step(step: str) -> None:
        writes_by_step = {
            "copy done": lambda index: index.upsert(
                scenario.own_tenant, scenario.name, [Point(3, FAR, {"v": 2}), Point(50, NEAR, {"v": 1})]
            ),
            "compare done": lambda index: index.delete(scenario.own_tenant, scenario.name, [4]),
            "switch": lambda index: index.write(
                scenario.other_tenant,
                scenario.name,
                [
                    SetPayload(PointSelector(filter=Filter(must=[Condition("contact", any_of=["c1"])])), {"w": 1}),
                    Delete(PointSelector(filter=Filter(must=[Condition("contact", any_of=["c2"])]))),
                ],
            ),
        }
        if step in writes_by_step:
            scenario.write(writes_by_step.pop(step))

    scenario.on_step = write_at_step
    job = scenario.run(scenario.migrate())
    assert (job.status, job.error) == (JobStatus.SWITCHED, None)
    assert scenario.read_points() == scenario.read_points(f"{scenario.name}-1")
    assert scenario.visible_ids(scenario.own_tenant) == (set(range(20)) | {50}) - {4}
    assert scenario.visible_ids(scenario.other_tenant) == {number for number in range(20) if number % 3 != 2}


def test_a_failed_comparison_switches_nothing(scenario: VectorJobScenario) -> None:
    def spoil(step: str) -> None:
        if step == "copy done":
            point = next(iter(scenario.read_points().items()))
            stored_point = scenario.engine.points(f"{scenario.name}-2").get([point[0]])[point[0]]
            scenario.engine.points(f"{scenario.name}-2").put(
                [replace(stored_point, payload={**stored_point.payload, "text": "spoilt"})]
            )

    scenario.on_step = spoil
    job = scenario.run(scenario.migrate())
    assert (job.status, scenario.served_collection.stored_as) == (JobStatus.FAILED, f"{scenario.name}-1")
    assert job.error is not None
    assert "its payload differs" in job.error


def test_a_changed_vector_is_detected(scenario: VectorJobScenario) -> None:
    def spoil(step: str) -> None:
        if step == "copy done":
            target = scenario.engine.points(f"{scenario.name}-2")
            for stored_point in target.get(list(scenario.read_points())).values():
                target.put([replace(stored_point, vector=stored_point.vector[::-1])])

    scenario.on_step = spoil
    job = scenario.run(scenario.migrate())
    assert (job.status, job.error is not None and "its vector differs" in job.error) == (JobStatus.FAILED, True)


def test_an_extra_point_is_detected_at_the_last_count(scenario: VectorJobScenario) -> None:
    def spoil(step: str) -> None:
        if step == "compare done":
            target = scenario.engine.points(f"{scenario.name}-2")
            stored_point = next(iter(target.get(list(scenario.read_points())).values()))
            target.put([replace(stored_point, id=str(uuid4()))])

    scenario.on_step = spoil
    job = scenario.run(scenario.migrate())
    assert (job.status, scenario.served_collection.stored_as) == (JobStatus.FAILED, f"{scenario.name}-1")
    assert job.error == "The new collection holds 41 points instead of 40."


def test_a_rollback_brings_back_later_writes(scenario: VectorJobScenario) -> None:
    job = scenario.run(scenario.migrate())
    scenario.write(
        lambda index: index.upsert(
            scenario.own_tenant, scenario.name, [Point(60, NEAR, {"n": 1}), Point(2, FAR, {"n": 2})]
        )
    )
    scenario.write(lambda index: index.delete(scenario.other_tenant, scenario.name, [5]))
    after = scenario.read_points()
    job = scenario.run(scenario.service.roll_back(PLATFORM, job.id, discard=False))
    assert (job.status, job.error) == (JobStatus.ROLLED_BACK, None)
    assert (scenario.served_collection.stored_as, scenario.served_collection.noted) == (f"{scenario.name}-1", False)
    assert scenario.read_points() == after
    assert scenario.collections() == {f"{scenario.name}-1"}
    assert scenario.registry.count_changes(scenario.name) == 0
    # The next migration may start.
    assert scenario.run(scenario.migrate()).status is JobStatus.SWITCHED


def test_points_that_cannot_be_brought_back_stop_a_rollback_unless_discarded(scenario: VectorJobScenario) -> None:
    job = scenario.run(scenario.migrate(Source(text_key="text"), model="vowels"))
    new_point = Point(70, [1.0, 0.0, 0.0], {"no": "text"})
    scenario.write(lambda index: index.upsert(scenario.own_tenant, scenario.name, [new_point]))
    job = scenario.run(scenario.service.roll_back(PLATFORM, job.id, discard=False))
    assert (job.status, scenario.served_collection.stored_as) == (JobStatus.SWITCHED, f"{scenario.name}-2")
    assert job.error is not None
    assert "it has no stored text" in job.error
    job = scenario.run(scenario.service.roll_back(PLATFORM, job.id, discard=True))
    assert (job.status, scenario.served_collection.stored_as) == (JobStatus.ROLLED_BACK, f"{scenario.name}-1")
    assert scenario.visible_ids(scenario.own_tenant) == set(range(20))


def test_a_rollback_that_fails_after_its_switch_is_still_a_rollback(scenario: VectorJobScenario) -> None:
    job = scenario.run(scenario.migrate())
    job = scenario.service.roll_back(PLATFORM, job.id, discard=False)
    assert scenario.steps.catch_up(PLATFORM, job.id)
    assert scenario.steps.switch(PLATFORM, job.id)
    scenario.steps.fail(PLATFORM, job.id, "the engine did not answer")
    assert (scenario.job(job).status, scenario.collections()) == (JobStatus.ROLLED_BACK, {f"{scenario.name}-1"})
    assert scenario.visible_ids(scenario.own_tenant) == set(range(20))


def test_finishing_that_fails_halfway_continues(scenario: VectorJobScenario) -> None:
    job = scenario.run(scenario.migrate())
    job = scenario.service.finish(PLATFORM, job.id)
    scenario.steps.fail(PLATFORM, job.id, "the engine did not answer")
    assert (scenario.job(job).status, scenario.job(job).report["delayed"]) == (
        JobStatus.FINISHING, "the engine did not answer",
    )  # fmt: skip
    with pytest.raises(Conflict):
        scenario.service.roll_back(PLATFORM, job.id, discard=False)
    assert scenario.run(job).status is JobStatus.COMPLETED


def test_finishing_drops_the_old_collection(scenario: VectorJobScenario) -> None:
    job = scenario.run(scenario.migrate())
    with pytest.raises(Conflict, match="is open"):
        scenario.migrate()
    job = scenario.run(scenario.service.finish(PLATFORM, job.id))
    assert (job.status, scenario.collections()) == (JobStatus.COMPLETED, {f"{scenario.name}-2"})
    assert (scenario.served_collection.stored_as, scenario.served_collection.noted) == (f"{scenario.name}-2", False)
    with pytest.raises(Conflict, match="Only a switched migration"):
        scenario.service.roll_back(PLATFORM, job.id, discard=False)
    # A deployment finds the served collection unchanged, and the alias points to it.
    assert scenario.preparation.prepare() == []
    assert scenario.memory._aliases[scenario.name] == f"{scenario.name}-2"


def test_an_export_is_imported_into_another_collection(scenario: VectorJobScenario) -> None:
    before = scenario.read_points()
    export_job = scenario.run(scenario.service.export(PLATFORM, new_id(), scenario.name, "ann"))
    assert (export_job.status, export_job.report["points"]) == (JobStatus.COMPLETED, 40)
    scenario.write(
        lambda index: index.write(scenario.own_tenant, scenario.name, [Delete(PointSelector(filter=Filter()))])
    )
    assert scenario.visible_ids(scenario.own_tenant) == set()
    job = scenario.run(scenario.migrate(Source(SourceKind.EXPORT, export_id=export_job.id)))
    assert (job.status, job.error) == (JobStatus.SWITCHED, None)
    assert scenario.read_points() == before


def test_an_export_with_a_missing_part_is_refused(scenario: VectorJobScenario) -> None:
    export_job = scenario.run(scenario.service.export(PLATFORM, new_id(), scenario.name, "ann"))
    s3 = boto3.client("s3", region_name="us-east-1")
    exported_objects = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"exports/{export_job.id}/")["Contents"]
    s3.delete_object(Bucket=BUCKET, Key=exported_objects[0]["Key"])
    job = scenario.run(scenario.migrate(Source(SourceKind.EXPORT, export_id=export_job.id)))
    assert (job.status, scenario.served_collection.stored_as) == (JobStatus.FAILED, f"{scenario.name}-1")
    assert job.error is not None
    assert "its manifest says 40" in job.error
    failed_job = scenario.run(scenario.migrate(Source(SourceKind.EXPORT, export_id=new_id())))
    assert failed_job.error is not None
    assert "does not exist or is incomplete" in failed_job.error


def test_an_export_of_another_models_vectors_needs_texts(scenario: VectorJobScenario) -> None:
    export_job = scenario.run(scenario.service.export(PLATFORM, new_id(), scenario.name, "ann"))
    job = scenario.run(scenario.migrate(Source(SourceKind.EXPORT, export_id=export_job.id), model="vowels"))
    assert (job.status, scenario.served_collection.stored_as) == (JobStatus.FAILED, f"{scenario.name}-1")
    assert job.error is not None
    assert "embedded by letters, not by vowels" in job.error
    job = scenario.run(scenario.migrate(Source(SourceKind.EXPORT, "text", export_job.id), model="vowels"))
    assert (job.status, job.error, scenario.served_collection.size) == (JobStatus.SWITCHED, None, 3)


def test_a_job_of_a_collection_no_longer_served_changes_nothing(scenario: VectorJobScenario) -> None:
    job = scenario.migrate()
    moved_collection = replace(scenario.served_collection, stored_as=f"{scenario.name}-2")
    scenario.engine.create_if_missing(moved_collection)
    with scenario.registry.exclusive_access(scenario.name) as access:
        access.serve(moved_collection)
    job = scenario.run(job)
    assert (job.status, scenario.served_collection) == (JobStatus.FAILED, moved_collection)
    assert job.error is not None
    assert "is served now instead of" in job.error
    assert scenario.collections() == {f"{scenario.name}-1", f"{scenario.name}-2"}


@pytest.mark.parametrize(
    ("source", "options", "expected_message"),
    [
        (Source(), {"size": 5}, "letters returns vectors of 4"),
        (Source(), {"model": "magic"}, "letters, vowels"),
        (Source(), {"model": "vowels"}, "Name the payload key"),
        (Source(text_key="text"), {"model": "vowels", "size": 4}, "vowels returns vectors of 3"),
    ],
)
def test_an_impossible_migration_is_refused_at_once(
    scenario: VectorJobScenario, source: Source, options: Any, expected_message: str
) -> None:
    with pytest.raises(InvalidInput, match=expected_message):
        scenario.migrate(source, **options)
    with pytest.raises(InvalidInput, match="The collections are"):
        scenario.service.migrate(PLATFORM, new_id(), "nothing", Source(), TargetOverrides(), "ann")
    with pytest.raises(NotFound):
        scenario.service.get(PLATFORM, new_id())


def test_a_repeated_request_is_the_same_job_and_the_sweep_starts_a_lost_one(
    scenario: VectorJobScenario, cluster: Cluster
) -> None:
    job_id = new_id()
    first = scenario.service.migrate(PLATFORM, job_id, scenario.name, Source(), TargetOverrides(), "ann")
    repeated_job = scenario.service.migrate(PLATFORM, job_id, scenario.name, Source(), TargetOverrides(), "ann")
    assert (first.id, first.created_at) == (repeated_job.id, repeated_job.created_at)
    with cluster.connect_as_owner() as conn:
        conn.execute(
            "update email_sender.vector_jobs set created_at = now() - interval '1 hour' where id = %s", [job_id]
        )
    before = len(scenario.started_executions)
    scenario.service.sweep(PLATFORM)
    assert f"{job_id}-running" in scenario.started_executions[before:]


@pytest.mark.parametrize("mode", ["migration", "rollback", "finish"])
def test_a_job_killed_anywhere_and_restarted_ends_the_same(scenario: VectorJobScenario, mode: str) -> None:
    """Kill the job before and after calls of the database, the engine and the registry, spread over its course."""
    # A migration makes hundreds of calls; the other modes cover its beginning and its end as well.
    interval = {"migration": 43, "rollback": 4, "finish": 2}[mode]
    turn = 0
    while True:
        turn += interval
        job = scenario.migrate()
        if mode != "migration":
            job = scenario.run(job)
            points = [Point(60, NEAR, {"n": turn})]
            scenario.write(methodcaller("upsert", scenario.own_tenant, scenario.name, points))
            expected_points = scenario.read_points()
            if mode == "rollback":
                job = scenario.service.roll_back(PLATFORM, job.id, discard=False)
            else:
                job = scenario.service.finish(PLATFORM, job.id)
        else:
            expected_points = scenario.read_points()
        scenario.calls_left = turn
        try:
            job = scenario.run(job)
            has_survived = True
        except Killed:
            has_survived = False
        scenario.calls_left = None
        if not has_survived:
            job = scenario.run(job)
        expected_statuses = {
            "migration": JobStatus.SWITCHED,
            "rollback": JobStatus.ROLLED_BACK,
            "finish": JobStatus.COMPLETED,
        }
        assert (job.status, job.error) == (expected_statuses[mode], None), turn
        assert scenario.read_points() == expected_points, turn
        if mode == "migration":
            scenario.run(scenario.service.finish(PLATFORM, job.id))
        assert len(scenario.collections()) == 1, turn
        if has_survived:
            break
    assert turn > 3 * interval


def test_a_write_after_a_switch_is_refused_until_refreshed(scenario: VectorJobScenario) -> None:
    scenario.served_collections.refresh()
    scenario.run(scenario.migrate())
    with pytest.raises(Unavailable, match="has just been switched"):
        scenario.writer.upsert(scenario.own_tenant, scenario.name, [Point(80, NEAR)])
    scenario.served_collections.refresh()
    scenario.writer.upsert(scenario.own_tenant, scenario.name, [Point(80, NEAR)])
    assert 80 in scenario.visible_ids(scenario.own_tenant)


def test_a_repair_removes_the_points_of_deleted_messages_wherever_it_is_killed(
    scenario: VectorJobScenario, cluster: Cluster
) -> None:
    kept = archive_message(cluster, cluster.database("app", size=1), scenario.own_tenant, b"I stay.")
    gone = [uuid4() for _ in range(3)]
    expected_points = scenario.read_points()

    def add_message_points() -> None:
        points = [Point(message_id, NEAR, {"import": "1"}) for message_id in (kept, *gone)]
        # A client's own point may have any UUID.
        points.append(Point(UUID(int=5), NEAR, {"text": "mine"}))
        scenario.write(lambda writer: writer.upsert(scenario.own_tenant, scenario.name, points))

    def repair() -> Job:
        job = scenario.service.export(PLATFORM, new_id(), scenario.name, "ann")
        with scenario.units(PLATFORM) as unit:
            unit.conn.execute("update vector_jobs set kind = 'repair' where id = %s", [job.id])
            unit.commit()
        return scenario.job(job)

    add_message_points()
    job = scenario.run(repair())
    assert (job.status, job.error) == (JobStatus.COMPLETED, None)
    assert job.report == {"points": 45, "removed": 3}
    assert len(scenario.read_points()) == len(expected_points) + 2
    turn, has_survived = 0, False
    while not has_survived:
        turn += 3
        add_message_points()
        job = repair()
        scenario.calls_left = turn
        try:
            job, has_survived = scenario.run(job), True
        except Killed:
            scenario.calls_left = None
            job = scenario.run(job)
        scenario.calls_left = None
        assert job.status is JobStatus.COMPLETED, turn
        assert len(scenario.read_points()) == len(expected_points) + 2, turn
    assert turn > 20


def test_only_the_mail_archive_can_be_repaired(scenario: VectorJobScenario) -> None:
    with pytest.raises(InvalidInput, match="Only points of message_vectors"):
        scenario.service.repair(PLATFORM, new_id(), scenario.name, "ann")
