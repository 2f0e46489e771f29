"""How every engine reports and applies changed settings."""

from array import array
from dataclasses import replace
from uuid import UUID

import pytest

from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.vectors.model import Collection, Distance, Nearest, Point, Search

pytestmark = [
    pytest.mark.needs_engine,
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning"),
]

TENANT = UUID(int=1)


def test_changed_settings_are_reported_and_the_live_ones_applied(index: QdrantIndex, collection: Collection) -> None:
    assert index.plan_changes(collection) == []
    target = replace(collection, quantized=not collection.quantized, segments=3, on_disk=False)
    changes_by_setting = {
        change.setting: (change.stored, change.wanted, change.live) for change in index.plan_changes(target)
    }
    assert changes_by_setting.pop("segments")[1:] == (3, True)
    assert changes_by_setting == {
        "quantized": (collection.quantized, not collection.quantized, True),
        "on_disk": (True, False, True),
    }
    index.upsert(TENANT, collection.name, [Point(1, _vector(collection))])
    for _ in range(2):
        index.apply_changes(target, index.plan_changes(target))
        assert index.plan_changes(target) == []
    assert [hit.id for hit in index.search(TENANT, collection.name, Search(Nearest(_vector(collection))))] == [1]
    original = replace(target, quantized=collection.quantized, on_disk=True)
    index.apply_changes(original, index.plan_changes(original))
    assert index.plan_changes(original) == []


def test_settings_that_need_a_new_collection_are_not_live(index: QdrantIndex, collection: Collection) -> None:
    target = replace(collection, distance=Distance.EUCLID, size=collection.size + 1, shards=7)
    changes = index.plan_changes(target)
    assert {change.setting for change in changes} == {"distance", "size", "shards"}
    assert not any(change.live for change in changes)
    with pytest.raises(ValueError, match="cannot be changed in place"):
        index.apply_changes(target, changes)


def _vector(collection: Collection) -> array[float]:
    return array("f", [1.0] * collection.size)
