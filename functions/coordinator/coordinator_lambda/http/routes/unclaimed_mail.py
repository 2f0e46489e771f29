"""Route of received mail that belongs to no tenant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from coordinator_lambda.bootstrap import unclaimed_mail
from email_sender.adapters.postgres.unclaimed_mail import PostgresUnclaimedMail
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.query_parameters import Cursor, Limit
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/events/unclaimed-mail", tags=["failed events"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]


class UnclaimedMailOut(BaseModel):
    """`object_key` is the mail's place in the inbound bucket. Its content is not shown."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    object_key: str
    object_version: str | None
    recipients: Sequence[str]
    reason: str
    received_at: datetime


class UnclaimedMailsOut(BaseModel):
    items: Sequence[UnclaimedMailOut]
    next_cursor: str | None


@router.get("")
async def list_unclaimed_mail(
    _caller: Reader,
    store: Annotated[PostgresUnclaimedMail, depends_on(unclaimed_mail)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> UnclaimedMailsOut:
    """List received mail that belongs to no tenant, latest first."""
    found = store.page(cursor, limit)
    items = [UnclaimedMailOut.model_validate(mail) for mail in found.items]
    return UnclaimedMailsOut(items=items, next_cursor=found.next_cursor)
