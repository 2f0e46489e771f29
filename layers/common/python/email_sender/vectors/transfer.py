"""Points on their way from one collection into another: copied, made anew where they must be, and compared."""

import hashlib
import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from uuid import UUID

from email_sender.vectors.job_model import PartDone
from email_sender.vectors.lexical import terms_of
from email_sender.vectors.model import Distance, Terms
from email_sender.vectors.ports import Embedder
from email_sender.vectors.serving import Served

TENANT_KEY: Final = "tenant_id"
# By an id's first digit: ids are hashes, so the parts are of one size.
PARTS: Final = 16
# One page of the engine: of 1,536 floats, 3 MB.
PAGE: Final = 500
# Of a page's points, so many have their vectors looked at.
SAMPLE: Final = 10
# float32 and the engine's own normalising differ in the seventh digit.
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Stored:
    """A point as the engine has it. `id` is the engine's; the tenant and the client's id are in `payload`."""

    id: str
    vector: "array[float]"
    payload: Mapping[str, Any]
    terms: Terms | None = None

    @property
    def tenant_id(self) -> UUID:
        return UUID(str(self.payload[TENANT_KEY]))

    @property
    def digest(self) -> int:
        """64 bits of its id and payload."""
        text = json.dumps([self.id, self.payload], sort_keys=True, default=str, separators=(",", ":"))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class PageOf:
    """`position` is where the next page goes on from."""

    points: Sequence[Stored]
    position: str


class PointSource(Protocol):
    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PageOf | None:
        """About `limit` points of a part that follow `after`; None at its end. Without vectors they have empty ones."""


class PointStore(PointSource, Protocol):
    """One collection of the engine, with the points of all tenants."""

    def get(self, ids: Sequence[str], *, vectors: bool = True) -> Mapping[str, Stored]: ...

    def put(self, points: Sequence[Stored]) -> None: ...

    def remove(self, ids: Sequence[str]) -> None: ...

    def count(self) -> int: ...

    def ids_of_tenant(self, tenant_id: UUID, after: str | None, limit: int) -> Sequence[str]: ...


class Texts(Protocol):
    def of(self, points: Sequence[Stored]) -> Mapping[str, str]:
        """The stored text of each point that has one, by the point's id."""


@dataclass(frozen=True, slots=True)
class Converted:
    """`failed` names the points that cannot be made, with why."""

    points: Sequence[Stored]
    failed: Mapping[str, str]


type Convert = Callable[[Sequence[Stored]], Converted]


def keep_vectors(target: Served) -> Convert:
    """Vectors as they are, where they fit."""

    def convert(points: Sequence[Stored]) -> Converted:
        failed = {
            each.id: f"its vector has {len(each.vector)} numbers, {target.size} are wanted, and there is no text of it"
            for each in points
            if len(each.vector) != target.size
        }
        made = [each if target.lexical else replace(each, terms=None) for each in points if each.id not in failed]
        return Converted(made, failed)

    return convert


def embed_again(target: Served, embedder: Embedder, texts: Texts) -> Convert:
    """Vectors made anew of the points' texts, by the target's model."""

    def convert(points: Sequence[Stored]) -> Converted:
        known = texts.of(points)
        with_text = [each for each in points if each.id in known]
        vectors = embedder.embed([known[each.id] for each in with_text]) if with_text else []
        made = [
            replace(
                each,
                vector=array("f", vector),
                terms=terms_of(known[each.id]) if target.lexical else None,
            )
            for each, vector in zip(with_text, vectors, strict=True)
        ]
        return Converted(made, {each.id: "no text of it is stored" for each in points if each.id not in known})

    return convert


class PayloadTexts:
    """Texts that lie in the payload under a key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def of(self, points: Sequence[Stored]) -> Mapping[str, str]:
        return {each.id: text for each in points if isinstance(text := each.payload.get(self._key), str) and text}


@dataclass(frozen=True, slots=True)
class Transfer:
    source: PointSource
    target: PointStore
    convert: Convert
    served: Served

    def copy(self, done: PartDone) -> PartDone:
        """One page of a part: its points made and stored. Doing it again stores the same."""
        page = self.source.page(done.ordinal, done.position, PAGE)
        if page is None:
            return replace(done, done=True)
        made = self.convert(page.points)
        self.target.put(made.points)
        return replace(
            done,
            position=page.position,
            points=done.points + len(made.points),
            failed=done.failed + len(made.failed),
            reason=done.reason or _first(made.failed),
        )

    def compare(self, done: PartDone, changed: Callable[[Sequence[Stored]], frozenset[str]]) -> PartDone:
        """One page: every point's id and payload, and the vectors of some.

        `changed` tells which of these points were written since the copy began: they are copied again, and compared
        then.
        """
        page = self.source.page(done.ordinal, done.position, PAGE, vectors=False)
        if page is None:
            return replace(done, done=True)
        points = page.points
        found = self.target.get([each.id for each in points], vectors=False)
        wrong = {
            each.id: "it is not there" if each.id not in found else "its payload is another"
            for each in points
            if each.id not in found or found[each.id].digest != each.digest
        }
        sample = self._sample(done, points)
        wrong |= self._compare_vectors(sample)
        if wrong:
            since = changed([each for each in points if each.id in wrong])
            wrong = {name: why for name, why in wrong.items() if name not in since}
        return replace(
            done,
            position=page.position,
            points=done.points + len(points),
            checksum=(done.checksum + sum(found[each.id].digest for each in points if each.id in found)) % 2**64,
            sampled=done.sampled + len(sample),
            failed=done.failed + len(wrong),
            reason=done.reason or _first(wrong),
        )

    def _sample(self, done: PartDone, points: Sequence[Stored]) -> Sequence[Stored]:
        """The page's first, read once more with their vectors."""
        wanted = {each.id for each in points[:SAMPLE]}
        page = self.source.page(done.ordinal, done.position, SAMPLE)
        return [each for each in page.points if each.id in wanted] if page else []

    def _compare_vectors(self, sample: Sequence[Stored]) -> dict[str, str]:
        expected = self.convert(sample).points
        found = self.target.get([each.id for each in expected])
        return {
            each.id: "its vector is another"
            for each in expected
            if each.id in found and not same_vector(each.vector, found[each.id].vector, self.served.distance)
        }


def sync(source: PointStore, target: PointStore, convert: Convert, ids: Sequence[str]) -> Converted:
    """Make these points in the target as they are in the source now: there, or gone."""
    there = source.get(ids)
    made = convert(list(there.values()))
    if made.points:
        target.put(made.points)
    if gone := [each for each in ids if each not in there]:
        target.remove(gone)
    return made


def same_vector(one: Sequence[float], other: Sequence[float], distance: Distance) -> bool:
    """By cosine the engine keeps directions alone, each of length 1."""
    if len(one) != len(other):
        return False
    if distance is Distance.COSINE:
        one, other = _direction(one), _direction(other)
    scale = max(1.0, max(map(abs, one), default=1.0))
    return all(abs(a - b) <= _TOLERANCE * scale for a, b in zip(one, other, strict=True))


def _direction(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(each * each for each in vector)) or 1.0
    return [each / length for each in vector]


def _first(wrong: Mapping[str, str]) -> str | None:
    return next((f"point {name}: {why}" for name, why in wrong.items()), None)
