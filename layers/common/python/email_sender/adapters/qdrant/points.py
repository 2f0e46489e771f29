"""All points of one collection, whoever's they are. Implements vectors.transfer's PointStore and PointSource."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from email_sender.adapters.qdrant import packing, queries
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.filters import TENANT, of_tenant
from email_sender.adapters.qdrant.ids import CLIENT_ID, storable
from email_sender.adapters.qdrant.wire import pb
from email_sender.vectors.model import Terms, engine_id
from email_sender.vectors.transfer import PARTS, PageOf, Stored

# Beside searches in use, a page of a large collection may take its time.
_SECONDS = 30.0
_BATCH_BYTES = 2 * 1024 * 1024


class QdrantPoints:
    """`parts` is 16 where ids are ours, else 1: a foreign collection may count its points."""

    def __init__(self, channel: Channel, collection: str, parts: int = PARTS) -> None:
        self._channel, self._collection, self._parts = channel, collection, parts

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PageOf | None:
        # `offset` is the first that is wanted, and we know the last that we had.
        first = after or (_start(part) if self._parts > 1 else None)
        request = pb.ScrollPoints(
            collection_name=self._collection,
            limit=limit + 1,
            offset=_point_id(first) if first else None,
            with_payload=pb.WithPayloadSelector(enable=True),
            with_vectors=pb.WithVectorsSelector(enable=vectors),
        )
        found = self._channel.points("Scroll", request.SerializeToString(), seconds=_SECONDS).result
        end = _start(part + 1) if self._parts > 1 and part + 1 < self._parts else None
        points = [_stored(each) for each in found if _text(each.id) != after and (end is None or each.id.uuid < end)][
            :limit
        ]
        return PageOf(points, points[-1].id) if points else None

    def get(self, ids: Sequence[str], *, vectors: bool = True) -> Mapping[str, Stored]:
        if not ids:
            return {}
        request = pb.GetPoints(
            collection_name=self._collection,
            ids=[_point_id(each) for each in ids],
            with_payload=pb.WithPayloadSelector(enable=True),
            with_vectors=pb.WithVectorsSelector(enable=vectors),
        )
        found = self._channel.points("Get", request.SerializeToString(), seconds=_SECONDS).result
        return {point.id: point for point in map(_stored, found)}

    def put(self, points: Sequence[Stored]) -> None:
        for batch in _batches(points):
            packed = (
                packing.point(each.id, each.vector, each.payload, queries.sparse(each.terms) if each.terms else None)
                for each in batch
            )
            self._channel.points("Upsert", packing.upsert(self._collection, packed), seconds=_SECONDS)

    def remove(self, ids: Sequence[str]) -> None:
        chosen = pb.PointsSelector(points=pb.PointsIdsList(ids=[_point_id(each) for each in ids]))
        request = pb.DeletePoints(collection_name=self._collection, wait=True, points=chosen)
        self._channel.points("Delete", request.SerializeToString(), seconds=_SECONDS)

    def count(self) -> int:
        request = pb.CountPoints(collection_name=self._collection, exact=True)
        return int(self._channel.points("Count", request.SerializeToString(), seconds=_SECONDS).result.count)

    def ids_of_tenant(self, tenant_id: UUID, after: str | None, limit: int) -> Sequence[str]:
        request = pb.ScrollPoints(
            collection_name=self._collection,
            filter=of_tenant(tenant_id),
            limit=limit + 1,
            offset=_point_id(after) if after else None,
            with_payload=pb.WithPayloadSelector(enable=False),
        )
        found = self._channel.points("Scroll", request.SerializeToString(), seconds=_SECONDS).result
        return [each.id.uuid for each in found if each.id.uuid != after][:limit]


class AdoptedPoints:
    """A foreign collection's points as one tenant's, under the ids that they have there."""

    def __init__(self, points: QdrantPoints, tenant_id: UUID, collection: str) -> None:
        self._points, self._tenant_id, self._collection = points, tenant_id, collection

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PageOf | None:
        page = self._points.page(part, after, limit, vectors=vectors)
        return None if page is None else replace(page, points=[self._adopted(each) for each in page.points])

    def _adopted(self, point: Stored) -> Stored:
        client_id = int(point.id) if point.id.isdigit() else UUID(point.id)
        payload = {**point.payload, CLIENT_ID: storable(client_id), TENANT: str(self._tenant_id)}
        return replace(point, id=str(engine_id(self._tenant_id, self._collection, client_id)), payload=payload)


def _start(part: int) -> str:
    return f"{part:x}0000000-0000-0000-0000-000000000000"


def _point_id(text: str) -> Any:
    return pb.PointId(num=int(text)) if text.isdigit() else pb.PointId(uuid=text)


def _text(point_id: Any) -> str:
    return str(point_id.num) if point_id.WhichOneof("point_id_options") == "num" else str(point_id.uuid)


def _stored(point: Any) -> Stored:
    vector, terms = _vectors(point.vectors)
    return Stored(_text(point.id), vector, packing.payload_from(point.payload), terms)


def _vectors(vectors: Any) -> tuple[Any, Terms | None]:
    kind = vectors.WhichOneof("vectors_options")
    if kind is None:
        return packing.NO_VECTOR, None
    if kind == "vector":
        return packing.unpacked(vectors.vector), None
    named = vectors.vectors.vectors
    dense = packing.unpacked(named[""]) if "" in named else packing.NO_VECTOR
    return dense, packing.terms_from(named[packing.TERMS]) if packing.TERMS in named else None


def _batches(points: Iterable[Stored]) -> Iterator[list[Stored]]:
    batch: list[Stored] = []
    size = 0
    for each in points:
        batch.append(each)
        size += 4 * len(each.vector) + 256
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
