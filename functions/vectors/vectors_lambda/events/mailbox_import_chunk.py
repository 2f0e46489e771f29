"""Lambda task: read one chunk of a mailbox, store and embed its messages, and write their points."""

from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender.kit.tasks.platform_step import platform_step
from email_sender.kit.telemetry import logger
from email_sender.vectors.imports.model import ChunkRange
from vectors_lambda.bootstrap.core import gate
from vectors_lambda.bootstrap.mail import chunk_work


class Range(BaseModel):
    ordinal: int
    offset: int
    length: int
    first: int


class ChunkTask(BaseModel):
    tenant_id: UUID
    import_id: UUID
    chunk: Range


@platform_step(ChunkTask, gate)
def handler(task: ChunkTask, _context: LambdaContext) -> dict[str, int]:
    logger.append_keys(import_id=str(task.import_id), chunk=task.chunk.ordinal)
    chunk = ChunkRange(**task.chunk.model_dump())
    return {"messages": chunk_work().import_chunk(task.tenant_id, task.import_id, chunk).messages}
