"""Whole collections, as jobs read, write, switch and drop them: in memory, on the local engine, and on a server."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.qdrant import packing
from email_sender.adapters.qdrant.collection_engine import QdrantCollections, check_readable
from email_sender.adapters.qdrant.collection_settings import Placement
from email_sender.adapters.qdrant.point_store import AdoptedPoints, QdrantPoints
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict, DomainError
from email_sender.vectors.jobs.transfer import PointSource, StoredPoint
from email_sender.vectors.model import Collection, Distance, Nearest, Point, Search, Terms
from email_sender.vectors.served_collections import ServedCollection
from tests.contract.conftest import SIZE

pytestmark = [pytest.mark.needs_engine]

TENANT, OTHER_TENANT = uuid4(), uuid4()
# Every JSON type, in the engine's own value types.
PAYLOAD = {
    "text": "ä\u0000\U0001f600", "n": -(2**63), "x": 0.1, "whole": 3.0, "yes": True, "none": None,
    "list": [1, "a", None, [2.5]], "in": {"a": {"b": []}}, "": "empty",
}  # fmt: skip


@dataclass
class PointStoreScenario:
    index: QdrantIndex
    copying: QdrantCollections
    collection: Collection

    def points(self, number: int = 1) -> QdrantPoints:
        return self.copying.points(f"{self.collection.name}-{number}")

    def served(self, number: int = 2) -> ServedCollection:
        return ServedCollection(
            self.collection.name, f"{self.collection.name}-{number}", SIZE, Distance.COSINE, "m", lexical=True
        )

    def add(self, tenant: UUID, *points: Point) -> None:
        self.index.upsert(tenant, self.collection.name, points)


@pytest.fixture
def scenario(index: QdrantIndex, collection: Collection) -> Iterator[PointStoreScenario]:
    copying = QdrantCollections(index._channel, {collection.name: collection}, Placement())
    yield PointStoreScenario(index, copying, collection)
    for number in (1, 2):
        copying.drop(f"{collection.name}-{number}")


def read_all(source: PointSource, parts: int = 16, *, vectors: bool = True) -> dict[str, StoredPoint]:
    points_by_id: dict[str, StoredPoint] = {}
    for part in range(parts):
        after: str | None = None
        while page := source.page(part, after, 3, vectors=vectors):
            assert len(page.points) <= 3
            assert not points_by_id.keys() & {point.id for point in page.points}
            points_by_id |= {point.id: point for point in page.points}
            after = page.position
    return points_by_id


def test_every_point_is_read_once_with_everything_it_stores(scenario: PointStoreScenario) -> None:
    terms = Terms([1, 4_000_000_000], [0.5, 2.0])
    scenario.add(
        TENANT, Point(1, [1.0] * SIZE, PAYLOAD, terms), *(Point(n, [1.0, *[0.0] * (SIZE - 1)]) for n in range(2, 30))
    )
    scenario.add(OTHER_TENANT, Point(1, [0.0, *[1.0] * (SIZE - 1)], {"a": 1}))
    points_by_id = read_all(scenario.points())
    assert len(points_by_id) == scenario.points().count() == 30
    (full_point,) = (point for point in points_by_id.values() if "text" in point.payload)
    assert {key: full_point.payload[key] for key in PAYLOAD} == PAYLOAD
    assert full_point.tenant_id == TENANT
    assert (full_point.terms, len(full_point.vector)) == (terms, SIZE)
    assert all(len(point.vector) == 0 for point in read_all(scenario.points(), vectors=False).values())


def test_a_copied_point_equals_the_original(scenario: PointStoreScenario) -> None:
    scenario.add(
        TENANT, Point(1, [1.0] * SIZE, PAYLOAD, Terms([7], [1.5])), Point(UUID(int=5), [2.0, *[1.0] * (SIZE - 1)])
    )
    before = read_all(scenario.points())
    assert scenario.copying.create_if_missing(scenario.served())
    assert not scenario.copying.create_if_missing(scenario.served())
    scenario.points(2).put(list(before.values()))
    after = read_all(scenario.points(2))
    assert {key: point.digest for key, point in after.items()} == {key: point.digest for key, point in before.items()}
    assert {key: point.terms for key, point in after.items()} == {key: point.terms for key, point in before.items()}
    for key, copied_point in after.items():
        assert list(copied_point.vector) == pytest.approx(list(before[key].vector))


def test_points_are_read_and_removed_by_id(scenario: PointStoreScenario) -> None:
    scenario.add(TENANT, *(Point(n, [1.0] * SIZE) for n in range(4)))
    ids = sorted(read_all(scenario.points()))
    unknown_id = str(uuid4())
    points_by_id = scenario.points().get([ids[0], unknown_id, ids[1]])
    assert set(points_by_id) == set(ids[:2])
    assert scenario.points().get([]) == {}
    scenario.points().remove([ids[0], unknown_id])
    assert set(read_all(scenario.points())) == set(ids[1:])


def test_ids_of_tenant_returns_only_that_tenants_points(scenario: PointStoreScenario) -> None:
    scenario.add(TENANT, *(Point(n, [1.0] * SIZE) for n in range(5)))
    scenario.add(OTHER_TENANT, *(Point(n, [1.0] * SIZE) for n in range(3)))
    point_ids: list[str] = []
    while page := scenario.points().ids_of_tenant(TENANT, point_ids[-1] if point_ids else None, 2):
        assert len(page) <= 2
        point_ids += page
    assert sorted(point_ids) == sorted(
        key for key, point in read_all(scenario.points()).items() if point.tenant_id == TENANT
    )


def test_an_alias_is_switched_and_its_collection_found(scenario: PointStoreScenario) -> None:
    scenario.add(TENANT, Point(1, [1.0] * SIZE))
    assert scenario.copying.describe(scenario.collection).stored_as == f"{scenario.collection.name}-1"
    scenario.copying.create_if_missing(scenario.served())
    for _ in range(2):
        scenario.copying.alias(scenario.served())
        assert scenario.copying.describe(scenario.collection) == scenario.served()
    assert scenario.index.search(TENANT, scenario.collection.name, Search(Nearest([1.0] * SIZE))) == []
    scenario.copying.alias(scenario.served(1))
    assert len(scenario.index.search(TENANT, scenario.collection.name, Search(Nearest([1.0] * SIZE)))) == 1


def test_a_dropped_collection_is_gone_and_may_be_dropped_again(scenario: PointStoreScenario) -> None:
    scenario.copying.create_if_missing(scenario.served())
    for _ in range(2):
        scenario.copying.drop(f"{scenario.collection.name}-2")
    with pytest.raises(DomainError):
        scenario.points(2).count()


def test_points_of_a_foreign_collection_are_adopted_by_one_tenant(scenario: PointStoreScenario) -> None:
    # Another system's points, with numbers and UUIDs as ids.
    foreign_id, stored_as = uuid4(), f"{scenario.collection.name}-1"
    vectors = pb.Vectors(vector=pb.Vector(dense=pb.DenseVector(data=[1.0] * SIZE)))
    points = [
        pb.PointStruct(id=pb.PointId(num=7), vectors=vectors, payload=packing.pack_payload({"a": 1})),
        pb.PointStruct(
            id=pb.PointId(uuid=str(foreign_id)),
            vectors=vectors,
            payload=packing.pack_payload({"tenant_id": str(OTHER_TENANT), "_id": 3}),
        ),
    ]
    request = pb.UpsertPoints(collection_name=stored_as, wait=True, points=points)
    scenario.index._channel().points("Upsert", request.SerializeToString())
    adopted_source = AdoptedPoints(QdrantPoints(scenario.index._channel(), stored_as, parts=1), TENANT, "c")
    adopted_points = read_all(adopted_source, parts=1)
    assert {point.tenant_id for point in adopted_points.values()} == {TENANT}
    scenario.copying.create_if_missing(scenario.served())
    target = QdrantIndex(scenario.index._channel, stored_as=lambda _: f"{scenario.collection.name}-2")
    scenario.points(2).put(list(adopted_points.values()))
    assert {hit.id for hit in target.search(TENANT, "c", Search(Nearest([1.0] * SIZE)))} == {7, foreign_id}
    assert target.has(TENANT, "c", 7)
    assert not target.has(OTHER_TENANT, "c", 3)


def test_an_unreadable_collection_of_another_engine_is_explained(scenario: PointStoreScenario) -> None:
    channel, name = scenario.index._channel(), f"{scenario.collection.name}-1"
    check_readable(channel, name, scenario.served())
    with pytest.raises(Conflict, match=f"has vectors of {SIZE} dimensions instead of 5"):
        check_readable(channel, name, replace(scenario.served(), size=5))
    with pytest.raises(Conflict, match="was embedded by m, not by other"):
        check_readable(channel, name, replace(scenario.served(), model="other"))
