"""Whole collections, as jobs read, write, switch and drop them: in memory, on the local engine, on a server."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.qdrant import packing
from email_sender.adapters.qdrant.copying import QdrantCopying, check_readable
from email_sender.adapters.qdrant.index import QdrantIndex
from email_sender.adapters.qdrant.points import AdoptedPoints, QdrantPoints
from email_sender.adapters.qdrant.settings import Placement
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict, DomainError
from email_sender.vectors.model import Collection, Distance, Nearest, Point, Search, Terms
from email_sender.vectors.serving import Served
from email_sender.vectors.transfer import PointSource, Stored
from tests.contract.conftest import SIZE

OURS, THEIRS = uuid4(), uuid4()
# What JSON can hold, in the engine's own kinds.
PAYLOAD = {
    "text": "ä\u0000\U0001f600", "n": -(2**63), "x": 0.1, "whole": 3.0, "yes": True, "none": None,
    "list": [1, "a", None, [2.5]], "in": {"a": {"b": []}}, "": "empty",
}  # fmt: skip


@dataclass
class On:
    index: QdrantIndex
    copying: QdrantCopying
    collection: Collection

    def points(self, number: int = 1) -> QdrantPoints:
        return self.copying.points(f"{self.collection.name}-{number}")

    def served(self, number: int = 2) -> Served:
        return Served(
            self.collection.name, f"{self.collection.name}-{number}", SIZE, Distance.COSINE, "m", lexical=True
        )

    def add(self, tenant: UUID, *points: Point) -> None:
        self.index.upsert(tenant, self.collection.name, points)


@pytest.fixture
def on(index: QdrantIndex, collection: Collection) -> Iterator[On]:
    copying = QdrantCopying(index._channel, {collection.name: collection}, Placement())
    yield On(index, copying, collection)
    for number in (1, 2):
        copying.drop(f"{collection.name}-{number}")


def every(source: PointSource, parts: int = 16, *, vectors: bool = True) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for part in range(parts):
        after: str | None = None
        while page := source.page(part, after, 3, vectors=vectors):
            assert len(page.points) <= 3
            assert not found.keys() & {each.id for each in page.points}
            found |= {each.id: each for each in page.points}
            after = page.position
    return found


def test_every_point_is_read_once_with_all_that_it_has(on: On) -> None:
    terms = Terms([1, 4_000_000_000], [0.5, 2.0])
    on.add(OURS, Point(1, [1.0] * SIZE, PAYLOAD, terms), *(Point(n, [1.0, *[0.0] * (SIZE - 1)]) for n in range(2, 30)))
    on.add(THEIRS, Point(1, [0.0, *[1.0] * (SIZE - 1)], {"a": 1}))
    found = every(on.points())
    assert len(found) == on.points().count() == 30
    (rich,) = (each for each in found.values() if "text" in each.payload)
    assert {key: rich.payload[key] for key in PAYLOAD} == PAYLOAD
    assert rich.tenant_id == OURS
    assert (rich.terms, len(rich.vector)) == (terms, SIZE)
    assert all(len(each.vector) == 0 for each in every(on.points(), vectors=False).values())


def test_what_is_copied_is_the_same(on: On) -> None:
    on.add(OURS, Point(1, [1.0] * SIZE, PAYLOAD, Terms([7], [1.5])), Point(UUID(int=5), [2.0, *[1.0] * (SIZE - 1)]))
    before = every(on.points())
    assert on.copying.make(on.served())
    assert not on.copying.make(on.served())
    on.points(2).put(list(before.values()))
    after = every(on.points(2))
    assert {key: each.digest for key, each in after.items()} == {key: each.digest for key, each in before.items()}
    assert {key: each.terms for key, each in after.items()} == {key: each.terms for key, each in before.items()}
    for key, each in after.items():
        assert list(each.vector) == pytest.approx(list(before[key].vector))


def test_points_are_got_and_removed_by_id(on: On) -> None:
    on.add(OURS, *(Point(n, [1.0] * SIZE) for n in range(4)))
    ids = sorted(every(on.points()))
    missing = str(uuid4())
    found = on.points().get([ids[0], missing, ids[1]])
    assert set(found) == set(ids[:2])
    assert on.points().get([]) == {}
    on.points().remove([ids[0], missing])
    assert set(every(on.points())) == set(ids[1:])


def test_the_ids_of_one_tenant_are_its_own(on: On) -> None:
    on.add(OURS, *(Point(n, [1.0] * SIZE) for n in range(5)))
    on.add(THEIRS, *(Point(n, [1.0] * SIZE) for n in range(3)))
    found: list[str] = []
    while page := on.points().ids_of_tenant(OURS, found[-1] if found else None, 2):
        assert len(page) <= 2
        found += page
    assert sorted(found) == sorted(key for key, each in every(on.points()).items() if each.tenant_id == OURS)


def test_an_alias_is_switched_and_what_is_behind_it_found(on: On) -> None:
    on.add(OURS, Point(1, [1.0] * SIZE))
    assert on.copying.found(on.collection).stored_as == f"{on.collection.name}-1"
    on.copying.make(on.served())
    for _ in range(2):
        on.copying.alias(on.served())
        assert on.copying.found(on.collection) == on.served()
    assert on.index.search(OURS, on.collection.name, Search(Nearest([1.0] * SIZE))) == []
    on.copying.alias(on.served(1))
    assert len(on.index.search(OURS, on.collection.name, Search(Nearest([1.0] * SIZE)))) == 1


def test_what_is_dropped_is_gone_and_may_be_dropped_again(on: On) -> None:
    on.copying.make(on.served())
    for _ in range(2):
        on.copying.drop(f"{on.collection.name}-2")
    with pytest.raises(DomainError):
        on.points(2).count()


def test_a_foreign_collection_becomes_one_tenants(on: On) -> None:
    # Points that know nothing of us, counted by numbers and by UUIDs.
    other, stored_as = uuid4(), f"{on.collection.name}-1"
    vectors = pb.Vectors(vector=pb.Vector(dense=pb.DenseVector(data=[1.0] * SIZE)))
    points = [
        pb.PointStruct(id=pb.PointId(num=7), vectors=vectors, payload=packing.payload_to({"a": 1})),
        pb.PointStruct(
            id=pb.PointId(uuid=str(other)),
            vectors=vectors,
            payload=packing.payload_to({"tenant_id": str(THEIRS), "_id": 3}),
        ),
    ]
    request = pb.UpsertPoints(collection_name=stored_as, wait=True, points=points)
    on.index._channel().points("Upsert", request.SerializeToString())
    adopted = AdoptedPoints(QdrantPoints(on.index._channel(), stored_as, parts=1), OURS, "c")
    found = every(adopted, parts=1)
    assert {each.tenant_id for each in found.values()} == {OURS}
    on.copying.make(on.served())
    target = QdrantIndex(on.index._channel, stored_as=lambda _: f"{on.collection.name}-2")
    on.points(2).put(list(found.values()))
    assert {hit.id for hit in target.search(OURS, "c", Search(Nearest([1.0] * SIZE)))} == {7, other}
    assert target.has(OURS, "c", 7)
    assert not target.has(THEIRS, "c", 3)


def test_what_of_another_engine_cannot_be_read_is_said(on: On) -> None:
    channel, name = on.index._channel(), f"{on.collection.name}-1"
    check_readable(channel, name, on.served())
    with pytest.raises(Conflict, match=f"has vectors of {SIZE}, not 5"):
        check_readable(channel, name, replace(on.served(), size=5))
    with pytest.raises(Conflict, match="was embedded by m, and other is wanted"):
        check_readable(channel, name, replace(on.served(), model="other"))
