"""Lambda task: read and check one part of a file of vectors, and write its points."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender.errors import DomainError
from email_sender.kit.tasks import own_manager, state_machine_error
from email_sender.kit.telemetry import count_vector_operations, logger
from email_sender.vectors.imports.point_files import Part
from vectors_lambda.bootstrap.core import gate
from vectors_lambda.bootstrap.vectors_imports import bulk_work


class PartIn(BaseModel):
    ordinal: int
    offset: int
    length: int
    first: int
    rows: int
    payloads_offset: int
    payloads_length: int


class ChunkTask(BaseModel):
    tenant_id: UUID
    import_id: UUID
    part: PartIn


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    task = ChunkTask.model_validate(event)
    logger.append_keys(import_id=str(task.import_id), part=task.part.ordinal)
    try:
        gate().check(own_manager())
        progress = bulk_work().work(task.tenant_id, task.import_id, Part(**task.part.model_dump()))
    except DomainError as error:
        raise state_machine_error(error) from error
    count_vector_operations("import", "success", progress.stored)
    return {"stored": progress.stored}
