"""Tests for cached search results and embeddings: when they are reused and when they must not be."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.memory_cache import MemoryEmbeddingCache, MemoryResultCache
from email_sender.errors import Unavailable
from email_sender.vectors.cache import CachedResult, CachedSearch, Embeddings
from email_sender.vectors.model import (
    Delete,
    DeletePayload,
    Filter,
    Nearest,
    Point,
    PointSelector,
    Search,
    SetPayload,
    Upsert,
    Write,
)
from email_sender.vectors.served_collections import CollectionCatalogue, LockingWriter
from tests.fakes.served_collections import MemoryServing
from tests.fakes.vectors import PLAIN, WORDS, LetterModel, VectorScenario
from tests.fakes.write_versions import MemoryVersions

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

OURS, THEIRS = uuid4(), uuid4()
NEAR, FAR = [1.0, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 1.0]
SEARCH = Search(Nearest(NEAR))


class CacheScenario:
    """A cached search and a locking writer over the in-memory engine, which counts its searches."""

    def __init__(self) -> None:
        self.vectors = VectorScenario()
        self.engine_searches = 0
        self.versions = MemoryVersions()
        self.lookups: list[tuple[str, int, int]] = []
        # Attributes of the engine's index come from __getattr__.
        self.writer = LockingWriter(self, MemoryServing(self.versions), CollectionCatalogue({}, MemoryServing()))
        self.cached_search = CachedSearch(
            self, MemoryResultCache(100_000, 60), self.versions, lambda *lookup: self.lookups.append(lookup)
        )
        self.writer.upsert(OURS, "plain", [Point(1, NEAR, {"tags": ["a"], "kind": "x"}), Point(2, FAR, {"kind": "y"})])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("search"):
            self.engine_searches += 1
        return getattr(self.vectors.index, name)

    def ids(self, tenant: UUID = OURS, search: Search = SEARCH) -> list[UUID | int]:
        return [hit.id for hit in self.cached_search.search(tenant, "plain", search)]


@pytest.fixture
def cached() -> Iterator[CacheScenario]:
    scenario = CacheScenario()
    yield scenario
    scenario.vectors.channel.close()


def test_the_engine_is_not_searched_from_the_third_time_on(cached: CacheScenario) -> None:
    assert [cached.ids() for _ in range(5)] == [[1, 2]] * 5
    assert cached.engine_searches == 2
    assert cached.lookups == [("searches", 0, 1)] * 2 + [("searches", 1, 0)] * 3


def test_a_search_made_once_reads_no_version(cached: CacheScenario) -> None:
    for number in range(20):
        cached.ids(search=Search(Nearest([1.0, 0.1, 0.1, float(number)])))
    assert cached.versions.reads == 0


@pytest.mark.parametrize(
    ("write", "remaining_ids"),
    [
        (Upsert([Point(3, NEAR)]), {1, 2, 3}),
        (Delete(PointSelector(ids=[1])), {2}),
        (Delete(PointSelector(filter=Filter())), set()),
        (SetPayload(PointSelector(ids=[1]), {"kind": "z"}), {1, 2}),
        (DeletePayload(PointSelector(ids=[1]), ["kind"]), {1, 2}),
    ],
)
def test_a_tenant_reads_its_own_writes(cached: CacheScenario, write: Write, remaining_ids: set[int]) -> None:
    for _ in range(3):
        cached.ids()
    cached.writer.write(OURS, "plain", [write])
    hits = cached.cached_search.search(OURS, "plain", SEARCH)
    assert {hit.id for hit in hits} == remaining_ids
    assert hits == cached.vectors.index.search(OURS, "plain", SEARCH)


def test_upserts_and_deletes_invalidate_the_cache(cached: CacheScenario) -> None:
    for _ in range(3):
        cached.ids()
    cached.writer.upsert(OURS, "plain", [Point(3, NEAR)])
    assert set(cached.ids()) == {1, 2, 3}
    cached.ids()
    cached.writer.delete(OURS, "plain", [3])
    assert cached.ids() == [1, 2]


def test_a_write_that_fails_halfway_leaves_no_stale_result(cached: CacheScenario) -> None:
    for _ in range(3):
        cached.ids()

    def failing_write(_tenant: UUID, _collection: str, _writes: Sequence[Write]) -> None:
        cached.vectors.index.delete(OURS, "plain", [1])
        raise Unavailable("The vector engine did not answer.")

    cached.write = failing_write  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        cached.writer.write(OURS, "plain", [Delete(PointSelector(ids=[1]))])
    assert cached.ids() == [2]


def test_a_write_is_not_acknowledged_before_its_version_changes(cached: CacheScenario) -> None:
    cached.versions.down = True
    with pytest.raises(Unavailable):
        cached.writer.upsert(OURS, "plain", [Point(3, NEAR)])


def test_without_versions_searches_continue_uncached(cached: CacheScenario) -> None:
    for _ in range(3):
        cached.ids()
    cached.versions.down = True
    assert [cached.ids(), cached.ids()] == [[1, 2]] * 2
    assert cached.engine_searches == 4


def test_results_are_cached_per_tenant_and_per_search(cached: CacheScenario) -> None:
    for _ in range(4):
        assert cached.ids() == [1, 2]
        assert cached.ids(THEIRS) == []
        assert cached.ids(search=Search(Nearest(NEAR), limit=1)) == [1]
        assert cached.ids(search=Search(Nearest(FAR), limit=1)) == [2]


def test_changing_a_returned_result_does_not_change_the_cached_one(cached: CacheScenario) -> None:
    for _ in range(3):
        cached.ids()
    payload: Any = cached.cached_search.search(OURS, "plain", SEARCH)[0].payload
    payload["tags"].append("b")
    assert cached.cached_search.search(OURS, "plain", SEARCH)[0].payload == {"tags": ["a"], "kind": "x"}


def test_only_uncached_searches_reach_the_engine(cached: CacheScenario) -> None:
    other_search = Search(Nearest(FAR), limit=1)
    for _ in range(3):
        cached.ids()
    cached.lookups.clear()
    results = cached.cached_search.search_many(OURS, "plain", [other_search, SEARCH, other_search])
    assert [[hit.id for hit in hits] for hits in results] == [[2], [1, 2], [2]]
    assert cached.lookups == [("searches", 1, 2)]


def test_group_results_are_cached_too(cached: CacheScenario) -> None:
    search = Search(Nearest(NEAR), group_by="kind")
    keys = [[group.key for group in cached.cached_search.search_groups(OURS, "plain", search)] for _ in range(4)]
    assert keys == [["x", "y"]] * 4
    assert cached.engine_searches == 2


def test_the_result_cache_is_limited_by_bytes() -> None:
    results = MemoryResultCache(100_000, 60)
    for number in range(1_000):
        results.put(number.to_bytes(4), CachedResult(UUID(int=1), ["x" * 1_000]))
    cached_count = sum(results.get(number.to_bytes(4)) is not None for number in range(1_000))
    assert 50 < cached_count < 100
    results.put(b"huge", CachedResult(UUID(int=1), ["x" * 60_000]))
    assert results.get(b"huge") is None


def test_the_result_cache_is_limited_by_time() -> None:
    results = MemoryResultCache(100_000, 0.0)
    results.put(b"k", CachedResult(UUID(int=1), ["x"]))
    assert results.get(b"k") is None


def test_a_text_is_embedded_once_per_tenant() -> None:
    model, lookups = LetterModel(), list[tuple[str, int, int]]()
    cache = MemoryEmbeddingCache(10_000, 60)
    embeddings = Embeddings({"words": {"letters": model}}, {"words": [cache]}, lambda *lookup: lookups.append(lookup))
    first = embeddings.embed(OURS, WORDS, ["aa", "e", "aa"])
    assert [list(vector) for vector in first] == [list(vector) for vector in model.embed(["aa", "e", "aa"])]
    calls = model.calls
    again = embeddings.embed(OURS, WORDS, ["e", "aa"])
    assert [list(vector) for vector in again] == [pytest.approx(list(vector)) for vector in (first[1], first[0])]
    assert model.calls == calls
    embeddings.embed(OURS, WORDS, ["e", "io"])
    assert lookups == [("embeddings", 0, 2), ("embeddings", 2, 0), ("embeddings", 1, 1)]
    embeddings.embed(THEIRS, WORDS, ["e"])
    assert lookups[-1] == ("embeddings", 0, 1)


def test_an_entry_of_the_shared_cache_is_copied_to_the_near_cache() -> None:
    model, near, shared = LetterModel(), MemoryEmbeddingCache(10_000, 60), MemoryEmbeddingCache(10_000, 60)
    Embeddings({"words": {"letters": model}}, {"words": [shared]}).embed(OURS, WORDS, ["a"])
    embeddings = Embeddings({"words": {"letters": model}}, {"words": [near, shared]})
    embeddings.embed(OURS, WORDS, ["a"])
    assert model.calls == 1
    assert Embeddings({"words": {"letters": model}}, {"words": [near]}).embed(OURS, WORDS, ["a"])
    assert model.calls == 1


def test_two_models_do_not_share_vectors() -> None:
    cache, first_model, second_model = MemoryEmbeddingCache(10_000, 60), LetterModel(), LetterModel()
    second_model.model = "others"
    embeddings = Embeddings({"words": {"letters": first_model, "others": second_model}}, {"words": [cache]})
    embeddings.embed(OURS, WORDS, ["a"])
    embeddings.embed(OURS, replace(WORDS, model="others"), ["a"])
    assert (first_model.calls, second_model.calls) == (1, 1)


def test_a_model_that_is_not_configured_is_reported() -> None:
    with pytest.raises(Unavailable, match="embedded by others"):
        Embeddings({"words": {"letters": LetterModel()}}).embed(OURS, replace(WORDS, model="others"), ["a"])


def test_no_texts_need_no_model() -> None:
    assert Embeddings({}).embed(OURS, PLAIN, []) == []
