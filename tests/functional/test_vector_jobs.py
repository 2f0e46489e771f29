"""Exports and migrations on PostgreSQL: the steps as the machine calls them, killed between any two of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import UUID, uuid4

import boto3
import pytest
from moto import mock_aws

from email_sender.adapters.exports import S3Exports
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.jobs import PostgresJobUnits, PostgresRegistry
from email_sender.adapters.postgres.serving import PostgresGate, PostgresServed
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.copying import QdrantCopying
from email_sender.adapters.qdrant.index import QdrantIndex
from email_sender.adapters.qdrant.settings import Placement
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import Conflict, DomainError, InvalidInput, NotFound, Unavailable
from email_sender.kit.ambient import new_id, now
from email_sender.vectors.job_model import Job, JobStatus, Phase, Source, SourceKind
from email_sender.vectors.job_steps import JobSteps
from email_sender.vectors.jobs import JobService, Wanted
from email_sender.vectors.model import (
    Chosen,
    Collection,
    Condition,
    Delete,
    Distance,
    Filter,
    Nearest,
    Point,
    Search,
    SetPayload,
)
from email_sender.vectors.preparing import Preparation
from email_sender.vectors.serving import GatedIndex, Served, ServedCollections
from tests.database import Cluster
from tests.fakes.qdrant_memory import MemoryChannel
from tests.fakes.vectors import Letters
from vectors.job_sources import JobSources

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

SIZE = 4
BUCKET = "uploads"
PLATFORM = PLATFORM_TENANT
NEAR, FAR = [1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 1.0]


class Vowels(Letters):
    """Another model: three letters, another size."""

    model, size = "vowels", 3

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.calls += 1
        return [[0.1 + text.count(letter) for letter in "aei"] for text in texts]


class Killed(Exception):
    """What stands for kill -9: nothing of ours catches it."""


class Deadly:
    """Everything of `of`, until its calls are used up."""

    def __init__(self, of: Any, world: "World") -> None:
        self._of, self._world = of, world

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        return self._world.deadly(found) if callable(found) else found

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._world.deadly(self._of)(*given, **named)


class World:
    """One deployment: a collection of 40 points of two tenants, and the parts of a job."""

    def __init__(self, app: Database, platform: Database, tenants: Sequence[UUID]) -> None:
        self.ours, self.theirs = tenants
        self.name = f"c{uuid4().hex}"
        self.memory = MemoryChannel()
        self.memory.snapshots = True
        channel = cast("Channel", self.memory)
        self.letters, self.vowels = Letters(), Vowels()
        self.configured = {
            self.name: Collection(
                self.name, SIZE, Distance.COSINE, quantized=False, model="letters", lexical=True,
                indexed={"contact": "keyword"},
            )
        }  # fmt: skip
        self.engine = QdrantCopying(lambda: channel, self.configured, Placement())
        self.registry = PostgresRegistry(platform)
        self.units = PostgresJobUnits(app, None)
        self.store = PostgresServed(lambda: app, PLATFORM)
        self.served = ServedCollections(self.configured, self.store, clock=iter(range(10**9)).__next__)
        raw = QdrantIndex(lambda: channel, Placement(), self.served.stored_as)
        self.index = GatedIndex(raw, PostgresGate(app, self.served.forget), self.served)
        models = {self.name: {"letters": self.letters, "vowels": self.vowels}}
        self.preparation = Preparation(
            QdrantIndex(lambda: channel), self.engine, self.registry, self.configured,
            {self.name: frozenset(models[self.name])},
        )  # fmt: skip
        self.exports = S3Exports(lambda: boto3.client("s3", region_name="us-east-1"), BUCKET)
        self.sources = JobSources(self.engine, self.exports, models, lambda: None, str)  # type: ignore[arg-type, return-value]  # no archive
        self.started: list[str] = []
        sizes = {self.name: {name: each.size for name, each in models[self.name].items()}}
        self.service = JobService(
            self.units, lambda: self, lambda: {each.name: each for each in self.store.all()}, lambda: sizes, now
        )
        self.left: int | None = None
        self.meanwhile: Callable[[str], None] = lambda _step: None
        assert self.preparation.prepare() == [self.name]
        self.fill()

    def fill(self) -> None:
        for tenant in (self.ours, self.theirs):
            points = [
                Point(number, NEAR if number % 2 else FAR, {"text": "a" * number + "e", "contact": f"c{number % 3}"})
                for number in range(20)
            ]
            self.write(lambda index, tenant=tenant, points=points: index.upsert(tenant, self.name, points))  # type: ignore[misc]

    def write(self, work: Callable[[GatedIndex], object]) -> None:
        """As an invocation does."""
        self.served.forget()
        self.served.refresh()
        work(self.index)

    # ---- The machine

    def start_job(self, job: Job, tenant_id: UUID) -> str:
        assert tenant_id == PLATFORM
        self.started.append(f"{job.id}-{job.status}")
        return self.started[-1]

    def is_running(self, _execution: str) -> bool:
        return False

    def deadly(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Killed before a call or after it, at the one whose turn it is."""

        def count(*given: Any, **named: Any) -> Any:
            if self.left is not None:
                self.left -= 1
                if self.left == 0:
                    raise Killed
            done = call(*given, **named)
            if self.left is not None:
                self.left -= 1
                if self.left == 0:
                    raise Killed
            return done

        return count

    def run(self, job: Job) -> Job:
        """What statemachines/vectors_job.asl.yaml does."""
        engine, registry, exports, units = (
            cast("Any", Deadly(each, self)) for each in (self.engine, self.registry, self.exports, self.units)
        )
        steps = JobSteps(units, registry, engine, self.sources, exports, now, new_id)
        at = (PLATFORM, job.id)
        try:
            self._run(steps, at, self.job(job).status)
        except DomainError as error:
            steps.fail(*at, error.detail)
        return self.job(job)

    def _run(self, steps: JobSteps, at: tuple[UUID, UUID], mode: JobStatus) -> None:
        if mode is JobStatus.FINISHING:
            steps.finish(*at)
            return
        if mode is JobStatus.RUNNING:
            phase: Phase | None
            phase, parts = steps.begin(*at)
            while phase is not None:
                for part in range(parts):
                    # Time for a page at a time.
                    while not steps.work(*at, phase, part, iter([True, False]).__next__):
                        self.meanwhile(phase)
                self.meanwhile(f"{phase} done")
                was, (phase, parts) = phase, steps.follow(*at, phase)
                if was is Phase.EXPORT and phase is None:
                    return
        while True:
            while not steps.catch_up(*at):
                pass
            self.meanwhile("switch")
            if steps.switch(*at):
                steps.settle(*at)
                return

    def job(self, job: Job) -> Job:
        return self.service.get(PLATFORM, job.id)[0]

    def migrate(self, source: Source = Source(), **wanted: Any) -> Job:  # noqa: B008  # frozen
        return self.service.migrate(PLATFORM, new_id(), self.name, source, Wanted(**wanted), "ann")

    # ---- What is to be seen

    @property
    def now_served(self) -> Served:
        return self.registry.get(self.name)

    def state(self, stored_as: str | None = None) -> Mapping[str, tuple[Mapping[str, Any], list[float]]]:
        points = self.engine.points(stored_as or self.now_served.stored_as)
        found: dict[str, tuple[Mapping[str, Any], list[float]]] = {}
        for part in range(16):
            after = None
            while page := points.page(part, after, 7):
                found |= {each.id: (each.payload, [round(x, 5) for x in each.vector]) for each in page.points}
                after = page.position
        return found

    def ids(self, tenant: UUID) -> set[int]:
        self.served.forget()
        self.served.refresh()
        vector = [0.5] * self.served[self.name].size
        hits = self.index.search(tenant, self.name, Search(Nearest(vector), limit=100))
        return {int(cast("int", hit.id)) for hit in hits}

    def collections(self) -> set[str]:
        names = {each.name for each in self.memory._client.get_collections().collections}
        return {each for each in names if each.startswith(self.name)}


@pytest.fixture
def world(new_tenant: Callable[[], UUID], cluster: Cluster) -> Iterator[World]:
    # One connection a role, as in a sandbox: who takes a second while it holds the first waits for itself.
    app, platform = cluster.database("app", size=1), cluster.database("platform", size=1)
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        made = World(app, platform, [new_tenant(), new_tenant()])
        yield made
        made.memory.close()
    app.close()
    platform.close()


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
    step = {"migration": 31, "rollback": 3, "finish": 1}[mode]
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
    assert turn > 8 * step


def test_a_write_behind_a_switch_is_refused_and_then_taken(world: World) -> None:
    world.served.refresh()
    world.run(world.migrate())
    with pytest.raises(Unavailable, match="has just been switched"):
        world.index.upsert(world.ours, world.name, [Point(80, NEAR)])
    world.served.refresh()
    world.index.upsert(world.ours, world.name, [Point(80, NEAR)])
    assert 80 in world.ids(world.ours)
