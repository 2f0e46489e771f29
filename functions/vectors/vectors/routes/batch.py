"""Batches of operations."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from email_sender.errors import InvalidInput
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.provided import provided
from email_sender.kit.telemetry import vector_operations
from email_sender.security.permissions import Permission
from email_sender.vectors.batch import BatchService
from vectors.batch_schemas import BatchIn, BatchOut, OutcomeOut
from vectors.bootstrap import batch_service

router = APIRouter(prefix="/vectors", tags=["vectors"], route_class=IdempotentRoute)
Service = Annotated[BatchService, provided(batch_service)]
Writer = Annotated[Principal, Depends(Requires(Permission.VECTORS_WRITE))]


@router.post("/batch", response_model_exclude_none=True)
async def batch(request: Request, body: BatchIn, caller: Writer, service: Service) -> BatchOut:
    """Up to 1,000 operations in their order, each with its own result.

    A bad one does not stop the others, unless `atomic_validation` asks for all or none to be tried.
    """
    started = time.perf_counter()
    read = body.read(operation_id(request))
    operations = [each if isinstance(each, InvalidInput) else each[1] for each in read]
    outcomes = service.run(caller.tenant_id, operations, atomic_validation=body.atomic_validation)
    failed = sum(each.error is not None for each in outcomes)
    vector_operations("batch", "success", len(outcomes) - failed)
    if failed:
        vector_operations("batch", "error", failed)
    results = [OutcomeOut.of(*each) for each in zip(read, outcomes, strict=True)]
    took = round((time.perf_counter() - started) * 1000, 3)
    return BatchOut(results=results, failed=failed, took_ms=took)
