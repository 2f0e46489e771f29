"""Lambda task: read and check one part of a file of vectors, and write its points."""

from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender.kit.tasks.platform_step import platform_step
from email_sender.kit.telemetry import count_failed_operation, count_vector_operations, logger
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


@platform_step(ChunkTask, gate)
def handler(task: ChunkTask, _context: LambdaContext) -> dict[str, int]:
    logger.append_keys(import_id=str(task.import_id), part=task.part.ordinal)
    with count_failed_operation("import", task.part.rows):
        progress = bulk_work().work(task.tenant_id, task.import_id, Part(**task.part.model_dump()))
    count_vector_operations("import", "success", progress.stored)
    return {"stored": progress.stored}
