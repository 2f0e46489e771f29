"""What is served, the gate of writes and the notes of what was written: in memory and in PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.jobs import PostgresRegistry
from email_sender.adapters.postgres.serving import PostgresGate, PostgresServed
from email_sender.adapters.postgres.vector_cache import PostgresVersions
from email_sender.errors import NotFound, Unavailable
from email_sender.vectors.caching import Versions
from email_sender.vectors.job_steps import Note
from email_sender.vectors.model import Distance
from email_sender.vectors.preparing import KnownRegistry
from email_sender.vectors.serving import Gate, Ids, Served, ServedStore
from tests.fakes.serving import MemoryServing

A, B, C = (UUID(int=number) for number in (1, 2, 3))


class _Registry(KnownRegistry, Protocol):
    pass


@dataclass
class Serving:
    store: ServedStore
    gate: Gate
    registry: _Registry
    versions: Versions
    collection: str

    def serve(self, stored_as: str = "one", *, noted: bool = False) -> Served:
        served = Served(self.collection, stored_as, 8, Distance.COSINE, "m", lexical=True, noted=noted)
        with self.registry.alone(self.collection) as alone:
            alone.serve(served)
        return served

    def write(self, tenant: UUID, ids: Sequence[UUID] | None, stored_as: str = "one") -> None:
        with self.open(tenant, lambda: ids, stored_as):
            pass

    def open(self, tenant: UUID, ids: Ids, stored_as: str = "one") -> AbstractContextManager[None]:
        return self.gate.open(tenant, self.collection, stored_as, ids)

    def claim(self, limit: int = 100) -> set[Note]:
        with self.registry.alone(self.collection) as alone:
            return set(alone.claim(limit))


@pytest.fixture(params=["memory", "postgres"])
def on(request: pytest.FixtureRequest, app_role: Database, platform_role: Database) -> Iterator[Serving]:
    name = f"c{uuid4().hex}"
    if request.param == "memory":
        memory = MemoryServing()
        yield Serving(memory, memory, memory, memory.versions, name)
        return
    yield Serving(
        PostgresServed(lambda: app_role, uuid4()),
        PostgresGate(app_role, lambda: None),
        PostgresRegistry(platform_role),
        PostgresVersions(app_role),
        name,
    )


def test_what_is_served_is_found_again(on: Serving) -> None:
    assert on.registry.find(on.collection) is None
    with pytest.raises(NotFound, match="deploy first"):
        on.registry.get(on.collection)
    first = on.serve()
    assert on.registry.get(on.collection) == first
    second = on.serve("two")
    assert [each for each in on.store.all() if each.name == on.collection] == [second]


def test_a_block_that_fails_serves_nothing(on: Serving) -> None:
    first = on.serve()

    def fail() -> None:
        with on.registry.alone(on.collection) as alone:
            alone.serve(replace(first, stored_as="two"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert on.registry.get(on.collection) == first


def test_every_write_makes_another_version_also_one_that_fails(on: Serving, new_tenant: Callable[[], UUID]) -> None:
    ours, theirs = new_tenant(), new_tenant()
    seen = [on.versions.read(ours, on.collection)]
    assert on.versions.read(ours, on.collection) == seen[0]
    on.write(ours, [A])
    seen.append(on.versions.read(ours, on.collection))
    with pytest.raises(RuntimeError), on.open(ours, lambda: [A]):
        raise RuntimeError
    seen.append(on.versions.read(ours, on.collection))
    assert len(set(seen)) == 3
    assert on.versions.read(ours, on.collection) == seen[-1]
    assert on.versions.read(ours, "another") == on.versions.read(theirs, on.collection) == seen[0]


def test_a_switch_makes_every_kept_answer_old(on: Serving, new_tenant: Callable[[], UUID]) -> None:
    ours, theirs = new_tenant(), new_tenant()
    on.serve()
    on.write(ours, [A])
    on.write(theirs, [A])
    before = [on.versions.read(each, on.collection) for each in (ours, theirs)]
    on.serve("two")
    after = [on.versions.read(each, on.collection) for each in (ours, theirs)]
    assert len({*before, *after}) == 4


def test_who_is_behind_a_switch_does_not_write(on: Serving, tenant: UUID) -> None:
    on.serve("two")
    with pytest.raises(Unavailable, match="has just been switched") as refused, on.open(tenant, lambda: [A]):
        raise AssertionError("the gate was open")
    assert refused.value.retry_after == 1
    on.write(tenant, [A], "two")


def test_nothing_is_noted_unless_it_is_asked_for(on: Serving, tenant: UUID) -> None:
    on.write(tenant, [A])
    on.serve()
    on.write(tenant, [A])
    assert on.registry.waiting(on.collection) == 0


def test_a_write_is_noted_before_it_is_made(on: Serving, new_tenant: Callable[[], UUID]) -> None:
    ours, theirs = new_tenant(), new_tenant()
    on.serve(noted=True)
    with pytest.raises(RuntimeError), on.open(ours, lambda: [B, A, B]):
        raise RuntimeError
    on.write(theirs, [A])
    on.write(theirs, None)
    assert on.claim() == {Note(ours, A), Note(ours, B), Note(theirs, A), Note(theirs, None)}
    asked = [(ours, A), (ours, C), (theirs, C)]
    assert on.registry.noted(on.collection, asked) == {A, C}  # any of theirs may have been written
    assert on.registry.noted(on.collection, [(ours, C)]) == frozenset()


def test_a_note_is_forgotten_unless_it_was_written_anew(on: Serving, tenant: UUID) -> None:
    on.serve(noted=True)
    on.write(tenant, [A, B])
    claimed = on.claim()
    on.write(tenant, [B])
    on.registry.forget(on.collection, list(claimed))
    assert on.claim() == {Note(tenant, B)}


def test_what_was_claimed_and_not_ended_is_claimed_first(on: Serving, tenant: UUID) -> None:
    on.serve(noted=True)
    on.write(tenant, [B, C])
    assert on.claim() == {Note(tenant, B), Note(tenant, C)}
    on.write(tenant, [A])
    assert on.claim(2) == {Note(tenant, B), Note(tenant, C)}


def test_all_notes_of_a_collection_are_forgotten_and_no_others(on: Serving, tenant: UUID) -> None:
    on.serve(noted=True)
    on.write(tenant, [A, B])
    on.registry.forget("another", None)
    assert on.registry.waiting(on.collection) == 2
    on.registry.forget(on.collection, None)
    assert on.registry.waiting(on.collection) == 0
