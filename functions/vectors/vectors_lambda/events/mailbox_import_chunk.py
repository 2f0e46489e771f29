"""Lambda task: read one chunk of a mailbox, store and embed its messages, and write their points."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from email_sender.errors import DomainError
from email_sender.kit.tasks import own_manager, state_machine_error
from email_sender.kit.telemetry import logger
from email_sender.vectors.imports.model import ChunkRange
from vectors_lambda.bootstrap.core import chunk_work, gate


class Range(BaseModel):
    ordinal: int
    offset: int
    length: int
    first: int


class ChunkTask(BaseModel):
    tenant_id: UUID
    import_id: UUID
    chunk: Range


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    task = ChunkTask.model_validate(event)
    logger.append_keys(import_id=str(task.import_id), chunk=task.chunk.ordinal)
    try:
        gate().check(own_manager())
        progress = chunk_work().import_chunk(task.tenant_id, task.import_id, ChunkRange(**task.chunk.model_dump()))
    except DomainError as error:
        raise state_machine_error(error) from error
    return {"messages": progress.messages}
