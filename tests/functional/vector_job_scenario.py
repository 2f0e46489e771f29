"""A scenario of vector jobs: PostgreSQL, Qdrant in memory, S3 by moto, and the state machine played in Python."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID, uuid4

import boto3

from email_sender.adapters.files.exports import S3Exports
from email_sender.adapters.postgres.archive_texts import ArchiveOrphans
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.served_collections import PostgresServedCollectionStore, PostgresWriteLock
from email_sender.adapters.postgres.vector_jobs import PostgresJobUnits, PostgresRegistry
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collection_engine import QdrantCollections
from email_sender.adapters.qdrant.collection_settings import Placement
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import DomainError
from email_sender.kit.system_clock import new_id, now
from email_sender.vectors.jobs.model import Job, JobStatus, Phase, Source
from email_sender.vectors.jobs.repair import Repair
from email_sender.vectors.jobs.service import JobService, TargetOverrides
from email_sender.vectors.jobs.steps import JobSteps
from email_sender.vectors.model import (
    Collection,
    Distance,
    Nearest,
    Point,
    Search,
)
from email_sender.vectors.prepare_collections import Preparation
from email_sender.vectors.served_collections import CollectionCatalogue, LockingWriter, ServedCollection
from tests.fakes.qdrant_memory import MemoryChannel
from tests.fakes.vectors import LetterModel
from vectors_lambda.job_sources import JobSources

SIZE = 4
BUCKET = "uploads"
PLATFORM = PLATFORM_TENANT
NEAR, FAR = [1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 1.0]


class Vowels(LetterModel):
    """A second embedding model: it counts three letters and has size 3."""

    model, size = "vowels", 3

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.calls += 1
        return [[0.1 + text.count(letter) for letter in "aei"] for text in texts]


class Killed(Exception):
    """Simulate kill -9: no product code catches this exception."""


class KillingProxy:
    """Forward everything to `target`. Raise `Killed` when the scenario's countdown of calls ends."""

    def __init__(self, target: Any, scenario: "VectorJobScenario") -> None:
        self._target, self._scenario = target, scenario

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        return self._scenario.with_kills(attribute) if callable(attribute) else attribute

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._scenario.with_kills(self._target)(*arguments, **keywords)


class VectorJobScenario:
    """One deployment: a collection with 40 points of two tenants, and the services of a job."""

    def __init__(self, app: Database, platform: Database, tenants: Sequence[UUID]) -> None:
        self.own_tenant, self.other_tenant = tenants
        self.name = f"c{uuid4().hex}"
        self.memory = MemoryChannel()
        self.memory.snapshots = True
        channel = cast("Channel", self.memory)
        self.letters, self.vowels = LetterModel(), Vowels()
        self.configured = {
            self.name: Collection(
                self.name, SIZE, Distance.COSINE, quantized=False, model="letters", lexical=True,
                payload_indexes={"contact": "keyword"},
            )
        }  # fmt: skip
        self.engine = QdrantCollections(lambda: channel, self.configured, Placement())
        self.registry = PostgresRegistry(platform)
        self.units = PostgresJobUnits(app, None)
        self.store = PostgresServedCollectionStore(lambda: app, PLATFORM)
        self.served_collections = CollectionCatalogue(self.configured, self.store, clock=iter(range(10**9)).__next__)
        self.index = QdrantIndex(lambda: channel, Placement(), self.served_collections.stored_as)
        self.writer = LockingWriter(
            self.index, PostgresWriteLock(app, self.served_collections.invalidate), self.served_collections
        )
        models = {self.name: {"letters": self.letters, "vowels": self.vowels}}
        self.preparation = Preparation(
            QdrantIndex(lambda: channel), self.engine, self.registry, self.configured,
            {self.name: frozenset(models[self.name])},
        )  # fmt: skip
        self.exports = S3Exports(lambda: boto3.client("s3", region_name="us-east-1"), BUCKET)
        self.sources = JobSources(self.engine, self.exports, models, lambda: None, str)  # type: ignore[arg-type, return-value]  # no archive
        self.repair = Repair(ArchiveOrphans(app), self.writer)
        self.started_executions: list[str] = []
        sizes = {self.name: {name: model.size for name, model in models[self.name].items()}}
        self.service = JobService(
            self.units,
            lambda: self,
            lambda: {served_collection.name: served_collection for served_collection in self.store.all()},
            lambda: sizes,
            now,
        )
        self.steps = JobSteps(
            self.units, self.registry, self.engine, self.sources, self.exports, self.repair, now, new_id
        )
        self.calls_left: int | None = None
        self.on_step: Callable[[str], None] = lambda _step: None
        assert self.preparation.prepare() == [self.name]
        self.fill()

    def fill(self) -> None:
        for tenant in (self.own_tenant, self.other_tenant):
            points = [
                Point(number, NEAR if number % 2 else FAR, {"text": "a" * number + "e", "contact": f"c{number % 3}"})
                for number in range(20)
            ]
            self.write(lambda writer, tenant=tenant, points=points: writer.upsert(tenant, self.name, points))  # type: ignore[misc]

    def write(self, work: Callable[[LockingWriter], object]) -> None:
        """Run `work` as one invocation does: with a fresh view of the served collections."""
        self.served_collections.invalidate()
        self.served_collections.refresh()
        work(self.writer)

    # ---- The state machine

    def start_job(self, job: Job, tenant_id: UUID) -> str:
        assert tenant_id == PLATFORM
        self.started_executions.append(f"{job.id}-{job.status}")
        return self.started_executions[-1]

    def is_running(self, _execution: str) -> bool:
        return False

    def with_kills(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `call`: it raises `Killed` before or after the call when the countdown reaches zero."""

        def call_or_kill(*arguments: Any, **keywords: Any) -> Any:
            if self.calls_left is not None:
                self.calls_left -= 1
                if self.calls_left == 0:
                    raise Killed
            result = call(*arguments, **keywords)
            if self.calls_left is not None:
                self.calls_left -= 1
                if self.calls_left == 0:
                    raise Killed
            return result

        return call_or_kill

    def run(self, job: Job) -> Job:
        """Play template/statemachines/vectors_job.asl.yaml until it ends, and return the job."""
        engine, registry, exports, units = (
            cast("Any", KillingProxy(component, self))
            for component in (self.engine, self.registry, self.exports, self.units)
        )
        steps = JobSteps(units, registry, engine, self.sources, exports, self.repair, now, new_id)
        job_key = (PLATFORM, job.id)
        try:
            self._run(steps, job_key, self.job(job).status)
        except DomainError as error:
            steps.fail(*job_key, error.detail)
        return self.job(job)

    def _run(self, steps: JobSteps, job_key: tuple[UUID, UUID], mode: JobStatus) -> None:
        if mode is JobStatus.FINISHING:
            steps.finish(*job_key)
            return
        if mode is JobStatus.RUNNING:
            phase: Phase | None
            phase, parts = steps.begin(*job_key)
            while phase is not None:
                for part in range(parts):
                    # Each call has time for one page.
                    while not steps.work(*job_key, phase, part, iter([True, False]).__next__):
                        self.on_step(phase)
                self.on_step(f"{phase} done")
                finished_phase, (phase, parts) = phase, steps.follow(*job_key, phase)
                if finished_phase in (Phase.EXPORT, Phase.REPAIR) and phase is None:
                    return
        while True:
            while not steps.catch_up(*job_key):
                pass
            self.on_step("switch")
            if steps.switch(*job_key):
                steps.settle(*job_key)
                return

    def job(self, job: Job) -> Job:
        return self.service.get(PLATFORM, job.id)[0]

    def migrate(self, source: Source = Source(), **options: Any) -> Job:  # noqa: B008  # frozen
        return self.service.migrate(PLATFORM, new_id(), self.name, source, TargetOverrides(**options), "ann")

    # ---- Observations

    @property
    def served_collection(self) -> ServedCollection:
        return self.registry.get(self.name)

    def read_points(self, stored_as: str | None = None) -> Mapping[str, tuple[Mapping[str, Any], list[float]]]:
        points = self.engine.points(stored_as or self.served_collection.stored_as)
        points_by_id: dict[str, tuple[Mapping[str, Any], list[float]]] = {}
        for part in range(16):
            after = None
            while page := points.page(part, after, 7):
                points_by_id |= {
                    point.id: (point.payload, [round(x, 5) for x in point.vector]) for point in page.points
                }
                after = page.position
        return points_by_id

    def visible_ids(self, tenant: UUID) -> set[int]:
        self.served_collections.invalidate()
        self.served_collections.refresh()
        vector = [0.5] * self.served_collections[self.name].size
        hits = self.index.search(tenant, self.name, Search(Nearest(vector), limit=100))
        return {int(cast("int", hit.id)) for hit in hits}

    def collections(self) -> set[str]:
        names = {collection.name for collection in self.memory._client.get_collections().collections}
        return {name for name in names if name.startswith(self.name)}
