"""Who did what: a tenant's own entries; the platform's for operators."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from coordinator.bootstrap import audit
from email_sender.adapters.postgres.audit import PostgresAudit
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.params import Cursor, Limit
from email_sender.kit.provided import provided
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/audit", tags=["audit"])
Reader = Annotated[Principal, Depends(Requires(Permission.AUDIT_READ))]


class AuditEntryOut(BaseModel):
    """`hash` is over this entry and the hash of the one before it."""

    sequence: int
    at: datetime
    subject: str
    action: str
    object: str
    details: Mapping[str, Any]
    hash: str


class AuditOut(BaseModel):
    """`broken_at` names the first entry at which the chain of the last thousand is broken; null where it is whole."""

    items: Sequence[AuditEntryOut]
    next_cursor: str | None
    broken_at: int | None


@router.get("")
async def page(
    caller: Reader, log: Annotated[PostgresAudit, provided(audit)], limit: Limit = 50, cursor: Cursor = None
) -> AuditOut:
    """Newest first."""
    found = log.page(caller.tenant_id, cursor, limit)
    return AuditOut(
        items=[AuditEntryOut(**each) for each in found.items],
        next_cursor=found.next_cursor,
        broken_at=log.broken_at(caller.tenant_id),
    )
