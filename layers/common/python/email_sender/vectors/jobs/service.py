"""Exports, migrations and repairs of collections, as operators request them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from email_sender.clock import Clock
from email_sender.errors import Conflict, InvalidInput
from email_sender.paging import Page
from email_sender.vectors.jobs.model import (
    ACTIVE_STATUSES,
    Job,
    JobKind,
    JobMachine,
    JobStatus,
    JobUnits,
    PartProgress,
    Phase,
    Source,
    SourceKind,
    existing_job,
)
from email_sender.vectors.model import Distance
from email_sender.vectors.served_collections import ServedCollection

# The collection whose texts are stored in the mail archive.
ARCHIVE_COLLECTION = "message_vectors"


@dataclass(frozen=True, slots=True)
class TargetOverrides:
    """The settings in which a new collection differs from the served one. None keeps the served setting."""

    size: int | None = None
    distance: Distance | None = None
    model: str | None = None


class JobService:
    """Creates and controls jobs.

    `served` returns the served collections by name. `models` returns the vector size of each embedding model, by
    collection and model id.
    """

    def __init__(
        self,
        units: JobUnits,
        machine: Callable[[], JobMachine],
        read_served: Callable[[], Mapping[str, ServedCollection]],
        models: Callable[[], Mapping[str, Mapping[str, int]]],
        now: Clock,
    ) -> None:
        self._units, self._machine, self._read_served, self._models, self._now = (
            units,
            machine,
            read_served,
            models,
            now,
        )

    def export(self, tenant_id: UUID, job_id: UUID, collection: str, created_by: str) -> Job:
        """Start a job that writes all points of a collection to the bucket."""
        current = self._get_served(collection)
        new_job = Job(
            job_id, JobKind.EXPORT, JobStatus.RUNNING, collection, Source(), current, current, created_by, self._now()
        )  # fmt: skip
        return self._create_and_start(tenant_id, new_job)

    def repair(self, tenant_id: UUID, job_id: UUID, collection: str, created_by: str) -> Job:
        """Start a job that removes the points whose messages no longer exist.

        Raises:
            InvalidInput: the collection is not the one of the mail archive.
        """
        if collection != ARCHIVE_COLLECTION:
            raise InvalidInput.at("/collection", f"Only points of {ARCHIVE_COLLECTION} are made of messages.")
        current = self._get_served(collection)
        new_job = Job(
            job_id, JobKind.REPAIR, JobStatus.RUNNING, collection, Source(), current, current, created_by, self._now()
        )  # fmt: skip
        return self._create_and_start(tenant_id, new_job)

    def migrate(
        self,
        tenant_id: UUID,
        job_id: UUID,
        collection: str,
        source: Source,
        overrides: TargetOverrides,
        created_by: str,
    ) -> Job:
        """Start a job that builds a new collection from the source's points and serves it instead of the old one.

        Raises:
            InvalidInput: the source cannot provide the points that the target needs.
            Conflict: the collection has an unfinished migration.
        """
        current = self._get_served(collection)
        target = self._target(current, overrides)
        self._check(current, target, source)
        new_job = Job(
            job_id, JobKind.MIGRATION, JobStatus.RUNNING, collection, source, current, target, created_by, self._now()
        )  # fmt: skip
        return self._create_and_start(tenant_id, new_job)

    def roll_back(self, tenant_id: UUID, job_id: UUID, *, discard: bool) -> Job:
        """Serve the old collection again, with the changes since the switch. `discard` drops those changes."""
        return self._change_status(tenant_id, job_id, JobStatus.ROLLING_BACK, discard=discard)

    def finish(self, tenant_id: UUID, job_id: UUID) -> Job:
        """Drop the old collection. The migration can no longer be rolled back."""
        return self._change_status(tenant_id, job_id, JobStatus.FINISHING)

    def get(self, tenant_id: UUID, job_id: UUID) -> tuple[Job, Mapping[Phase, PartProgress]]:
        """Return the job and the progress of each phase."""
        with self._units(tenant_id) as unit:
            job = existing_job(unit, job_id)
            return job, {phase: total_progress(unit.parts(job_id, phase)) for phase in Phase}

    def list(self, tenant_id: UUID, before: tuple[datetime, UUID] | None, limit: int) -> Page[Job]:
        """Return a page of jobs, newest first. `before` is (created_at, id) of the last job of the previous page."""
        with self._units(tenant_id) as unit:
            jobs = unit.list(before, limit + 1)
        last = jobs[limit - 1] if len(jobs) > limit else None
        return Page(jobs[:limit], f"{last.created_at.isoformat()}/{last.id}" if last else None)

    def sweep(self, tenant_id: UUID) -> int:
        """Restart the jobs whose execution is no longer running. Return how many were restarted."""
        with self._units(tenant_id) as unit:
            working = unit.list_active()
        lost = [
            job for job in working if not (job.execution_arn and self._machine().is_running(job.execution_arn))
        ]  # fmt: skip
        for job in lost:
            self._start_execution(tenant_id, job)
        return len(lost)

    def _get_served(self, collection: str) -> ServedCollection:
        served_by_name = self._read_served()
        if collection not in served_by_name:
            raise InvalidInput.at(
                "/collection", f"Unknown collection. The collections are {', '.join(served_by_name)}."
            )
        return served_by_name[collection]

    def _target(self, current: ServedCollection, overrides: TargetOverrides) -> ServedCollection:
        models = self._models().get(current.name, {})
        model = overrides.model or current.model
        size = overrides.size or (models.get(overrides.model, current.size) if overrides.model else current.size)
        if overrides.model is not None and overrides.model not in models:
            model_names = ", ".join(models) or "none"
            raise InvalidInput.at(
                "/target/model",
                f"Unknown model. EMBEDDING_MODELS names these models for {current.name}: {model_names}.",
            )
        if model is not None and size != models.get(model, size):
            raise InvalidInput.at("/target/size", f"The model {model} returns vectors of {models[model]} dimensions.")
        name, _, number = current.stored_as.rpartition("-")
        next_name = f"{name}-{int(number) + 1}" if name and number.isdigit() else f"{current.stored_as}-2"
        return ServedCollection(
            current.name, next_name, size, overrides.distance or current.distance, model, lexical=model is not None
        )

    def _check(self, current: ServedCollection, target: ServedCollection, source: Source) -> None:
        if source.kind is not SourceKind.CURRENT or source.text_key is not None:
            if source.text_key is not None and target.model is None:
                raise InvalidInput.at(
                    "/source/text_key", f"{current.name} has no embedding model to embed its texts with."
                )
            return
        if target.model != current.model and current.name != ARCHIVE_COLLECTION:
            raise InvalidInput.at(
                "/source/text_key", "Another model embeds the texts again. Name the payload key that holds the texts."
            )
        if target.model == current.model and target.size != current.size:
            raise InvalidInput.at(
                "/target/size",
                f"Vectors of {current.size} dimensions cannot be converted to {target.size} dimensions. Name a model "
                "and the payload key that holds the texts, or another source.",
            )

    def _create_and_start(self, tenant_id: UUID, new_job: Job) -> Job:
        with self._units(tenant_id) as unit:
            stored_job = unit.get(new_job.id)
            if stored_job is None:
                unit.add(new_job)
                unit.commit()
        return self._start_execution(tenant_id, stored_job or new_job)

    def _change_status(self, tenant_id: UUID, job_id: UUID, status: JobStatus, *, discard: bool = False) -> Job:
        with self._units(tenant_id) as unit:
            job = existing_job(unit, job_id, lock=True)
            if job.status is status:
                return job
            if job.kind is not JobKind.MIGRATION or job.status is not JobStatus.SWITCHED:
                raise Conflict(
                    f"The {job.kind} is {job.status}. Only a switched migration can be rolled back or finished."
                )
            job = replace(job, status=status, discard=discard, error=None, execution_arn=None)
            unit.save(job)
            unit.commit()
        return self._start_execution(tenant_id, job)

    def _start_execution(self, tenant_id: UUID, job: Job) -> Job:
        """Start the execution of an active job.

        The row is committed before the state machine starts. If this is killed in between, the sweep starts it.
        """
        if job.status not in ACTIVE_STATUSES:
            return job
        execution = self._machine().start_job(job, tenant_id)
        with self._units(tenant_id) as unit:
            job = replace(existing_job(unit, job.id, lock=True), execution_arn=execution)
            unit.save(job)
            unit.commit()
        return job


def total_progress(parts: Sequence[PartProgress]) -> PartProgress:
    """Sum up the progress of a phase's parts. `ordinal` is the number of parts; `done` is true if all are done."""
    return PartProgress(
        ordinal=len(parts),
        done=bool(parts) and all(part.done for part in parts),
        points=sum(part.points for part in parts),
        checksum=sum(part.checksum for part in parts) % 2**64,
        sampled=sum(part.sampled for part in parts),
        failed=sum(part.failed for part in parts),
        reason=next((part.reason for part in parts if part.reason), None),
    )
