"""Routes of points and collections: insert, search and delete points, and list collections."""

import time
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from email_sender.errors import InvalidInput
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.telemetry import count_failed_operation, count_vector_operations
from email_sender.security.permissions import Permission
from email_sender.vectors.service import VectorService
from vectors_lambda.bootstrap.core import vector_service
from vectors_lambda.http.schemas.points import CollectionOut, CollectionsOut, InsertIn, InsertOut
from vectors_lambda.http.schemas.searches import AnswerOut, SearchesIn, SearchesOut, SearchIn, SearchOut

router = APIRouter(prefix="/vectors", tags=["search"], route_class=IdempotentRoute)
Service = Annotated[VectorService, depends_on(vector_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.VECTORS_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.VECTORS_WRITE))]


@router.post("/insert")
async def insert_points(request: Request, body: InsertIn, caller: Writer, service: Service) -> InsertOut:
    """Insert points.

    Writes all points, or none if one is invalid. A point with the id of an existing point replaces it.
    """
    points = [point.point(number, operation_id(request)) for number, point in enumerate(body.points)]
    with count_failed_operation("insert", len(points)):
        count = service.insert(caller.tenant_id, body.collection, points)
    count_vector_operations("insert", "success", count)
    return InsertOut(collection=body.collection, inserted=count, ids=[point.id for point in points])


@router.post("/search", response_model_exclude_none=True)
async def search_points(body: SearchIn, caller: Reader, service: Service) -> SearchOut:
    """Search for points.

    Finds the nearest points by vector, by text or like examples. `group_by` returns them in groups.

    In `message_vectors`, `text` asks for people: "who has trouble with …?". `group_by: contact` returns people with the
    messages that prove it. If nobody matches, the result is empty and `nobody` says why.
    """
    start_time = time.perf_counter()
    with count_failed_operation("search"):
        answer = service.search(caller.tenant_id, body.collection, body.search())
    count_vector_operations("search", "success")
    return SearchOut(**AnswerOut.of(body, answer).__dict__, took_ms=_elapsed_ms(start_time))


@router.post("/searches", response_model_exclude_none=True)
async def search_points_many(body: SearchesIn, caller: Reader, service: Service) -> SearchesOut:
    """Run several searches.

    All searches are of one collection.
    """
    start_time = time.perf_counter()
    searched = [options.search() for options in body.searches]
    with count_failed_operation("search", len(searched)):
        answers = service.search_many(caller.tenant_id, body.collection, searched)
    count_vector_operations("search", "success", len(answers))
    bodies = [AnswerOut.of(options, answer) for options, answer in zip(body.searches, answers, strict=True)]
    return SearchesOut(answers=bodies, took_ms=_elapsed_ms(start_time))


@router.get("/collections")
async def list_collections(caller: Reader, service: Service) -> CollectionsOut:
    """List collections.

    Returns each collection with the number of the tenant's points in it.
    """
    return CollectionsOut(items=[CollectionOut.of(info) for info in service.collections(caller.tenant_id)])


_POINT_ID = "^([0-9]{1,19}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$"


@router.delete("/{point_id}", status_code=204)
async def delete_point(
    point_id: Annotated[str, Path(json_schema_extra={"pattern": _POINT_ID})],
    caller: Writer,
    service: Service,
    collection: Annotated[Literal["task_vectors", "document_vectors", "message_vectors"], Query()] = "document_vectors",
) -> Response:
    """Delete a point."""
    with count_failed_operation("delete"):
        service.delete(caller.tenant_id, collection, _client_id(point_id))
    count_vector_operations("delete", "success")
    return Response(status_code=204)


def _client_id(text: str) -> UUID | int:
    try:
        # A text of more digits than Python reads is a ValueError too.
        if text.isascii() and text.isdigit() and int(text) < 2**64:
            return int(text)
        return UUID(text)
    except ValueError:
        raise InvalidInput.at("path:point_id", "A point's id must be a UUID or an unsigned 64-bit integer.") from None


def _elapsed_ms(start_time: float) -> float:
    return round((time.perf_counter() - start_time) * 1000, 3)
