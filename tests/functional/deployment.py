"""A deployment of vectors for the tests of jobs: PostgreSQL, an engine in memory, S3 by moto, and its machine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID, uuid4

import boto3

from email_sender.adapters.exports import S3Exports
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.jobs import PostgresJobUnits, PostgresRegistry
from email_sender.adapters.postgres.serving import PostgresGate, PostgresServed
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.copying import QdrantCopying
from email_sender.adapters.qdrant.index import QdrantIndex
from email_sender.adapters.qdrant.settings import Placement
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import DomainError
from email_sender.kit.ambient import new_id, now
from email_sender.vectors.job_model import Job, JobStatus, Phase, Source
from email_sender.vectors.job_steps import JobSteps
from email_sender.vectors.jobs import JobService, Wanted
from email_sender.vectors.model import (
    Collection,
    Distance,
    Nearest,
    Point,
    Search,
)
from email_sender.vectors.preparing import Preparation
from email_sender.vectors.serving import GatedIndex, Served, ServedCollections
from tests.fakes.qdrant_memory import MemoryChannel
from tests.fakes.vectors import Letters
from vectors.job_sources import JobSources

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
        self.steps = JobSteps(self.units, self.registry, self.engine, self.sources, self.exports, now, new_id)
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
