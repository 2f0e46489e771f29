"""Route of batches of operations."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from email_sender.errors import InvalidInput, Unavailable
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.telemetry import count_failed_operation, count_vector_operations
from email_sender.security.permissions import Permission
from email_sender.vectors.batch import BatchService
from vectors_lambda.bootstrap.core import batch_service
from vectors_lambda.http.schemas.batches import BatchIn, BatchOut, OutcomeOut

router = APIRouter(prefix="/vectors", tags=["search"], route_class=IdempotentRoute)
Service = Annotated[BatchService, depends_on(batch_service)]
Writer = Annotated[Principal, Depends(Requires(Permission.VECTORS_WRITE))]


@router.post("/batch", response_model_exclude_none=True)
async def run_vector_batch(request: Request, body: BatchIn, caller: Writer, service: Service) -> BatchOut:
    """Run a batch of operations.

    Runs up to 1,000 operations in order, each with its own result. An invalid operation does not stop the others,
    unless `atomic_validation` is set: then no operation runs if any is invalid.
    """
    start_time = time.perf_counter()
    parsed = body.parse(operation_id(request))
    operations = [entry if isinstance(entry, InvalidInput) else entry[1] for entry in parsed]
    with count_failed_operation("batch", len(operations)):
        outcomes = service.run(caller.tenant_id, operations, atomic_validation=body.atomic_validation)
    failed = sum(outcome.error is not None for outcome in outcomes)
    count_vector_operations("batch", "success", len(outcomes) - failed)
    errors = sum(isinstance(outcome.error, Unavailable) for outcome in outcomes)
    for status, count in (("error", errors), ("refused", failed - errors)):
        if count:
            count_vector_operations("batch", status, count)
    results = [OutcomeOut.of(*pair) for pair in zip(parsed, outcomes, strict=True)]
    took_ms = round((time.perf_counter() - start_time) * 1000, 3)
    return BatchOut(results=results, failed=failed, took_ms=took_ms)
