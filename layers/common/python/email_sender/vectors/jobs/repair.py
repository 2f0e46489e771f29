"""Find the points that have outlived their messages, and remove them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from email_sender.vectors.jobs.model import PartProgress
from email_sender.vectors.jobs.transfer import PAGE_SIZE, PointSource, StoredPoint
from email_sender.vectors.ports import PointWriter


class OrphanFinder(Protocol):
    def find(self, points: Sequence[StoredPoint]) -> Mapping[UUID, Sequence[UUID]]:
        """Return the ids of the messages that the points were made of and that no longer exist, by tenant.

        Points that clients stored themselves are never orphans.
        """


class Repair:
    """Removes orphans page by page.

    An import stores a message before its point, so a point without a message is left over. If a deleted message is
    imported again while its page is processed, its new point may be removed too: import the mailbox once more.
    """

    def __init__(self, orphans: OrphanFinder, writer: PointWriter) -> None:
        self._orphans, self._writer = orphans, writer

    def process_page(self, collection: str, source: PointSource, progress: PartProgress) -> PartProgress:
        """Process the next page of a part. `points` counts the points read, `sampled` those removed."""
        page = source.page(progress.ordinal, progress.position, PAGE_SIZE, vectors=False)
        if page is None:
            return replace(progress, done=True)
        removed = 0
        for tenant_id, ids in self._orphans.find(page.points).items():
            self._writer.delete(tenant_id, collection, ids)
            removed += len(ids)
        return replace(
            progress,
            position=page.position,
            points=progress.points + len(page.points),
            sampled=progress.sampled + removed,
        )
