"""Transfer of points between collections: copy them, embed them again where necessary, and compare both sides."""

import hashlib
import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from uuid import UUID

from email_sender.vectors.bm25 import document_terms
from email_sender.vectors.jobs.model import PartProgress
from email_sender.vectors.model import Distance, Terms
from email_sender.vectors.ports import Embedder
from email_sender.vectors.served_collections import ServedCollection

TENANT_KEY: Final = "tenant_id"
# Points are split into parts by the first digit of their ids. Ids are hashes, so the parts have about the same size.
PART_COUNT: Final = 16
# Points per page. With 1,536 floats per point, a page has 3 MB.
PAGE_SIZE: Final = 500
# How many points of a page have their vectors compared.
SAMPLE_SIZE: Final = 10
# Normalising a float32 vector here and in the engine differs in the seventh digit.
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point as the engine stores it. `id` is the engine's id. `payload` includes the tenant and the client's id."""

    id: str
    vector: "array[float]"
    payload: Mapping[str, Any]
    terms: Terms | None = None

    @property
    def tenant_id(self) -> UUID:
        return UUID(str(self.payload[TENANT_KEY]))

    @property
    def digest(self) -> int:
        """64-bit hash of the id and the payload."""
        text = json.dumps([self.id, self.payload], sort_keys=True, default=str, separators=(",", ":"))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class PointPage:
    """A page of points. Pass `position` as `after` to read the next page."""

    points: Sequence[StoredPoint]
    position: str


class PointSource(Protocol):
    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PointPage | None:
        """Return about `limit` points of a part that follow `after`, or None at the end of the part.

        With `vectors=False`, the vectors of the points are empty.
        """


class PointStore(PointSource, Protocol):
    """One collection of the engine, with the points of all tenants."""

    def get(self, ids: Sequence[str], *, vectors: bool = True) -> Mapping[str, StoredPoint]:
        """Return the points with these ids, by id. Missing points are left out."""

    def put(self, points: Sequence[StoredPoint]) -> None: ...

    def remove(self, ids: Sequence[str]) -> None: ...

    def count(self) -> int: ...

    def ids_of_tenant(self, tenant_id: UUID, after: str | None, limit: int) -> Sequence[str]:
        """Return at most `limit` ids of the tenant's points that follow `after`, in order."""


class PointTexts(Protocol):
    def texts_of(self, points: Sequence[StoredPoint]) -> Mapping[str, str]:
        """Return the stored text of each point that has one, by the point's id."""


@dataclass(frozen=True, slots=True)
class ConvertedPoints:
    """The result of a conversion. `failed` maps the id of each point that could not be converted to the reason."""

    points: Sequence[StoredPoint]
    failed: Mapping[str, str]


type Converter = Callable[[Sequence[StoredPoint]], ConvertedPoints]


def keep_vectors(target: ServedCollection) -> Converter:
    """Return a converter that keeps vectors, and fails points whose vector does not have the target's size."""

    def convert(points: Sequence[StoredPoint]) -> ConvertedPoints:
        failed = {
            point.id: f"its vector has {len(point.vector)} dimensions instead of {target.size}, "
            "and it has no stored text"
            for point in points
            if len(point.vector) != target.size
        }
        converted_points = [
            point if target.lexical else replace(point, terms=None) for point in points if point.id not in failed
        ]
        return ConvertedPoints(converted_points, failed)

    return convert


def embed_again(target: ServedCollection, embedder: Embedder, texts: PointTexts) -> Converter:
    """Return a converter that embeds the stored text of each point with the target's model."""

    def convert(points: Sequence[StoredPoint]) -> ConvertedPoints:
        texts_by_id = texts.texts_of(points)
        with_text = [point for point in points if point.id in texts_by_id]
        vectors = embedder.embed([texts_by_id[point.id] for point in with_text]) if with_text else []
        converted_points = [
            replace(
                point,
                vector=array("f", vector),
                terms=document_terms(texts_by_id[point.id]) if target.lexical else None,
            )
            for point, vector in zip(with_text, vectors, strict=True)
        ]
        return ConvertedPoints(
            converted_points, {point.id: "it has no stored text" for point in points if point.id not in texts_by_id}
        )

    return convert


class PayloadTexts:
    """Texts stored under a payload key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def texts_of(self, points: Sequence[StoredPoint]) -> Mapping[str, str]:
        return {point.id: text for point in points if isinstance(text := point.payload.get(self._key), str) and text}


@dataclass(frozen=True, slots=True)
class Transfer:
    source: PointSource
    target: PointStore
    convert: Converter
    target_collection: ServedCollection

    def copy(self, progress: PartProgress) -> PartProgress:
        """Copy one page of a part to the target, and return the new progress. Repeatable."""
        page = self.source.page(progress.ordinal, progress.position, PAGE_SIZE)
        if page is None:
            return replace(progress, done=True)
        conversion = self.convert(page.points)
        self.target.put(conversion.points)
        return replace(
            progress,
            position=page.position,
            points=progress.points + len(conversion.points),
            failed=progress.failed + len(conversion.failed),
            reason=progress.reason or _first_failure(conversion.failed),
        )

    def compare(
        self, progress: PartProgress, find_changed: Callable[[Sequence[StoredPoint]], frozenset[str]]
    ) -> PartProgress:
        """Compare one page: the id and payload of each point, and the vectors of a sample. Return the new progress.

        `find_changed` returns the ids of points that were written since the copy began. They are not failures: they are
        copied and compared again later.
        """
        page = self.source.page(progress.ordinal, progress.position, PAGE_SIZE, vectors=False)
        if page is None:
            return replace(progress, done=True)
        points = page.points
        target_points = self.target.get([point.id for point in points], vectors=False)
        mismatches = {
            point.id: "it is missing" if point.id not in target_points else "its payload differs"
            for point in points
            if point.id not in target_points or target_points[point.id].digest != point.digest
        }
        sample = self._sample(progress, points)
        mismatches |= self._compare_vectors(sample)
        if mismatches:
            changed_ids = find_changed([point for point in points if point.id in mismatches])
            mismatches = {point_id: reason for point_id, reason in mismatches.items() if point_id not in changed_ids}
        return replace(
            progress,
            position=page.position,
            points=progress.points + len(points),
            checksum=(
                progress.checksum + sum(target_points[point.id].digest for point in points if point.id in target_points)
            )
            % 2**64,
            sampled=progress.sampled + len(sample),
            failed=progress.failed + len(mismatches),
            reason=progress.reason or _first_failure(mismatches),
        )

    def _sample(self, progress: PartProgress, points: Sequence[StoredPoint]) -> Sequence[StoredPoint]:
        """Read the first points of the page again, with their vectors."""
        wanted_ids = {point.id for point in points[:SAMPLE_SIZE]}
        page = self.source.page(progress.ordinal, progress.position, SAMPLE_SIZE)
        return [point for point in page.points if point.id in wanted_ids] if page else []

    def _compare_vectors(self, sample: Sequence[StoredPoint]) -> dict[str, str]:
        expected_points = self.convert(sample).points
        target_points = self.target.get([point.id for point in expected_points])
        return {
            point.id: "its vector differs"
            for point in expected_points
            if point.id in target_points
            and not vectors_match(point.vector, target_points[point.id].vector, self.target_collection.distance)
        }


def sync_points(source: PointStore, target: PointStore, convert: Converter, ids: Sequence[str]) -> ConvertedPoints:
    """Copy these points to the target as they are in the source now, and delete those that the source no longer has."""
    source_points = source.get(ids)
    conversion = convert(list(source_points.values()))
    if conversion.points:
        target.put(conversion.points)
    if missing_ids := [point_id for point_id in ids if point_id not in source_points]:
        target.remove(missing_ids)
    return conversion


def vectors_match(first: Sequence[float], second: Sequence[float], distance: Distance) -> bool:
    """Compare two vectors with a tolerance. With cosine distance only their directions count.

    The engine stores normalised vectors for cosine distance.
    """
    if len(first) != len(second):
        return False
    if distance is Distance.COSINE:
        first, second = _normalise(first), _normalise(second)
    scale = max(1.0, max(map(abs, first), default=1.0))
    return all(abs(a - b) <= _TOLERANCE * scale for a, b in zip(first, second, strict=True))


def _normalise(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(number * number for number in vector)) or 1.0
    return [number / length for number in vector]


def _first_failure(failures: Mapping[str, str]) -> str | None:
    return next((f"point {point_id}: {reason}" for point_id, reason in failures.items()), None)
