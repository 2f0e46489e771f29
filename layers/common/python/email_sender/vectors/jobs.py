"""Exports and migrations, as operators ask for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from email_sender.ambient import Now
from email_sender.errors import Conflict, InvalidInput
from email_sender.paging import Page
from email_sender.vectors.job_model import (
    WORKING,
    Job,
    JobKind,
    JobMachine,
    JobStatus,
    JobUnits,
    PartDone,
    Phase,
    Source,
    SourceKind,
    existing_job,
)
from email_sender.vectors.model import Distance
from email_sender.vectors.serving import Served

# Whose points have their texts in the mail archive.
ARCHIVED = "message_vectors"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new collection has otherwise than what is served now; None: the same."""

    size: int | None = None
    distance: Distance | None = None
    model: str | None = None


class JobService:
    """`served` reads what is served of each collection now; `models` gives the models of each with their sizes."""

    def __init__(
        self,
        units: JobUnits,
        machine: Callable[[], JobMachine],
        served: Callable[[], Mapping[str, Served]],
        models: Callable[[], Mapping[str, Mapping[str, int]]],
        now: Now,
    ) -> None:
        self._units, self._machine, self._served, self._models, self._now = units, machine, served, models, now

    def export(self, tenant_id: UUID, job_id: UUID, collection: str, created_by: str) -> Job:
        """Write all points of a collection to the bucket."""
        served = self._known(collection)
        new = Job(
            job_id, JobKind.EXPORT, JobStatus.RUNNING, collection, Source(), served, served, created_by, self._now()
        )  # fmt: skip
        return self._started(tenant_id, new)

    def migrate(
        self, tenant_id: UUID, job_id: UUID, collection: str, source: Source, wanted: Wanted, created_by: str
    ) -> Job:
        """Make a new collection of the source's points, and serve it in the place of the old one.

        Raises:
            InvalidInput: the points cannot be made from what the source has.
            Conflict: a migration of the collection is not over.
        """
        served = self._known(collection)
        target = self._target(served, wanted)
        self._check(served, target, source)
        new = Job(
            job_id, JobKind.MIGRATION, JobStatus.RUNNING, collection, source, served, target, created_by, self._now()
        )  # fmt: skip
        return self._started(tenant_id, new)

    def roll_back(self, tenant_id: UUID, job_id: UUID, *, discard: bool) -> Job:
        """Serve the old collection again, with what was written since; without it where `discard`."""
        return self._told(tenant_id, job_id, JobStatus.ROLLING_BACK, discard=discard)

    def finish(self, tenant_id: UUID, job_id: UUID) -> Job:
        """Give up the old collection: there is no way back then."""
        return self._told(tenant_id, job_id, JobStatus.FINISHING)

    def get(self, tenant_id: UUID, job_id: UUID) -> tuple[Job, Mapping[Phase, PartDone]]:
        """The job, and how far each of its phases is."""
        with self._units(tenant_id) as unit:
            job = existing_job(unit, job_id)
            return job, {phase: total(unit.parts(job_id, phase)) for phase in Phase}

    def list(self, tenant_id: UUID, before: tuple[datetime, UUID] | None, limit: int) -> Page[Job]:
        with self._units(tenant_id) as unit:
            found = unit.list(before, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], f"{last.created_at.isoformat()}/{last.id}" if last else None)

    def sweep(self, tenant_id: UUID) -> int:
        """Start again what the engine lost. Returns how many."""
        with self._units(tenant_id) as unit:
            working = unit.working()
        lost = [
            job for job in working if not (job.execution_arn and self._machine().is_running(job.execution_arn))
        ]  # fmt: skip
        for job in lost:
            self._engage(tenant_id, job)
        return len(lost)

    def _known(self, collection: str) -> Served:
        served = self._served()
        if collection not in served:
            raise InvalidInput.at("/collection", f"The collections are {', '.join(served)}.")
        return served[collection]

    def _target(self, served: Served, wanted: Wanted) -> Served:
        models = self._models().get(served.name, {})
        model = wanted.model or served.model
        size = wanted.size or (models.get(wanted.model, served.size) if wanted.model else served.size)
        if wanted.model is not None and wanted.model not in models:
            known = ", ".join(models) or "none"
            raise InvalidInput.at("/target/model", f"EMBEDDING_MODELS names of {served.name}: {known}.")
        if model is not None and size != models.get(model, size):
            raise InvalidInput.at("/target/size", f"{model} gives vectors of {models[model]}.")
        name, _, number = served.stored_as.rpartition("-")
        following = f"{name}-{int(number) + 1}" if name and number.isdigit() else f"{served.stored_as}-2"
        return Served(
            served.name, following, size, wanted.distance or served.distance, model, lexical=model is not None
        )

    def _check(self, served: Served, target: Served, source: Source) -> None:
        if source.kind is not SourceKind.CURRENT or source.text_key is not None:
            if source.text_key is not None and target.model is None:
                raise InvalidInput.at("/source/text_key", f"{served.name} has no embedding model for its texts.")
            return
        if target.model != served.model and served.name != ARCHIVED:
            raise InvalidInput.at(
                "/source/text_key", "Another model embeds the texts anew: name the payload's key that holds them."
            )
        if target.model == served.model and target.size != served.size:
            raise InvalidInput.at(
                "/target/size",
                f"Vectors of {target.size} cannot be made of those of {served.size}: name a model and the payload's "
                "key that holds the texts, or another source.",
            )

    def _started(self, tenant_id: UUID, new: Job) -> Job:
        with self._units(tenant_id) as unit:
            known = unit.get(new.id)
            if known is None:
                unit.add(new)
                unit.commit()
        return self._engage(tenant_id, known or new)

    def _told(self, tenant_id: UUID, job_id: UUID, status: JobStatus, *, discard: bool = False) -> Job:
        with self._units(tenant_id) as unit:
            job = existing_job(unit, job_id, lock=True)
            if job.status is status:
                return job
            if job.kind is not JobKind.MIGRATION or job.status is not JobStatus.SWITCHED:
                raise Conflict(f"The {job.kind} is {job.status}: only a migration that is switched can be.")
            job = replace(job, status=status, discard=discard, error=None, execution_arn=None)
            unit.save(job)
            unit.commit()
        return self._engage(tenant_id, job)

    def _engage(self, tenant_id: UUID, job: Job) -> Job:
        """The row is committed before the machine is started; killed in between, the sweep starts it."""
        if job.status not in WORKING:
            return job
        execution = self._machine().start_job(job, tenant_id)
        with self._units(tenant_id) as unit:
            job = replace(existing_job(unit, job.id, lock=True), execution_arn=execution)
            unit.save(job)
            unit.commit()
        return job


def total(parts: Sequence[PartDone]) -> PartDone:
    """All parts of a phase as one; `done` where each is."""
    return PartDone(
        ordinal=len(parts),
        done=bool(parts) and all(each.done for each in parts),
        points=sum(each.points for each in parts),
        checksum=sum(each.checksum for each in parts) % 2**64,
        sampled=sum(each.sampled for each in parts),
        failed=sum(each.failed for each in parts),
        reason=next((each.reason for each in parts if each.reason), None),
    )
