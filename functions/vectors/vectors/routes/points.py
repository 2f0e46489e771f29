"""Points: insert, search, delete; collections."""

import time
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from email_sender.errors import InvalidInput
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.provided import provided
from email_sender.kit.telemetry import vector_operations
from email_sender.security.permissions import Permission
from email_sender.vectors.service import VectorService
from vectors.bootstrap import vector_service
from vectors.schemas import CollectionOut, CollectionsOut, InsertIn, InsertOut
from vectors.search_schemas import AnswerOut, SearchesIn, SearchesOut, SearchIn, SearchOut

router = APIRouter(prefix="/vectors", tags=["vectors"], route_class=IdempotentRoute)
Service = Annotated[VectorService, provided(vector_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.VECTORS_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.VECTORS_WRITE))]


@router.post("/insert")
async def insert(request: Request, body: InsertIn, caller: Writer, service: Service) -> InsertOut:
    """Write points; all of them, or none where one is wrong."""
    points = [point.point(number, operation_id(request)) for number, point in enumerate(body.points)]
    count = service.insert(caller.tenant_id, body.collection, points)
    vector_operations("insert", "success", count)
    return InsertOut(collection=body.collection, inserted=count, ids=[point.id for point in points])


@router.post("/search", response_model_exclude_none=True)
async def search(body: SearchIn, caller: Reader, service: Service) -> SearchOut:
    """The nearest points: by vector, by words, or like examples; in groups with `group_by`."""
    started = time.perf_counter()
    found = service.search(caller.tenant_id, body.collection, body.search())
    vector_operations("search", "success")
    return SearchOut(**AnswerOut.of(body, found).__dict__, took_ms=_since(started))


@router.post("/searches", response_model_exclude_none=True)
async def searches(body: SearchesIn, caller: Reader, service: Service) -> SearchesOut:
    """Several searches of one collection in one call."""
    started = time.perf_counter()
    found = service.search_many(caller.tenant_id, body.collection, [each.search() for each in body.searches])
    vector_operations("search", "success", len(found))
    answers = [AnswerOut.of(asked, each) for asked, each in zip(body.searches, found, strict=True)]
    return SearchesOut(answers=answers, took_ms=_since(started))


@router.get("/collections")
async def collections(caller: Reader, service: Service) -> CollectionsOut:
    """The collections, with how many points of the tenant each holds."""
    return CollectionsOut(items=[CollectionOut.of(each) for each in service.collections(caller.tenant_id)])


@router.delete("/{point_id}", status_code=204)
async def delete(
    point_id: str,
    caller: Writer,
    service: Service,
    collection: Annotated[Literal["task_vectors", "document_vectors", "message_vectors"], Query()] = "document_vectors",
) -> Response:
    """Delete one point."""
    service.delete(caller.tenant_id, collection, _client_id(point_id))
    vector_operations("delete", "success")
    return Response(status_code=204)


def _client_id(text: str) -> UUID | int:
    if text.isascii() and text.isdigit() and int(text) < 2**64:
        return int(text)
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput.at("path:point_id", "A point's id is a UUID or an unsigned 64-bit integer.") from None


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
