"""Answers that are given again, and those that must not be."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.memory_cache import MemoryEmbeddings, MemoryResults
from email_sender.errors import Unavailable
from email_sender.vectors.caching import Answer, CachedIndex, Embeddings
from email_sender.vectors.model import (
    Chosen,
    Delete,
    DeletePayload,
    Filter,
    Nearest,
    Point,
    Search,
    SetPayload,
    Upsert,
    Write,
)
from email_sender.vectors.serving import GatedIndex, ServedCollections
from tests.fakes.serving import MemoryServing
from tests.fakes.vector_cache import MemoryVersions
from tests.fakes.vectors import PLAIN, WORDS, Letters, Vectors

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

OURS, THEIRS = uuid4(), uuid4()
NEAR, FAR = [1.0, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 1.0]
SEARCH = Search(Nearest(NEAR))


class Cached:
    """A cached index over the engine in memory, which counts how often it is asked."""

    def __init__(self) -> None:
        self.vectors = Vectors()
        self.asked = 0
        self.versions = MemoryVersions()
        self.lookups: list[tuple[str, int, int]] = []
        self.index = CachedIndex(
            GatedIndex(self, MemoryServing(self.versions), ServedCollections({}, MemoryServing())),  # by __getattr__
            MemoryResults(100_000, 60),
            self.versions,
            lambda *each: self.lookups.append(each),
        )
        self.index.upsert(OURS, "plain", [Point(1, NEAR, {"tags": ["a"], "kind": "x"}), Point(2, FAR, {"kind": "y"})])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("search"):
            self.asked += 1
        return getattr(self.vectors.index, name)

    def ids(self, tenant: UUID = OURS, search: Search = SEARCH) -> list[UUID | int]:
        return [hit.id for hit in self.index.search(tenant, "plain", search)]


@pytest.fixture
def on() -> Iterator[Cached]:
    made = Cached()
    yield made
    made.vectors.channel.close()


def test_from_the_third_time_on_the_engine_is_not_asked(on: Cached) -> None:
    assert [on.ids() for _ in range(5)] == [[1, 2]] * 5
    assert on.asked == 2
    assert on.lookups == [("searches", 0, 1)] * 2 + [("searches", 1, 0)] * 3


def test_what_is_asked_once_costs_no_round_trip(on: Cached) -> None:
    for number in range(20):
        on.ids(search=Search(Nearest([1.0, 0.1, 0.1, float(number)])))
    assert on.versions.reads == 0


@pytest.mark.parametrize(
    ("write", "left"),
    [
        (Upsert([Point(3, NEAR)]), {1, 2, 3}),
        (Delete(Chosen(ids=[1])), {2}),
        (Delete(Chosen(filter=Filter())), set()),
        (SetPayload(Chosen(ids=[1]), {"kind": "z"}), {1, 2}),
        (DeletePayload(Chosen(ids=[1]), ["kind"]), {1, 2}),
    ],
)
def test_a_tenant_reads_its_own_writes(on: Cached, write: Write, left: set[int]) -> None:
    for _ in range(3):
        on.ids()
    on.index.write(OURS, "plain", [write])
    found = on.index.search(OURS, "plain", SEARCH)
    assert {hit.id for hit in found} == left
    assert found == on.vectors.index.search(OURS, "plain", SEARCH)


def test_upserts_and_deletes_are_writes_too(on: Cached) -> None:
    for _ in range(3):
        on.ids()
    on.index.upsert(OURS, "plain", [Point(3, NEAR)])
    assert set(on.ids()) == {1, 2, 3}
    on.ids()
    on.index.delete(OURS, "plain", [3])
    assert on.ids() == [1, 2]


def test_a_write_that_fails_halfway_leaves_no_old_answer(on: Cached) -> None:
    for _ in range(3):
        on.ids()

    def dies(_tenant: UUID, _collection: str, _writes: Sequence[Write]) -> None:
        on.vectors.index.delete(OURS, "plain", [1])
        raise Unavailable("The vector engine did not answer.")

    on.write = dies  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        on.index.write(OURS, "plain", [Delete(Chosen(ids=[1]))])
    assert on.ids() == [2]


def test_a_write_is_not_acknowledged_before_its_version(on: Cached) -> None:
    on.versions.down = True
    with pytest.raises(Unavailable):
        on.index.upsert(OURS, "plain", [Point(3, NEAR)])


def test_without_versions_searches_go_on_uncached(on: Cached) -> None:
    for _ in range(3):
        on.ids()
    on.versions.down = True
    assert [on.ids(), on.ids()] == [[1, 2]] * 2
    assert on.asked == 4


def test_an_answer_is_one_tenants_and_one_searchs(on: Cached) -> None:
    for _ in range(4):
        assert on.ids() == [1, 2]
        assert on.ids(THEIRS) == []
        assert on.ids(search=Search(Nearest(NEAR), limit=1)) == [1]
        assert on.ids(search=Search(Nearest(FAR), limit=1)) == [2]


def test_who_changes_an_answer_changes_nobody_elses(on: Cached) -> None:
    for _ in range(3):
        on.ids()
    given: Any = on.index.search(OURS, "plain", SEARCH)[0].payload
    given["tags"].append("b")
    assert on.index.search(OURS, "plain", SEARCH)[0].payload == {"tags": ["a"], "kind": "x"}


def test_of_several_searches_only_the_unknown_are_asked(on: Cached) -> None:
    other = Search(Nearest(FAR), limit=1)
    for _ in range(3):
        on.ids()
    on.lookups.clear()
    found = on.index.search_many(OURS, "plain", [other, SEARCH, other])
    assert [[hit.id for hit in each] for each in found] == [[2], [1, 2], [2]]
    assert on.lookups == [("searches", 1, 2)]


def test_groups_are_kept_too(on: Cached) -> None:
    search = Search(Nearest(NEAR), group_by="kind")
    keys = [[group.key for group in on.index.search_groups(OURS, "plain", search)] for _ in range(4)]
    assert keys == [["x", "y"]] * 4
    assert on.asked == 2


def test_results_are_bounded_by_bytes() -> None:
    results = MemoryResults(100_000, 60)
    for number in range(1_000):
        results.put(number.to_bytes(4), Answer(UUID(int=1), ["x" * 1_000]))
    kept = sum(results.get(number.to_bytes(4)) is not None for number in range(1_000))
    assert 50 < kept < 100
    results.put(b"huge", Answer(UUID(int=1), ["x" * 60_000]))
    assert results.get(b"huge") is None


def test_results_are_bounded_by_time() -> None:
    results = MemoryResults(100_000, 0.0)
    results.put(b"k", Answer(UUID(int=1), ["x"]))
    assert results.get(b"k") is None


def test_a_text_is_embedded_once_whoever_of_the_tenant_asks() -> None:
    model, lookups = Letters(), list[tuple[str, int, int]]()
    cache = MemoryEmbeddings(10_000, 60)
    made = Embeddings({"words": {"letters": model}}, {"words": [cache]}, lambda *each: lookups.append(each))
    first = made.embed(OURS, WORDS, ["aa", "e", "aa"])
    assert [list(each) for each in first] == [list(each) for each in model.embed(["aa", "e", "aa"])]
    calls = model.calls
    again = made.embed(OURS, WORDS, ["e", "aa"])
    assert [list(each) for each in again] == [pytest.approx(list(each)) for each in (first[1], first[0])]
    assert model.calls == calls
    made.embed(OURS, WORDS, ["e", "io"])
    assert lookups == [("embeddings", 0, 2), ("embeddings", 2, 0), ("embeddings", 1, 1)]
    made.embed(THEIRS, WORDS, ["e"])
    assert lookups[-1] == ("embeddings", 0, 1)


def test_what_the_shared_level_knows_comes_nearer() -> None:
    model, near, shared = Letters(), MemoryEmbeddings(10_000, 60), MemoryEmbeddings(10_000, 60)
    Embeddings({"words": {"letters": model}}, {"words": [shared]}).embed(OURS, WORDS, ["a"])
    made = Embeddings({"words": {"letters": model}}, {"words": [near, shared]})
    made.embed(OURS, WORDS, ["a"])
    assert model.calls == 1
    assert Embeddings({"words": {"letters": model}}, {"words": [near]}).embed(OURS, WORDS, ["a"])
    assert model.calls == 1


def test_two_models_do_not_share_vectors() -> None:
    cache, one, two = MemoryEmbeddings(10_000, 60), Letters(), Letters()
    two.model = "others"
    made = Embeddings({"words": {"letters": one, "others": two}}, {"words": [cache]})
    made.embed(OURS, WORDS, ["a"])
    made.embed(OURS, replace(WORDS, model="others"), ["a"])
    assert (one.calls, two.calls) == (1, 1)


def test_a_model_that_is_not_configured_is_said() -> None:
    with pytest.raises(Unavailable, match="embedded by others"):
        Embeddings({"words": {"letters": Letters()}}).embed(OURS, replace(WORDS, model="others"), ["a"])


def test_nothing_to_embed_asks_nobody() -> None:
    assert Embeddings({}).embed(OURS, PLAIN, []) == []
