"""Routes of the audit log: a tenant's own entries; for operators, the platform's entries."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from coordinator_lambda.bootstrap import audit
from email_sender.adapters.postgres.audit import PostgresAudit
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.query_parameters import Cursor, Limit
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/audit", tags=["audit"])
Reader = Annotated[Principal, Depends(Requires(Permission.AUDIT_READ))]


class AuditEntryOut(BaseModel):
    """`hash` covers this entry and the hash of the previous entry."""

    sequence: int
    at: datetime
    subject: str
    action: str
    object: str
    details: Mapping[str, Any]
    hash: str


class AuditOut(BaseModel):
    """`broken_at` is the first of the last thousand entries at which the hash chain is broken, or null."""

    items: Sequence[AuditEntryOut]
    next_cursor: str | None
    broken_at: int | None


@router.get("")
async def list_audit_entries(
    caller: Reader, log: Annotated[PostgresAudit, depends_on(audit)], limit: Limit = 50, cursor: Cursor = None
) -> AuditOut:
    """List audit log entries, newest first."""
    audit_page = log.page(caller.tenant_id, cursor, limit)
    return AuditOut(
        items=[AuditEntryOut(**row) for row in audit_page.items],
        next_cursor=audit_page.next_cursor,
        broken_at=log.broken_at(caller.tenant_id),
    )
