"""The steps of a job's state machine. Each may be done twice, or be killed anywhere and done again.

A migration: begin, copy, compare, catch up, switch. What is written meanwhile is noted (vectors.serving) and copied
again; the last notes, the last count and the switch are made while no write is under way.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import Conflict
from email_sender.vectors.job_model import (
    Job,
    JobKind,
    JobStatus,
    JobUnit,
    JobUnits,
    PartDone,
    Phase,
    SourceKind,
    existing_job,
)
from email_sender.vectors.jobs import total
from email_sender.vectors.serving import Served
from email_sender.vectors.transfer import PAGE, PARTS, Convert, PointSource, PointStore, Stored, Transfer, sync

# So many notes may be left when writers are held up for the rest.
_LAST_NOTES = 1_000
_NOTES = 5_000


@dataclass(frozen=True, slots=True)
class Note:
    """A point that was written; `point` None: any of the tenant's."""

    tenant_id: UUID
    point: UUID | None


class Alone(Protocol):
    """What may be done of a collection while nobody writes to it."""

    def claim(self, limit: int) -> Sequence[Note]:
        """Notes for a copy to look at, those first that a copy claimed before and did not end."""

    def serve(self, served: Served) -> None:
        """From the end of this transaction on; every kept answer is old then."""


class Registry(Protocol):
    """What is served, and the notes."""

    def alone(self, collection: str) -> AbstractContextManager[Alone]:
        """Once every write under way is done; new ones wait. What is done is kept where the block ends well."""

    def get(self, collection: str) -> Served: ...

    def forget(self, collection: str, notes: Sequence[Note] | None) -> None:
        """Claimed notes that nobody wrote anew since; None: all notes there are."""

    def noted(self, collection: str, points: Sequence[tuple[UUID, UUID]]) -> frozenset[UUID]:
        """Which of these (tenant, point) have been written since."""

    def waiting(self, collection: str) -> int:
        """How many notes there are."""


class Engine(Protocol):
    def make(self, served: Served) -> bool:
        """With its indexes, where it is missing; whether it was."""

    def drop(self, stored_as: str) -> None:
        """What is not there stays so."""

    def alias(self, served: Served) -> None: ...

    def snapshot(self, stored_as: str) -> str | None:
        """Its name; None where the engine makes none."""

    def points(self, stored_as: str) -> PointStore: ...


class Sources(Protocol):
    """What a job's points come from and how they are made into its target's."""

    def parts(self, job: Job) -> int:
        """Raises InvalidInput or Conflict where the source is none for the target."""

    def of(self, job: Job) -> PointSource: ...

    def convert(self, job: Job) -> Convert: ...

    def convert_served(self, job: Job, *, back: bool) -> Convert:
        """Of what is written while the job is at work, from what is served to the other."""

    def check(self, job: Job, points: int, checksum: int) -> None:
        """Raises Conflict where the source said that it holds other points."""


class Exports(Protocol):
    def write(self, job: Job, done: PartDone, source: PointSource) -> PartDone:
        """The part's next object."""

    def close(self, job: Job, whole: PartDone) -> str:
        """Write what says that it is whole. Returns where."""


class JobSteps:
    def __init__(
        self,
        units: JobUnits,
        registry: Registry,
        engine: Engine,
        sources: Sources,
        exports: Exports,
        now: Now,
        new_id: NewId,
    ) -> None:
        self._units, self._registry, self._engine = units, registry, engine
        self._sources, self._exports = sources, exports
        self._now, self._new_id = now, new_id

    def begin(self, tenant_id: UUID, job_id: UUID) -> tuple[Phase, int]:
        """The first phase, and in how many parts it is done."""
        job = self._job(tenant_id, job_id)
        if job.kind is JobKind.EXPORT:
            return Phase.EXPORT, PARTS
        parts = self._sources.parts(job)
        fresh = not self._is_begun(tenant_id, job)
        served = self._registry.get(job.collection).stored_as
        if served == job.served.stored_as:
            if fresh:
                # Left by a migration that was killed while it failed.
                self._engine.drop(job.target.stored_as)
            self._engine.make(job.target)
            with self._registry.alone(job.collection) as alone:
                alone.serve(replace(job.served, noted=True))
        elif fresh or served != job.target.stored_as:  # else it was killed just after its switch
            raise Conflict(f"Another collection is served by now: {served}.")
        snapshot = self._engine.snapshot(job.served.stored_as) if fresh else job.report.get("snapshot")
        self._report(tenant_id, job_id, snapshot=snapshot)
        return (Phase.COPY, parts) if snapshot else (Phase.EXPORT, PARTS)

    def work(self, tenant_id: UUID, job_id: UUID, phase: Phase, ordinal: int, more: Callable[[], bool]) -> bool:
        """Pages of a part while there is time for `more`. Whether the part is done."""
        job = self._job(tenant_id, job_id)
        with self._units(tenant_id) as unit:
            done = unit.part(job_id, phase, ordinal)
        work = self._worker(job, phase)
        while not done.done and more():
            done = work(done)
            with self._units(tenant_id) as unit:
                unit.save_part(job_id, phase, done)
                unit.commit()
        return done.done

    def follow(self, tenant_id: UUID, job_id: UUID, phase: Phase) -> tuple[Phase | None, int]:
        """What comes after a phase: the next, or None; an export ends here.

        Raises:
            Conflict: what the phase found is wrong.
        """
        job = self._job(tenant_id, job_id)
        with self._units(tenant_id) as unit:
            whole = total(unit.parts(job_id, phase))
        if phase is Phase.EXPORT:
            where = self._exports.close(job, whole)
            if job.kind is JobKind.EXPORT:
                self._end(tenant_id, job_id, JobStatus.COMPLETED, export=where, points=whole.points)
                return None, 0
            self._report(tenant_id, job_id, export=where)
            return Phase.COPY, self._sources.parts(job)
        if whole.failed:
            verb = "could not be made" if phase is Phase.COPY else "differ"
            raise Conflict(f"{whole.failed} points {verb}; the first: {whole.reason}")
        if phase is Phase.COPY:
            return Phase.COMPARE, self._sources.parts(job)
        if job.source.kind is not SourceKind.CURRENT:
            # Nobody has written to it yet: it holds what the source has, and nothing else.
            self._sources.check(job, whole.points, whole.checksum)
            _same_count(self._engine.points(job.target.stored_as).count(), whole.points)
        self._report(
            tenant_id, job_id, points=whole.points, checksum=f"{whole.checksum:016x}", vectors_compared=whole.sampled
        )
        return None, 0

    def catch_up(self, tenant_id: UUID, job_id: UUID) -> bool:
        """Some of what was written meanwhile. Whether so little is left that the switch may come."""
        job = self._job(tenant_id, job_id)
        if job.discard or self._registry.waiting(job.collection) <= _LAST_NOTES:
            return True
        with self._registry.alone(job.collection) as alone:
            notes = alone.claim(_NOTES)
        self._sync(job, notes)
        self._registry.forget(job.collection, notes)
        return False

    def switch(self, tenant_id: UUID, job_id: UUID) -> bool:
        """The rest of what was written, a last count, and the switch, while no write is under way.

        False where too much was written since: catch up once more.
        """
        job = self._job(tenant_id, job_id)
        back = job.status is JobStatus.ROLLING_BACK
        to = job.served if back else job.target
        if self._registry.get(job.collection).stored_as != to.stored_as:
            with self._registry.alone(job.collection) as alone:
                notes = [] if job.discard else alone.claim(_NOTES)
                if len(notes) == _NOTES:
                    return False
                self._sync(job, notes)
                if job.source.kind is SourceKind.CURRENT and not job.discard:
                    _same_count(*(self._engine.points(each.stored_as).count() for each in (job.target, job.served)))
                # Noted after a switch too: what is written from here on is what a rollback would bring back.
                alone.serve(replace(to, noted=not back))
            self._registry.forget(job.collection, notes)
        self._engine.alias(to)
        return True

    def settle(self, tenant_id: UUID, job_id: UUID) -> None:
        """Say that it is switched, once every sandbox has had the time to learn of it (serving.SECONDS).

        What a rollback leaves behind is dropped only then: until then it may be searched.
        """
        job = self._job(tenant_id, job_id)
        if job.status is JobStatus.ROLLING_BACK:
            self._registry.forget(job.collection, None)
            self._engine.drop(job.target.stored_as)
            self._end(tenant_id, job_id, JobStatus.ROLLED_BACK)
        elif job.status is JobStatus.RUNNING:
            self._end(tenant_id, job_id, JobStatus.SWITCHED)

    def finish(self, tenant_id: UUID, job_id: UUID) -> None:
        """Nothing is noted any more, and the old collection is no more."""
        job = self._job(tenant_id, job_id)
        if job.status is not JobStatus.FINISHING:
            return
        with self._registry.alone(job.collection) as alone:
            alone.serve(replace(job.target, noted=False))
        self._registry.forget(job.collection, None)
        self._engine.drop(job.served.stored_as)
        self._end(tenant_id, job_id, JobStatus.COMPLETED)

    def fail(self, tenant_id: UUID, job_id: UUID, reason: str) -> None:
        """What was made is dropped, unless it is served by now.

        A rollback that failed leaves the migration switched, and may be asked for again; an end goes on with the sweep,
        since there is no way back from its middle.
        """
        job = self._job(tenant_id, job_id)
        if job.status is JobStatus.FINISHING:
            self._report(tenant_id, job_id, delayed=reason[:1000])
        elif job.status is JobStatus.ROLLING_BACK:
            if self._registry.get(job.collection).stored_as == job.served.stored_as:
                self._engine.alias(job.served)
                self.settle(tenant_id, job_id)
            else:
                self._end(tenant_id, job_id, JobStatus.SWITCHED, error=reason)
        elif job.status is JobStatus.RUNNING:
            self._give_up(tenant_id, job, reason)

    def _give_up(self, tenant_id: UUID, job: Job, reason: str) -> None:
        if job.kind is JobKind.MIGRATION:
            served = self._registry.get(job.collection).stored_as
            if served == job.target.stored_as and self._is_begun(tenant_id, job):
                # What failed came after the switch.
                self.switch(tenant_id, job.id)
                self.settle(tenant_id, job.id)
                return
            if served == job.served.stored_as:
                with self._registry.alone(job.collection) as alone:
                    alone.serve(replace(job.served, noted=False))
                self._registry.forget(job.collection, None)
                self._engine.drop(job.target.stored_as)
        self._end(tenant_id, job.id, JobStatus.FAILED, error=reason)

    # ---- What steps are made of ------------------------------------------------------------------------------------

    def _worker(self, job: Job, phase: Phase) -> Callable[[PartDone], PartDone]:
        if phase is Phase.EXPORT:
            source = self._engine.points(job.served.stored_as)
            return lambda done: self._exports.write(job, done, source)
        target = self._engine.points(job.target.stored_as)
        transfer = Transfer(self._sources.of(job), target, self._sources.convert(job), job.target)
        if phase is Phase.COPY:
            return transfer.copy
        return lambda done: transfer.compare(done, lambda points: self._changed(job, points))

    def _changed(self, job: Job, points: Sequence[Stored]) -> frozenset[str]:
        """Only what is served is written to; another source stands still."""
        if job.source.kind is not SourceKind.CURRENT:
            return frozenset()
        noted = self._registry.noted(job.collection, [(each.tenant_id, UUID(each.id)) for each in points])
        return frozenset(str(each) for each in noted)

    def _sync(self, job: Job, notes: Sequence[Note]) -> None:
        """From what is served to the other, whatever the migration's own source is."""
        back = job.status is JobStatus.ROLLING_BACK
        source, target = (self._engine.points(each.stored_as) for each in _ways(job, back=back))
        convert = self._sources.convert_served(job, back=back)
        ids = [str(each.point) for each in notes if each.point is not None]
        for first in range(0, len(ids), PAGE):
            _whole(sync(source, target, convert, ids[first : first + PAGE]).failed)
        for tenant_id in {each.tenant_id for each in notes if each.point is None}:
            for side in (source, target):
                after: str | None = None
                while page := side.ids_of_tenant(tenant_id, after, PAGE):
                    _whole(sync(source, target, convert, page).failed)
                    after = page[-1]

    def _is_begun(self, tenant_id: UUID, job: Job) -> bool:
        with self._units(tenant_id) as unit:
            return any(unit.parts(job.id, phase) for phase in Phase)

    def _job(self, tenant_id: UUID, job_id: UUID) -> Job:
        with self._units(tenant_id) as unit:
            return existing_job(unit, job_id)

    def _report(self, tenant_id: UUID, job_id: UUID, **found: Any) -> None:
        with self._units(tenant_id) as unit:
            job = existing_job(unit, job_id, lock=True)
            unit.save(replace(job, report={**job.report, **found}))
            unit.commit()

    def _end(self, tenant_id: UUID, job_id: UUID, status: JobStatus, error: str | None = None, **found: Any) -> None:
        with self._units(tenant_id) as unit:
            job = existing_job(unit, job_id, lock=True)
            if job.status is status:
                return
            error = error[:1000] if error else None
            over = None if status is JobStatus.SWITCHED else self._now()
            job = replace(job, status=status, error=error, finished_at=over, report={**job.report, **found})
            unit.save(job)
            self._tell(unit, tenant_id, job)
            unit.commit()

    def _tell(self, unit: JobUnit, tenant_id: UUID, job: Job) -> None:
        data: Mapping[str, Any] = {"job_id": str(job.id), "kind": str(job.kind), "collection": job.collection}
        kind = "vectors.job.failed" if job.error else "vectors.job.done"
        told = {"reason": job.error} if job.error else {"status": str(job.status)}
        unit.emit(
            Event(
                id=self._new_id(),
                type=kind,
                area="vectors",
                tenant_id=tenant_id,
                aggregate_id=str(job.id),
                occurred_at=self._now(),
                correlation_id=str(job.id),
                data={**data, **told},
            )
        )


def _ways(job: Job, *, back: bool) -> tuple[Served, Served]:
    return (job.target, job.served) if back else (job.served, job.target)


def _whole(failed: Mapping[str, str]) -> None:
    for name, why in failed.items():
        raise Conflict(f"Point {name}, written meanwhile, could not be made: {why}")


def _same_count(target: int, source: int) -> None:
    if target != source:
        raise Conflict(f"The new collection holds {target} points, {source} are wanted.")
