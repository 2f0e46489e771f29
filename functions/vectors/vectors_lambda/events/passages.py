"""Passages that a model reads: what a question finds, with the texts.

The action n8n.node of the workflow functions asks for them; it knows the run and has checked the principal.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict, Field

from email_sender.kit.tasks.platform_step import platform_step
from email_sender.vectors.model import Hit, Search, TextQuery
from vectors_lambda.bootstrap.core import gate, vector_service

_MAX_CHARACTERS = 4_000


class PassagesRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["passages"]
    tenant_id: UUID
    collection: Annotated[str, Field(min_length=1, max_length=100)]
    text: Annotated[str, Field(min_length=1, max_length=8_000)]
    limit: Annotated[int, Field(ge=1, le=50)]


@platform_step(PassagesRequest, gate)
def handler(request: PassagesRequest, _context: LambdaContext) -> dict[str, Any]:
    """Return {passages: [{text, metadata, score}]}, the best first."""
    search = Search(query=TextQuery(request.text, hybrid=False), limit=request.limit)
    answer = vector_service().search(request.tenant_id, request.collection, search)
    return {"passages": [_passage(hit) for hit in answer.result if isinstance(hit, Hit)]}


def _passage(hit: Hit) -> Mapping[str, Any]:
    message = hit.message
    if message is not None:
        text = message.passage.text if message.passage else ""
        sent_at = message.sent_at.isoformat() if message.sent_at else None
        metadata = {"id": str(hit.id), "subject": message.subject, "from": message.sender_name, "sent_at": sent_at}
        return {"text": text[:_MAX_CHARACTERS], "metadata": metadata, "score": hit.score}
    payload = dict(hit.payload)
    text = payload.pop("text", None)
    known = text if isinstance(text, str) else ""
    return {"text": known[:_MAX_CHARACTERS], "metadata": {"id": str(hit.id), **payload}, "score": hit.score}
