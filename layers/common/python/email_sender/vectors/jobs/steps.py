"""The steps of a job's state machine. Each step is idempotent: it can be killed at any point and run again.

A migration begins, copies, compares, catches up and switches. Writes that happen during the migration are recorded as
changes (vectors.served_collections) and copied again. Writes are locked during the last changes, the final count and
the switch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import EventFactory
from email_sender.errors import Conflict
from email_sender.vectors.jobs.model import (
    Job,
    JobKind,
    JobStatus,
    JobUnit,
    JobUnits,
    PartProgress,
    Phase,
    SourceKind,
    existing_job,
)
from email_sender.vectors.jobs.ports import (
    ChangedPoint,
    CollectionEngine,
    ExportWriter,
    MigrationSources,
    ServingRegistry,
)
from email_sender.vectors.jobs.repair import Repair
from email_sender.vectors.jobs.service import total_progress
from email_sender.vectors.jobs.transfer import (
    PAGE_SIZE,
    PART_COUNT,
    StoredPoint,
    Transfer,
    sync_points,
)
from email_sender.vectors.served_collections import ServedCollection

# The switch blocks writers while it copies the remaining changes, so at most this many changes may remain.
_MAX_CHANGES_AT_SWITCH = 1_000
_CHANGES_PER_BATCH = 5_000


class JobSteps:
    def __init__(
        self,
        units: JobUnits,
        registry: ServingRegistry,
        engine: CollectionEngine,
        sources: MigrationSources,
        exports: ExportWriter,
        repair: Repair,
        now: Clock,
        new_id: IdFactory,
    ) -> None:
        self._units, self._registry, self._engine = units, registry, engine
        self._sources, self._exports, self._repair = sources, exports, repair
        self._now, self._new_id = now, new_id
        self._events = EventFactory("vectors", now, new_id)

    def begin(self, tenant_id: UUID, job_id: UUID) -> tuple[Phase, int]:
        """Prepare the job. Return its first phase and the number of parts of that phase."""
        job = self._job(tenant_id, job_id)
        if job.kind is JobKind.EXPORT:
            return Phase.EXPORT, PART_COUNT
        if job.kind is JobKind.REPAIR:
            return Phase.REPAIR, PART_COUNT
        parts = self._sources.count_parts(job)
        is_fresh = not self._has_begun(tenant_id, job)
        stored_as = self._registry.get(job.collection).stored_as
        if stored_as == job.served.stored_as:
            if is_fresh:
                # A failed migration that was killed during its cleanup may have left this collection.
                self._engine.drop(job.target.stored_as)
            self._engine.create_if_missing(job.target)
            with self._registry.exclusive_access(job.collection) as access:
                access.serve(replace(job.served, noted=True))
        elif is_fresh or stored_as != job.target.stored_as:  # else this step was killed just after the switch
            raise Conflict(f"The collection {stored_as} is served now instead of {job.served.stored_as}.")
        snapshot = self._engine.snapshot(job.served.stored_as) if is_fresh else job.report.get("snapshot")
        self._report(tenant_id, job_id, snapshot=snapshot)
        return (Phase.COPY, parts) if snapshot else (Phase.EXPORT, PART_COUNT)

    def work(self, tenant_id: UUID, job_id: UUID, phase: Phase, ordinal: int, has_time: Callable[[], bool]) -> bool:
        """Process pages of a part while `has_time()` is true. Return whether the part is done."""
        job = self._job(tenant_id, job_id)
        with self._units(tenant_id) as unit:
            progress = unit.part(job_id, phase, ordinal)
        process_page = self._page_processor(job, phase)
        while not progress.done and has_time():
            progress = process_page(progress)
            with self._units(tenant_id) as unit:
                unit.save_part(job_id, phase, progress)
                unit.commit()
        return progress.done

    def follow(self, tenant_id: UUID, job_id: UUID, phase: Phase) -> tuple[Phase | None, int]:
        """Return the next phase and its number of parts. The phase is None after the last phase. An export and a
        repair end here.

        Raises:
            Conflict: the finished phase found points that could not be converted or that differ.
        """
        job = self._job(tenant_id, job_id)
        with self._units(tenant_id) as unit:
            phase_total = total_progress(unit.parts(job_id, phase))
        if phase is Phase.EXPORT:
            export_uri = self._exports.write_manifest(job, phase_total)
            if job.kind is JobKind.EXPORT:
                self._end(tenant_id, job_id, JobStatus.COMPLETED, export=export_uri, points=phase_total.points)
                return None, 0
            self._report(tenant_id, job_id, export=export_uri)
            return Phase.COPY, self._sources.count_parts(job)
        if phase is Phase.REPAIR:
            self._end(tenant_id, job_id, JobStatus.COMPLETED, points=phase_total.points, removed=phase_total.sampled)
            return None, 0
        if phase_total.failed:
            verb = "could not be converted" if phase is Phase.COPY else "differ"
            raise Conflict(f"{phase_total.failed} points {verb}. The first failure: {phase_total.reason}.")
        if phase is Phase.COPY:
            return Phase.COMPARE, self._sources.count_parts(job)
        if job.source.kind is not SourceKind.CURRENT:
            # The target has not been served yet, so it must hold exactly the points of the source.
            self._sources.verify(job, phase_total.points, phase_total.checksum)
            _check_count(self._engine.points(job.target.stored_as).count(), phase_total.points)
        self._report(
            tenant_id,
            job_id,
            points=phase_total.points,
            checksum=f"{phase_total.checksum:016x}",
            vectors_compared=phase_total.sampled,
        )
        return None, 0

    def catch_up(self, tenant_id: UUID, job_id: UUID) -> bool:
        """Copy one batch of changed points. Return whether few enough changes remain for the switch."""
        job = self._job(tenant_id, job_id)
        if job.discard or self._registry.count_changes(job.collection) <= _MAX_CHANGES_AT_SWITCH:
            return True
        with self._registry.exclusive_access(job.collection) as access:
            changes = access.claim(_CHANGES_PER_BATCH)
        self._sync(job, changes)
        self._registry.forget_changes(job.collection, changes)
        return False

    def switch(self, tenant_id: UUID, job_id: UUID) -> bool:
        """Lock out writers, copy the remaining changes, compare the counts, and switch to the other collection.

        Return False if too many changes remain: catch up once more.
        """
        job = self._job(tenant_id, job_id)
        rolling_back = job.status is JobStatus.ROLLING_BACK
        destination = job.served if rolling_back else job.target
        if self._registry.get(job.collection).stored_as != destination.stored_as:
            with self._registry.exclusive_access(job.collection) as access:
                changes = [] if job.discard else access.claim(_CHANGES_PER_BATCH)
                if len(changes) == _CHANGES_PER_BATCH:
                    return False
                self._sync(job, changes)
                if job.source.kind is SourceKind.CURRENT and not job.discard:
                    _check_count(*(self._engine.points(side.stored_as).count() for side in (job.target, job.served)))
                # Changes are also recorded after a switch, so that a rollback can copy them back.
                access.serve(replace(destination, noted=not rolling_back))
            self._registry.forget_changes(job.collection, changes)
        self._engine.alias(destination)
        return True

    def settle(self, tenant_id: UUID, job_id: UUID) -> None:
        """Mark the job as switched or rolled back, once every execution environment has seen the switch.

        The state machine waits served_collections.MAX_STALE_SECONDS before this step. A rollback drops the new
        collection only here, because execution environments may search it until then.
        """
        job = self._job(tenant_id, job_id)
        if job.status is JobStatus.ROLLING_BACK:
            self._registry.forget_changes(job.collection, None)
            self._engine.drop(job.target.stored_as)
            self._end(tenant_id, job_id, JobStatus.ROLLED_BACK)
        elif job.status is JobStatus.RUNNING:
            self._end(tenant_id, job_id, JobStatus.SWITCHED)

    def finish(self, tenant_id: UUID, job_id: UUID) -> None:
        """Stop recording changes, and drop the old collection."""
        job = self._job(tenant_id, job_id)
        if job.status is not JobStatus.FINISHING:
            return
        with self._registry.exclusive_access(job.collection) as access:
            access.serve(replace(job.target, noted=False))
        self._registry.forget_changes(job.collection, None)
        self._engine.drop(job.served.stored_as)
        self._end(tenant_id, job_id, JobStatus.COMPLETED)

    def fail(self, tenant_id: UUID, job_id: UUID, reason: str) -> None:
        """Record the failure, and drop the new collection unless it is already served.

        A failed rollback leaves the migration switched, and can be requested again. A job that is finishing cannot be
        reverted, so the sweep restarts it.
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
            self._fail_running_job(tenant_id, job, reason)

    def _fail_running_job(self, tenant_id: UUID, job: Job, reason: str) -> None:
        if job.kind is JobKind.MIGRATION:
            stored_as = self._registry.get(job.collection).stored_as
            if stored_as == job.target.stored_as and self._has_begun(tenant_id, job):
                # The step failed after the switch, so the switch stands.
                self.switch(tenant_id, job.id)
                self.settle(tenant_id, job.id)
                return
            if stored_as == job.served.stored_as:
                with self._registry.exclusive_access(job.collection) as access:
                    access.serve(replace(job.served, noted=False))
                self._registry.forget_changes(job.collection, None)
                self._engine.drop(job.target.stored_as)
        self._end(tenant_id, job.id, JobStatus.FAILED, error=reason)

    # ---- Helpers of the steps --------------------------------------------------------------------------------------

    def _page_processor(self, job: Job, phase: Phase) -> Callable[[PartProgress], PartProgress]:
        if phase is Phase.EXPORT:
            source = self._engine.points(job.served.stored_as)
            return lambda progress: self._exports.write_page(job, progress, source)
        if phase is Phase.REPAIR:
            served = self._engine.points(job.served.stored_as)
            return lambda progress: self._repair.process_page(job.collection, served, progress)
        target = self._engine.points(job.target.stored_as)
        transfer = Transfer(self._sources.source_for(job), target, self._sources.converter_for(job), job.target)
        if phase is Phase.COPY:
            return transfer.copy
        return lambda progress: transfer.compare(progress, lambda points: self._changed_point_ids(job, points))

    def _changed_point_ids(self, job: Job, points: Sequence[StoredPoint]) -> frozenset[str]:
        """Return the ids of these points that were written since the copy. Only the served collection is written to."""
        if job.source.kind is not SourceKind.CURRENT:
            return frozenset()
        changed_ids = self._registry.changed_points(
            job.collection, [(point.tenant_id, UUID(point.id)) for point in points]
        )
        return frozenset(str(point_id) for point_id in changed_ids)

    def _sync(self, job: Job, changes: Sequence[ChangedPoint]) -> None:
        """Copy changed points from the served collection to the other, whatever the source of the migration is."""
        rolling_back = job.status is JobStatus.ROLLING_BACK
        source, target = (
            self._engine.points(collection.stored_as)
            for collection in _source_and_target(job, rolling_back=rolling_back)
        )
        convert = self._sources.change_converter_for(job, reverse=rolling_back)
        ids = [str(change.point) for change in changes if change.point is not None]
        for start in range(0, len(ids), PAGE_SIZE):
            _raise_for_failures(sync_points(source, target, convert, ids[start : start + PAGE_SIZE]).failed)
        for tenant_id in {change.tenant_id for change in changes if change.point is None}:
            for side in (source, target):
                after: str | None = None
                while page := side.ids_of_tenant(tenant_id, after, PAGE_SIZE):
                    _raise_for_failures(sync_points(source, target, convert, page).failed)
                    after = page[-1]

    def _has_begun(self, tenant_id: UUID, job: Job) -> bool:
        with self._units(tenant_id) as unit:
            return any(unit.parts(job.id, phase) for phase in Phase)

    def _job(self, tenant_id: UUID, job_id: UUID) -> Job:
        with self._units(tenant_id) as unit:
            return existing_job(unit, job_id)

    def _report(self, tenant_id: UUID, job_id: UUID, **entries: Any) -> None:
        with self._units(tenant_id) as unit:
            job = existing_job(unit, job_id, lock=True)
            unit.save(replace(job, report={**job.report, **entries}))
            unit.commit()

    def _end(self, tenant_id: UUID, job_id: UUID, status: JobStatus, error: str | None = None, **entries: Any) -> None:
        with self._units(tenant_id) as unit:
            job = existing_job(unit, job_id, lock=True)
            if job.status is status:
                return
            error = error[:1000] if error else None
            finished_at = None if status is JobStatus.SWITCHED else self._now()
            job = replace(job, status=status, error=error, finished_at=finished_at, report={**job.report, **entries})
            unit.save(job)
            self._emit_event(unit, tenant_id, job)
            unit.commit()

    def _emit_event(self, unit: JobUnit, tenant_id: UUID, job: Job) -> None:
        data: Mapping[str, Any] = {"job_id": str(job.id), "kind": str(job.kind), "collection": job.collection}
        event_type = "vectors.job.failed" if job.error else "vectors.job.done"
        outcome = {"reason": job.error} if job.error else {"status": str(job.status)}
        unit.emit(self._events.build(event_type, tenant_id, job.id, {**data, **outcome}, correlation_id=job.id))


def _source_and_target(job: Job, *, rolling_back: bool) -> tuple[ServedCollection, ServedCollection]:
    return (job.target, job.served) if rolling_back else (job.served, job.target)


def _raise_for_failures(failed: Mapping[str, str]) -> None:
    for point_id, reason in failed.items():
        raise Conflict(f"Point {point_id}, written during the migration, could not be converted: {reason}.")


def _check_count(target: int, source: int) -> None:
    if target != source:
        raise Conflict(f"The new collection holds {target} points instead of {source}.")
