"""What every engine makes of settings that change."""

from array import array
from dataclasses import replace
from uuid import UUID

import pytest

from email_sender.adapters.qdrant.index import QdrantIndex
from email_sender.vectors.model import Collection, Distance, Nearest, Point, Search

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

OURS = UUID(int=1)


def test_settings_that_differ_are_told_and_the_live_ones_made_so(index: QdrantIndex, collection: Collection) -> None:
    assert index.changes(collection) == []
    wanted = replace(collection, quantized=not collection.quantized, segments=3, on_disk=False)
    found = {each.setting: (each.stored, each.wanted, each.live) for each in index.changes(wanted)}
    assert found.pop("segments")[1:] == (3, True)
    assert found == {
        "quantized": (collection.quantized, not collection.quantized, True),
        "on_disk": (True, False, True),
    }
    index.upsert(OURS, collection.name, [Point(1, _vector(collection))])
    for _ in range(2):
        index.change(wanted, index.changes(wanted))
        assert index.changes(wanted) == []
    assert [hit.id for hit in index.search(OURS, collection.name, Search(Nearest(_vector(collection))))] == [1]
    back = replace(wanted, quantized=collection.quantized, on_disk=True)
    index.change(back, index.changes(back))
    assert index.changes(back) == []


def test_what_only_a_new_collection_can_have_is_not_live(index: QdrantIndex, collection: Collection) -> None:
    wanted = replace(collection, distance=Distance.EUCLID, size=collection.size + 1, shards=7)
    changes = index.changes(wanted)
    assert {each.setting for each in changes} == {"distance", "size", "shards"}
    assert not any(each.live for each in changes)
    with pytest.raises(ValueError, match="not changed in place"):
        index.change(wanted, changes)


def _vector(collection: Collection) -> array[float]:
    return array("f", [1.0] * collection.size)
