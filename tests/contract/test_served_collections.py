"""Served collections, the write lock, and the record of written points: in memory and in PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.served_collections import PostgresServedCollectionStore, PostgresWriteLock
from email_sender.adapters.postgres.vector_cache import PostgresVersions
from email_sender.adapters.postgres.vector_jobs import PostgresRegistry
from email_sender.errors import NotFound, Unavailable
from email_sender.vectors.cache import WriteVersions
from email_sender.vectors.jobs.ports import ChangedPoint
from email_sender.vectors.model import Distance
from email_sender.vectors.prepare_collections import PreparationRegistry
from email_sender.vectors.served_collections import LazyPointIds, ServedCollection, ServedCollectionStore, WriteLock
from tests.fakes.served_collections import MemoryServing

A, B, C = (UUID(int=number) for number in (1, 2, 3))


class _Registry(PreparationRegistry, Protocol):
    pass


@dataclass
class ServingScenario:
    store: ServedCollectionStore
    gate: WriteLock
    registry: _Registry
    versions: WriteVersions
    collection: str

    def serve(self, stored_as: str = "one", *, tracks_changes: bool = False) -> ServedCollection:
        served_collection = ServedCollection(
            self.collection, stored_as, 8, Distance.COSINE, "m", lexical=True, noted=tracks_changes
        )
        with self.registry.exclusive_access(self.collection) as access:
            access.serve(served_collection)
        return served_collection

    def write(self, tenant: UUID, ids: Sequence[UUID] | None, stored_as: str = "one") -> None:
        with self.open(tenant, lambda: ids, stored_as):
            pass

    def open(self, tenant: UUID, ids: LazyPointIds, stored_as: str = "one") -> AbstractContextManager[None]:
        return self.gate.hold(tenant, self.collection, stored_as, ids)

    def claim(self, limit: int = 100) -> set[ChangedPoint]:
        with self.registry.exclusive_access(self.collection) as access:
            return set(access.claim(limit))


@pytest.fixture(params=["memory", "postgres"])
def scenario(request: pytest.FixtureRequest, app_role: Database, platform_role: Database) -> Iterator[ServingScenario]:
    name = f"c{uuid4().hex}"
    if request.param == "memory":
        memory = MemoryServing()
        yield ServingScenario(memory, memory, memory, memory.versions, name)
        return
    yield ServingScenario(
        PostgresServedCollectionStore(lambda: app_role, uuid4()),
        PostgresWriteLock(app_role, lambda: None),
        PostgresRegistry(platform_role),
        PostgresVersions(app_role),
        name,
    )


def test_the_served_collection_is_found_again(scenario: ServingScenario) -> None:
    assert scenario.registry.find(scenario.collection) is None
    with pytest.raises(NotFound, match="is not served yet"):
        scenario.registry.get(scenario.collection)
    first = scenario.serve()
    assert scenario.registry.get(scenario.collection) == first
    second = scenario.serve("two")
    assert [
        served_collection for served_collection in scenario.store.all() if served_collection.name == scenario.collection
    ] == [second]


def test_a_block_that_fails_changes_no_served_collection(scenario: ServingScenario) -> None:
    first = scenario.serve()

    def fail() -> None:
        with scenario.registry.exclusive_access(scenario.collection) as access:
            access.serve(replace(first, stored_as="two"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert scenario.registry.get(scenario.collection) == first


def test_every_write_changes_the_version_even_one_that_fails(
    scenario: ServingScenario, new_tenant: Callable[[], UUID]
) -> None:
    tenant, other_tenant = new_tenant(), new_tenant()
    versions = [scenario.versions.read(tenant, scenario.collection)]
    assert scenario.versions.read(tenant, scenario.collection) == versions[0]
    scenario.write(tenant, [A])
    versions.append(scenario.versions.read(tenant, scenario.collection))
    with pytest.raises(RuntimeError), scenario.open(tenant, lambda: [A]):
        raise RuntimeError
    versions.append(scenario.versions.read(tenant, scenario.collection))
    assert len(set(versions)) == 3
    assert scenario.versions.read(tenant, scenario.collection) == versions[-1]
    assert (
        scenario.versions.read(tenant, "another")
        == scenario.versions.read(other_tenant, scenario.collection)
        == versions[0]
    )


def test_a_switch_invalidates_every_cached_response(scenario: ServingScenario, new_tenant: Callable[[], UUID]) -> None:
    tenant, other_tenant = new_tenant(), new_tenant()
    scenario.serve()
    scenario.write(tenant, [A])
    scenario.write(other_tenant, [A])
    before = [scenario.versions.read(tenant_id, scenario.collection) for tenant_id in (tenant, other_tenant)]
    scenario.serve("two")
    after = [scenario.versions.read(tenant_id, scenario.collection) for tenant_id in (tenant, other_tenant)]
    assert len({*before, *after}) == 4


def test_a_writer_that_missed_a_switch_cannot_write(scenario: ServingScenario, tenant: UUID) -> None:
    scenario.serve("two")
    with pytest.raises(Unavailable, match="has just been switched") as error, scenario.open(tenant, lambda: [A]):
        raise AssertionError("The write lock accepted the write.")
    assert error.value.retry_after == 1
    scenario.write(tenant, [A], "two")


def test_writes_are_not_recorded_unless_changes_are_tracked(scenario: ServingScenario, tenant: UUID) -> None:
    scenario.write(tenant, [A])
    scenario.serve()
    scenario.write(tenant, [A])
    assert scenario.registry.count_changes(scenario.collection) == 0


def test_a_write_is_recorded_before_it_is_made(scenario: ServingScenario, new_tenant: Callable[[], UUID]) -> None:
    tenant, other_tenant = new_tenant(), new_tenant()
    scenario.serve(tracks_changes=True)
    with pytest.raises(RuntimeError), scenario.open(tenant, lambda: [B, A, B]):
        raise RuntimeError
    scenario.write(other_tenant, [A])
    scenario.write(other_tenant, None)
    assert scenario.claim() == {
        ChangedPoint(tenant, A),
        ChangedPoint(tenant, B),
        ChangedPoint(other_tenant, A),
        ChangedPoint(other_tenant, None),
    }
    candidates = [(tenant, A), (tenant, C), (other_tenant, C)]
    assert scenario.registry.changed_points(scenario.collection, candidates) == {
        A,
        C,
    }  # any point of the other tenant may have been written
    assert scenario.registry.changed_points(scenario.collection, [(tenant, C)]) == frozenset()


def test_a_recorded_change_is_forgotten_unless_it_was_written_again(scenario: ServingScenario, tenant: UUID) -> None:
    scenario.serve(tracks_changes=True)
    scenario.write(tenant, [A, B])
    claimed_notes = scenario.claim()
    scenario.write(tenant, [B])
    scenario.registry.forget_changes(scenario.collection, list(claimed_notes))
    assert scenario.claim() == {ChangedPoint(tenant, B)}


def test_claimed_changes_that_were_not_finished_are_claimed_first(scenario: ServingScenario, tenant: UUID) -> None:
    scenario.serve(tracks_changes=True)
    scenario.write(tenant, [B, C])
    assert scenario.claim() == {ChangedPoint(tenant, B), ChangedPoint(tenant, C)}
    scenario.write(tenant, [A])
    assert scenario.claim(2) == {ChangedPoint(tenant, B), ChangedPoint(tenant, C)}


def test_all_changes_of_one_collection_are_forgotten_and_no_others(scenario: ServingScenario, tenant: UUID) -> None:
    scenario.serve(tracks_changes=True)
    scenario.write(tenant, [A, B])
    scenario.registry.forget_changes("another", None)
    assert scenario.registry.count_changes(scenario.collection) == 2
    scenario.registry.forget_changes(scenario.collection, None)
    assert scenario.registry.count_changes(scenario.collection) == 0
