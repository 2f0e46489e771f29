"""All points of one collection, of all tenants. Implements vectors.jobs.transfer's PointStore and PointSource."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from email_sender.adapters.qdrant import packing, queries
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.filters import TENANT, tenant_filter
from email_sender.adapters.qdrant.ids import CLIENT_ID, encode_client_id
from email_sender.adapters.qdrant.wire import pb
from email_sender.vectors.jobs.transfer import PART_COUNT, PointPage, StoredPoint
from email_sender.vectors.model import Terms, engine_id

# Pages are read in the background, beside searches that are in use, so they may take longer.
_DEADLINE_SECONDS = 30.0
_BATCH_BYTES = 2 * 1024 * 1024


class QdrantPoints:
    """`parts` is PART_COUNT for our own hashed ids, else 1: a foreign collection may have integer ids."""

    def __init__(self, channel: Channel, collection: str, parts: int = PART_COUNT) -> None:
        self._channel, self._collection, self._parts = channel, collection, parts

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PointPage | None:
        # Qdrant's `offset` is inclusive, so the last point of the previous page is requested again and dropped below.
        first = after or (_first_id(part) if self._parts > 1 else None)
        request = pb.ScrollPoints(
            collection_name=self._collection,
            limit=limit + 1,
            offset=_point_id(first) if first else None,
            with_payload=pb.WithPayloadSelector(enable=True),
            with_vectors=pb.WithVectorsSelector(enable=vectors),
        )
        results = self._channel.points("Scroll", request.SerializeToString(), seconds=_DEADLINE_SECONDS).result
        end = _first_id(part + 1) if self._parts > 1 and part + 1 < self._parts else None
        points = [
            _unpack_point(point)
            for point in results
            if _id_text(point.id) != after and (end is None or point.id.uuid < end)
        ][:limit]
        return PointPage(points, points[-1].id) if points else None

    def get(self, ids: Sequence[str], *, vectors: bool = True) -> Mapping[str, StoredPoint]:
        if not ids:
            return {}
        request = pb.GetPoints(
            collection_name=self._collection,
            ids=[_point_id(point_id) for point_id in ids],
            with_payload=pb.WithPayloadSelector(enable=True),
            with_vectors=pb.WithVectorsSelector(enable=vectors),
        )
        results = self._channel.points("Get", request.SerializeToString(), seconds=_DEADLINE_SECONDS).result
        return {point.id: point for point in map(_unpack_point, results)}

    def put(self, points: Sequence[StoredPoint]) -> None:
        for batch in _batches(points):
            packed_points = (
                packing.pack_point(
                    point.id, point.vector, point.payload, queries.sparse_vector(point.terms) if point.terms else None
                )
                for point in batch
            )
            self._channel.points(
                "Upsert", packing.pack_upsert(self._collection, packed_points), seconds=_DEADLINE_SECONDS
            )

    def remove(self, ids: Sequence[str]) -> None:
        selector = pb.PointsSelector(points=pb.PointsIdsList(ids=[_point_id(point_id) for point_id in ids]))
        request = pb.DeletePoints(collection_name=self._collection, wait=True, points=selector)
        self._channel.points("Delete", request.SerializeToString(), seconds=_DEADLINE_SECONDS)

    def count(self) -> int:
        request = pb.CountPoints(collection_name=self._collection, exact=True)
        return int(self._channel.points("Count", request.SerializeToString(), seconds=_DEADLINE_SECONDS).result.count)

    def ids_of_tenant(self, tenant_id: UUID, after: str | None, limit: int) -> Sequence[str]:
        request = pb.ScrollPoints(
            collection_name=self._collection,
            filter=tenant_filter(tenant_id),
            limit=limit + 1,
            offset=_point_id(after) if after else None,
            with_payload=pb.WithPayloadSelector(enable=False),
        )
        results = self._channel.points("Scroll", request.SerializeToString(), seconds=_DEADLINE_SECONDS).result
        return [point.id.uuid for point in results if point.id.uuid != after][:limit]


class AdoptedPoints:
    """The points of a foreign collection as points of one tenant. Their foreign ids become client ids."""

    def __init__(self, points: QdrantPoints, tenant_id: UUID, collection: str) -> None:
        self._points, self._tenant_id, self._collection = points, tenant_id, collection

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PointPage | None:
        page = self._points.page(part, after, limit, vectors=vectors)
        return None if page is None else replace(page, points=[self._adopt(point) for point in page.points])

    def _adopt(self, point: StoredPoint) -> StoredPoint:
        client_id = int(point.id) if point.id.isdigit() else UUID(point.id)
        payload = {**point.payload, CLIENT_ID: encode_client_id(client_id), TENANT: str(self._tenant_id)}
        return replace(point, id=str(engine_id(self._tenant_id, self._collection, client_id)), payload=payload)


def _first_id(part: int) -> str:
    return f"{part:x}0000000-0000-0000-0000-000000000000"


def _point_id(text: str) -> Any:
    return pb.PointId(num=int(text)) if text.isdigit() else pb.PointId(uuid=text)


def _id_text(point_id: Any) -> str:
    return str(point_id.num) if point_id.WhichOneof("point_id_options") == "num" else str(point_id.uuid)


def _unpack_point(point: Any) -> StoredPoint:
    vector, terms = _unpack_vectors(point.vectors)
    return StoredPoint(_id_text(point.id), vector, packing.unpack_payload(point.payload), terms)


def _unpack_vectors(vectors: Any) -> tuple[Any, Terms | None]:
    kind = vectors.WhichOneof("vectors_options")
    if kind is None:
        return packing.NO_VECTOR, None
    if kind == "vector":
        return packing.unpack_dense(vectors.vector), None
    named_vectors = vectors.vectors.vectors
    dense = packing.unpack_dense(named_vectors[""]) if "" in named_vectors else packing.NO_VECTOR
    return dense, packing.unpack_terms(named_vectors[packing.TERMS]) if packing.TERMS in named_vectors else None


def _batches(points: Iterable[StoredPoint]) -> Iterator[list[StoredPoint]]:
    batch: list[StoredPoint] = []
    size = 0
    for point in points:
        batch.append(point)
        size += 4 * len(point.vector) + 256
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
