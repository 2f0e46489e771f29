"""The quota of stored vectors, with a writer in memory."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.security.quotas import QuotaExceeded
from email_sender.vectors.model import Delete, Filter, Point, PointSelector, Upsert
from email_sender.vectors.stored_quota import QuotaWriter

TENANT = uuid4()


class Engine:
    def __init__(self, stored: int, allowed: int) -> None:
        self.stored, self.allowed, self.counts, self.now = stored, allowed, 0, 0.0
        self.writer = QuotaWriter(self, self.count, self.check, lambda: self.now)

    def count(self, _tenant: UUID) -> int:
        self.counts += 1
        return self.stored

    def check(self, _tenant: UUID, stored: int, added: int) -> int:
        if stored + added > self.allowed:
            raise QuotaExceeded("Too many.", 1)
        return self.allowed

    def upsert(self, _tenant: UUID, _collection: str, points: Sequence[Point]) -> None:
        self.stored += len(points)

    def write(self, _tenant: UUID, _collection: str, writes: Sequence[Any]) -> None:
        self.stored += sum(len(write.points) for write in writes if isinstance(write, Upsert))

    def delete(self, _tenant: UUID, _collection: str, ids: Sequence[Any]) -> None:
        self.stored -= len(ids)


def points(number: int) -> list[Point]:
    return [Point(id=uuid4(), vector=[0.1], payload={}) for _ in range(number)]


def test_the_engine_is_asked_once_a_minute() -> None:
    engine = Engine(stored=10, allowed=1000)
    for _ in range(5):
        engine.writer.upsert(TENANT, "c", points(3))
    assert engine.counts == 1
    engine.now = 61.0
    engine.writer.upsert(TENANT, "c", points(3))
    assert engine.counts == 2


def test_more_than_the_quota_is_refused_before_anything_is_written() -> None:
    engine = Engine(stored=10, allowed=15)
    engine.writer.upsert(TENANT, "c", points(4))
    with pytest.raises(QuotaExceeded):
        engine.writer.upsert(TENANT, "c", points(2))
    with pytest.raises(QuotaExceeded):
        engine.writer.write(TENANT, "c", [Upsert(points(2))])
    assert engine.stored == 14
    engine.writer.write(TENANT, "c", [Delete(PointSelector(filter=Filter()))])
    engine.writer.delete(TENANT, "c", [uuid4(), uuid4()])
    engine.writer.upsert(TENANT, "c", points(3))
    assert engine.stored == 15
