"""The ports of job steps: served collections, the search engine, and the sources and targets of points."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from email_sender.vectors.jobs.model import Job, PartProgress
from email_sender.vectors.jobs.transfer import Converter, PointSource, PointStore
from email_sender.vectors.served_collections import ServedCollection


@dataclass(frozen=True, slots=True)
class ChangedPoint:
    """A point that was written during a migration. `point` is None if any point of the tenant may have changed."""

    tenant_id: UUID
    point: UUID | None


class ExclusiveAccess(Protocol):
    """The operations on a collection that need writers to be locked out."""

    def claim(self, limit: int) -> Sequence[ChangedPoint]:
        """Claim and return at most `limit` changes to copy. Changes of an unfinished claim come first."""

    def serve(self, served: ServedCollection) -> None:
        """Serve this collection when the transaction commits. This also invalidates all cached results."""


class ServingRegistry(Protocol):
    """The collections that are served, and the changes recorded during migrations."""

    def exclusive_access(self, collection: str) -> AbstractContextManager[ExclusiveAccess]:
        """Wait for running writes to end, and block new writes. Commit when the block ends without an error."""

    def get(self, collection: str) -> ServedCollection:
        """Return what is served under a name. Raises NotFound if the collection was never prepared."""

    def forget_changes(self, collection: str, changes: Sequence[ChangedPoint] | None) -> None:
        """Delete claimed changes that were not written again since. None deletes all changes of the collection."""

    def changed_points(self, collection: str, points: Sequence[tuple[UUID, UUID]]) -> frozenset[UUID]:
        """Return the ids of these (tenant id, point id) pairs that have been written since the migration began."""

    def count_changes(self, collection: str) -> int:
        """Return how many recorded changes remain."""


class CollectionEngine(Protocol):
    def create_if_missing(self, served: ServedCollection) -> bool:
        """Create the collection with its indexes if it is missing. Return whether it was created."""

    def drop(self, stored_as: str) -> None:
        """Delete the collection. Do nothing if it does not exist."""

    def alias(self, served: ServedCollection) -> None:
        """Point the alias `served.name` at the collection `served.stored_as`."""

    def snapshot(self, stored_as: str) -> str | None:
        """Create a snapshot and return its name, or None if the engine does not support snapshots."""

    def points(self, stored_as: str) -> PointStore: ...


class MigrationSources(Protocol):
    """The source of a job's points, and their conversion for the target collection."""

    def count_parts(self, job: Job) -> int:
        """Return the number of parts. Raises InvalidInput or Conflict if the source does not fit the target."""

    def source_for(self, job: Job) -> PointSource:
        """Return the source that the job reads its points from."""

    def converter_for(self, job: Job) -> Converter:
        """Return the converter from the source's points to the target's."""

    def change_converter_for(self, job: Job, *, reverse: bool) -> Converter:
        """Return the converter for points written while the job runs.

        It converts from the served collection to the target, or from the target back if `reverse`.
        """

    def verify(self, job: Job, points: int, checksum: int) -> None:
        """Raises Conflict if the points that were read do not match the count and checksum recorded in the source."""


class ExportWriter(Protocol):
    def write_page(self, job: Job, progress: PartProgress, source: PointSource) -> PartProgress:
        """Write the next page of a part as an object. Return the new progress."""

    def write_manifest(self, job: Job, total: PartProgress) -> str:
        """Write the manifest, which marks the export as complete. Return its URI."""
