"""Restores the points of a collection from a backup, and compares each with the backup."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from email_sender.backups.model import Manifest, NotRestorable
from email_sender.errors import NotFound
from email_sender.vectors.jobs.model import PartProgress
from email_sender.vectors.jobs.transfer import PointSource, PointStore, Transfer, keep_vectors
from email_sender.vectors.served_collections import ServedCollection


class VectorEngine(Protocol):
    def create_if_missing(self, served: ServedCollection) -> bool: ...

    def points(self, stored_as: str) -> PointStore: ...

    def alias(self, served: ServedCollection) -> None: ...


@dataclass(frozen=True, slots=True)
class Lane:
    """Parts of a collection that one function restores one after the other: first all are copied, then compared.

    `position` is how far the first of `parts` is; "" is its beginning. `compared` has the parts that are copied.
    """

    collection: str
    parts: Sequence[int]
    compared: Sequence[int] = ()
    position: str = ""

    @property
    def done(self) -> bool:
        return not self.parts and not self.compared


class PointsRestore:
    """`models` has the models of this deployment by collection. Without its model, a collection cannot be searched."""

    def __init__(
        self,
        manifest: Manifest,
        source: Callable[[str], PointSource],
        engine: VectorEngine,
        models: Mapping[str, frozenset[str]],
    ) -> None:
        self._manifest, self._source, self._engine, self._models = manifest, source, engine, models

    def advance(self, lane: Lane, has_time_left: Callable[[], bool]) -> Lane:
        """Copy and compare pages while `has_time_left` returns True. Return what is left. Repeatable.

        Raises:
            NotFound: the backup does not have the collection.
            NotRestorable: this deployment lacks the collection's model, or a restored point differs from the backup.
        """
        served = self._served(lane.collection)
        self._engine.create_if_missing(served)
        target = self._engine.points(served.stored_as)
        transfer = Transfer(self._source(lane.collection), target, keep_vectors(served), served)
        while not lane.done and has_time_left():
            lane = _copy(transfer, lane) if lane.parts else _compare(transfer, lane)
        return lane

    def serve(self, collection: str) -> int:
        """Let searches use the restored collection. Return how many points the backup has of it."""
        served = self._served(collection)
        self._engine.create_if_missing(served)
        self._engine.alias(served)
        return self._manifest.collections[collection].points

    def _served(self, collection: str) -> ServedCollection:
        if collection not in self._manifest.collections:
            raise NotFound("The collection is not part of this backup.")
        served = self._manifest.collections[collection].served
        if served.model is not None and served.model not in self._models.get(collection, frozenset()):
            raise NotRestorable(
                f"The backup's {collection} was embedded by {served.model}, which this deployment does not have. "
                "Deploy with this model first (EmbeddingModels), restore, then migrate to another."
            )
        return served


def _copy(transfer: Transfer, lane: Lane) -> Lane:
    part, *rest = lane.parts
    progress = _checked(transfer.copy(PartProgress(part, lane.position or None)), lane)
    if not progress.done:
        return replace(lane, position=progress.position or "")
    # The last part is compared first: the order does not matter.
    return Lane(lane.collection, rest, [part, *lane.compared])


def _compare(transfer: Transfer, lane: Lane) -> Lane:
    part, *rest = lane.compared
    # Nobody changes these points: the tenants cannot write before their collection is served.
    progress = _checked(transfer.compare(PartProgress(part, lane.position or None), lambda _points: frozenset()), lane)
    return Lane(lane.collection, [], rest) if progress.done else replace(lane, position=progress.position or "")


def _checked(progress: PartProgress, lane: Lane) -> PartProgress:
    if progress.failed:
        raise NotRestorable(f"A point of {lane.collection} was not restored as it was: {progress.reason}")
    return progress
