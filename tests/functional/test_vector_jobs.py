"""Exports and migrations on PostgreSQL: the steps as the machine calls them, killed between any two of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from moto import mock_aws

from email_sender.errors import Conflict, InvalidInput, NotFound, Unavailable
from email_sender.kit.ambient import new_id
from email_sender.vectors.job_model import JobStatus, Source, SourceKind
from email_sender.vectors.jobs import Wanted
from email_sender.vectors.model import (
    Chosen,
    Condition,
    Delete,
    Distance,
    Filter,
    Nearest,
    Point,
    Search,
    SetPayload,
)
from tests.database import Cluster
from tests.functional.deployment import BUCKET, FAR, NEAR, PLATFORM, Killed, World

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]


@pytest.fixture
def world(new_tenant: Callable[[], UUID], cluster: Cluster) -> Iterator[World]:
    # One connection a role, as in a sandbox: who takes a second while it holds the first waits for itself.
    app, platform = cluster.database("app", size=1), cluster.database("platform", size=1)
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        made = World(app, platform, [new_tenant(), new_tenant()])
        yield made
        made.memory.close()


def test_a_collection_is_made_anew_with_everything_in_it(world: World) -> None:
    world.memory.snapshots = False
    before = world.state()
    assert len(before) == 40
    job = world.run(world.migrate())
    assert (job.status, job.error) == (JobStatus.SWITCHED, None)
    assert (world.now_served.stored_as, world.now_served.noted) == (f"{world.name}-2", True)
    assert world.state() == before
    assert world.ids(world.ours) == world.ids(world.theirs) == set(range(20))
    assert job.report["points"] == 40
    assert job.report["vectors_compared"] == 40
    # Without snapshots, an export came first.
    assert job.report["export"].startswith(f"s3://{BUCKET}/exports/{job.id}/")


def test_an_engine_with_snapshots_makes_one_first_and_no_export(world: World) -> None:
    job = world.run(world.migrate())
    assert (job.status, job.report["snapshot"]) == (JobStatus.SWITCHED, f"{world.name}-1.snapshot")
    assert "export" not in job.report


def test_another_model_embeds_the_stored_texts_anew(world: World) -> None:
    job = world.run(world.migrate(Source(text_key="text"), model="vowels"))
    assert (job.status, job.error) == (JobStatus.SWITCHED, None)
    assert (world.now_served.size, world.now_served.model) == (3, "vowels")
    world.served.forget()
    world.served.refresh()
    assert (world.served[world.name].size, world.served[world.name].model) == (3, "vowels")
    # Many "a"s before one "e": the direction of the first letter.
    (first,) = world.index.search(world.ours, world.name, Search(Nearest([1.0, 0.0, 0.0]), limit=1))
    assert first.id == 19


def test_what_has_no_text_stops_a_migration_that_needs_it(world: World) -> None:
    world.write(lambda index: index.upsert(world.ours, world.name, [Point(99, NEAR, {"other": 1})]))
    job = world.run(world.migrate(Source(text_key="text"), model="vowels"))
    assert (job.status, world.now_served.stored_as, world.now_served.noted) == (
        JobStatus.FAILED, f"{world.name}-1", False,
    )  # fmt: skip
    assert job.error is not None
    assert "1 points could not be made" in job.error
    assert "no text of it is stored" in job.error
    assert world.collections() == {f"{world.name}-1"}
    assert world.ids(world.ours) == {*range(20), 99}


def test_another_distance_takes_the_same_vectors(world: World) -> None:
    job = world.run(world.migrate(distance=Distance.EUCLID))
    assert (job.status, world.now_served.distance) == (JobStatus.SWITCHED, Distance.EUCLID)


def test_what_is_written_meanwhile_is_there_after_the_switch(world: World) -> None:
    def writes(step: str) -> None:
        turns = {
            "copy done": lambda index: index.upsert(
                world.ours, world.name, [Point(3, FAR, {"v": 2}), Point(50, NEAR, {"v": 1})]
            ),
            "compare done": lambda index: index.delete(world.ours, world.name, [4]),
            "switch": lambda index: index.write(
                world.theirs,
                world.name,
                [
                    SetPayload(Chosen(filter=Filter(must=[Condition("contact", any_of=["c1"])])), {"w": 1}),
                    Delete(Chosen(filter=Filter(must=[Condition("contact", any_of=["c2"])]))),
                ],
            ),
        }
        if step in turns:
            world.write(turns.pop(step))

    world.meanwhile = writes
    job = world.run(world.migrate())
    assert (job.status, job.error) == (JobStatus.SWITCHED, None)
    assert world.state() == world.state(f"{world.name}-1")
    assert world.ids(world.ours) == (set(range(20)) | {50}) - {4}
    assert world.ids(world.theirs) == {each for each in range(20) if each % 3 != 2}


def test_a_check_that_fails_switches_nothing(world: World) -> None:
    def spoil(step: str) -> None:
        if step == "copy done":
            point = next(iter(world.state().items()))
            stored = world.engine.points(f"{world.name}-2").get([point[0]])[point[0]]
            world.engine.points(f"{world.name}-2").put([replace(stored, payload={**stored.payload, "text": "spoilt"})])

    world.meanwhile = spoil
    job = world.run(world.migrate())
    assert (job.status, world.now_served.stored_as) == (JobStatus.FAILED, f"{world.name}-1")
    assert job.error is not None
    assert "its payload is another" in job.error


def test_a_vector_that_is_another_is_found(world: World) -> None:
    def spoil(step: str) -> None:
        if step == "copy done":
            target = world.engine.points(f"{world.name}-2")
            for stored in target.get(list(world.state())).values():
                target.put([replace(stored, vector=stored.vector[::-1])])

    world.meanwhile = spoil
    job = world.run(world.migrate())
    assert (job.status, job.error is not None and "its vector is another" in job.error) == (JobStatus.FAILED, True)


def test_a_point_too_many_is_found_at_the_last_count(world: World) -> None:
    def spoil(step: str) -> None:
        if step == "compare done":
            target = world.engine.points(f"{world.name}-2")
            stored = next(iter(target.get(list(world.state())).values()))
            target.put([replace(stored, id=str(uuid4()))])

    world.meanwhile = spoil
    job = world.run(world.migrate())
    assert (job.status, world.now_served.stored_as) == (JobStatus.FAILED, f"{world.name}-1")
    assert job.error == "The new collection holds 41 points, 40 are wanted."


def test_rolling_back_brings_what_was_written_since(world: World) -> None:
    job = world.run(world.migrate())
    world.write(
        lambda index: index.upsert(world.ours, world.name, [Point(60, NEAR, {"n": 1}), Point(2, FAR, {"n": 2})])
    )
    world.write(lambda index: index.delete(world.theirs, world.name, [5]))
    after = world.state()
    job = world.run(world.service.roll_back(PLATFORM, job.id, discard=False))
    assert (job.status, job.error) == (JobStatus.ROLLED_BACK, None)
    assert (world.now_served.stored_as, world.now_served.noted) == (f"{world.name}-1", False)
    assert world.state() == after
    assert world.collections() == {f"{world.name}-1"}
    assert world.registry.waiting(world.name) == 0
    # And the next one may come.
    assert world.run(world.migrate()).status is JobStatus.SWITCHED


def test_what_cannot_be_brought_back_stops_a_rollback_unless_it_is_given_up(world: World) -> None:
    job = world.run(world.migrate(Source(text_key="text"), model="vowels"))
    new = Point(70, [1.0, 0.0, 0.0], {"no": "text"})
    world.write(lambda index: index.upsert(world.ours, world.name, [new]))
    job = world.run(world.service.roll_back(PLATFORM, job.id, discard=False))
    assert (job.status, world.now_served.stored_as) == (JobStatus.SWITCHED, f"{world.name}-2")
    assert job.error is not None
    assert "no text of it is stored" in job.error
    job = world.run(world.service.roll_back(PLATFORM, job.id, discard=True))
    assert (job.status, world.now_served.stored_as) == (JobStatus.ROLLED_BACK, f"{world.name}-1")
    assert world.ids(world.ours) == set(range(20))


def test_a_rollback_that_fails_after_its_switch_is_a_rollback(world: World) -> None:
    job = world.run(world.migrate())
    job = world.service.roll_back(PLATFORM, job.id, discard=False)
    assert world.steps.catch_up(PLATFORM, job.id)
    assert world.steps.switch(PLATFORM, job.id)
    world.steps.fail(PLATFORM, job.id, "the engine did not answer")
    assert (world.job(job).status, world.collections()) == (JobStatus.ROLLED_BACK, {f"{world.name}-1"})
    assert world.ids(world.ours) == set(range(20))


def test_an_end_that_fails_in_its_middle_goes_on(world: World) -> None:
    job = world.run(world.migrate())
    job = world.service.finish(PLATFORM, job.id)
    world.steps.fail(PLATFORM, job.id, "the engine did not answer")
    assert (world.job(job).status, world.job(job).report["delayed"]) == (
        JobStatus.FINISHING, "the engine did not answer",
    )  # fmt: skip
    with pytest.raises(Conflict):
        world.service.roll_back(PLATFORM, job.id, discard=False)
    assert world.run(job).status is JobStatus.COMPLETED


def test_finishing_gives_up_the_old_collection(world: World) -> None:
    job = world.run(world.migrate())
    with pytest.raises(Conflict, match="is not over"):
        world.migrate()
    job = world.run(world.service.finish(PLATFORM, job.id))
    assert (job.status, world.collections()) == (JobStatus.COMPLETED, {f"{world.name}-2"})
    assert (world.now_served.stored_as, world.now_served.noted) == (f"{world.name}-2", False)
    with pytest.raises(Conflict, match="only a migration that is switched"):
        world.service.roll_back(PLATFORM, job.id, discard=False)
    # A deployment finds it as it is served, and the alias says so.
    assert world.preparation.prepare() == []
    assert world.memory._aliases[world.name] == f"{world.name}-2"


def test_an_export_is_read_into_another_collection(world: World) -> None:
    before = world.state()
    exported = world.run(world.service.export(PLATFORM, new_id(), world.name, "ann"))
    assert (exported.status, exported.report["points"]) == (JobStatus.COMPLETED, 40)
    world.write(lambda index: index.write(world.ours, world.name, [Delete(Chosen(filter=Filter()))]))
    assert world.ids(world.ours) == set()
    job = world.run(world.migrate(Source(SourceKind.EXPORT, export_id=exported.id)))
    assert (job.status, job.error) == (JobStatus.SWITCHED, None)
    assert world.state() == before


def test_an_export_that_lost_a_part_is_not_taken(world: World) -> None:
    exported = world.run(world.service.export(PLATFORM, new_id(), world.name, "ann"))
    s3 = boto3.client("s3", region_name="us-east-1")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"exports/{exported.id}/")["Contents"]
    s3.delete_object(Bucket=BUCKET, Key=listed[0]["Key"])
    job = world.run(world.migrate(Source(SourceKind.EXPORT, export_id=exported.id)))
    assert (job.status, world.now_served.stored_as) == (JobStatus.FAILED, f"{world.name}-1")
    assert job.error is not None
    assert "its manifest says 40" in job.error
    unknown = world.run(world.migrate(Source(SourceKind.EXPORT, export_id=new_id())))
    assert unknown.error is not None
    assert "no whole export" in unknown.error


def test_an_export_of_another_models_vectors_needs_the_texts(world: World) -> None:
    exported = world.run(world.service.export(PLATFORM, new_id(), world.name, "ann"))
    job = world.run(world.migrate(Source(SourceKind.EXPORT, export_id=exported.id), model="vowels"))
    assert (job.status, world.now_served.stored_as) == (JobStatus.FAILED, f"{world.name}-1")
    assert job.error is not None
    assert "embedded by letters, and vowels is wanted" in job.error
    job = world.run(world.migrate(Source(SourceKind.EXPORT, "text", exported.id), model="vowels"))
    assert (job.status, job.error, world.now_served.size) == (JobStatus.SWITCHED, None, 3)


def test_a_job_of_what_is_not_served_any_more_touches_nothing(world: World) -> None:
    job = world.migrate()
    moved = replace(world.now_served, stored_as=f"{world.name}-2")
    world.engine.make(moved)
    with world.registry.alone(world.name) as alone:
        alone.serve(moved)
    job = world.run(job)
    assert (job.status, world.now_served) == (JobStatus.FAILED, moved)
    assert job.error is not None
    assert "Another collection is served by now" in job.error
    assert world.collections() == {f"{world.name}-1", f"{world.name}-2"}


@pytest.mark.parametrize(
    ("source", "wanted", "said"),
    [
        (Source(), {"size": 5}, "letters gives vectors of 4"),
        (Source(), {"model": "magic"}, "letters, vowels"),
        (Source(), {"model": "vowels"}, "name the payload's key"),
        (Source(text_key="text"), {"model": "vowels", "size": 4}, "vowels gives vectors of 3"),
    ],
)
def test_what_cannot_be_is_refused_at_once(world: World, source: Source, wanted: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        world.migrate(source, **wanted)
    with pytest.raises(InvalidInput, match="The collections are"):
        world.service.migrate(PLATFORM, new_id(), "nothing", Source(), Wanted(), "ann")
    with pytest.raises(NotFound):
        world.service.get(PLATFORM, new_id())


def test_a_request_again_is_the_same_job_and_the_sweep_starts_what_was_lost(world: World, cluster: Cluster) -> None:
    job_id = new_id()
    first = world.service.migrate(PLATFORM, job_id, world.name, Source(), Wanted(), "ann")
    again = world.service.migrate(PLATFORM, job_id, world.name, Source(), Wanted(), "ann")
    assert (first.id, first.created_at) == (again.id, again.created_at)
    with cluster.owner() as conn:
        conn.execute(
            "update email_sender.vector_jobs set created_at = now() - interval '1 hour' where id = %s", [job_id]
        )
    before = len(world.started)
    world.service.sweep(PLATFORM)
    assert f"{job_id}-running" in world.started[before:]


@pytest.mark.parametrize("mode", ["migration", "rollback", "finish"])
def test_killed_anywhere_and_begun_again_it_comes_to_the_same_end(world: World, mode: str) -> None:
    """At calls of the database, the engine and the registry, before and after them, spread over the whole."""
    # A migration makes hundreds of calls; its beginning and its end are what the other modes have, too.
    step = {"migration": 43, "rollback": 4, "finish": 2}[mode]
    turn = 0
    while True:
        turn += step
        job = world.migrate()
        if mode != "migration":
            job = world.run(job)
            world.write(lambda index: index.upsert(world.ours, world.name, [Point(60, NEAR, {"n": turn})]))  # noqa: B023
            expected = world.state()
            if mode == "rollback":
                job = world.service.roll_back(PLATFORM, job.id, discard=False)
            else:
                job = world.service.finish(PLATFORM, job.id)
        else:
            expected = world.state()
        world.left = turn
        try:
            job = world.run(job)
            survived = True
        except Killed:
            survived = False
        world.left = None
        if not survived:
            job = world.run(job)
        wanted = {"migration": JobStatus.SWITCHED, "rollback": JobStatus.ROLLED_BACK, "finish": JobStatus.COMPLETED}
        assert (job.status, job.error) == (wanted[mode], None), turn
        assert world.state() == expected, turn
        if mode == "migration":
            world.run(world.service.finish(PLATFORM, job.id))
        assert len(world.collections()) == 1, turn
        if survived:
            break
    assert turn > 3 * step


def test_a_write_behind_a_switch_is_refused_and_then_taken(world: World) -> None:
    world.served.refresh()
    world.run(world.migrate())
    with pytest.raises(Unavailable, match="has just been switched"):
        world.index.upsert(world.ours, world.name, [Point(80, NEAR)])
    world.served.refresh()
    world.index.upsert(world.ours, world.name, [Point(80, NEAR)])
    assert 80 in world.ids(world.ours)
