"""Routes of how long a tenant keeps its data, for its admins."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from coordinator_lambda.bootstrap_security import retention_service
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.security.permissions import Permission
from email_sender.security.retention import RetainedKind, RetentionService

router = APIRouter(prefix="/retention", tags=["privacy"])
Service = Annotated[RetentionService, depends_on(retention_service)]
Admin = Annotated[Principal, Depends(Requires(Permission.TENANT_MANAGE))]
Days = Annotated[int, Field(strict=True, ge=1, le=36_500)]


class Retention(BaseModel):
    """Days, or null to keep them. `messages` count from when they were sent; `runs` from their end."""

    model_config = ConfigDict(extra="forbid")

    messages: Days | None
    runs: Days | None


@router.get("")
async def get_retention(caller: Admin, service: Service) -> Retention:
    """Get how long the tenant keeps its data."""
    return _answer(service, caller)


@router.put("")
async def update_retention(body: Retention, caller: Admin, service: Service) -> Retention:
    """Change how long the tenant keeps its data. What is older is deleted within a day, and cannot be brought back."""
    service.set_days(caller.tenant_id, {RetainedKind.MESSAGES: body.messages, RetainedKind.RUNS: body.runs})
    return _answer(service, caller)


def _answer(service: RetentionService, caller: Principal) -> Retention:
    days = service.days(caller.tenant_id)
    return Retention(messages=days[RetainedKind.MESSAGES], runs=days[RetainedKind.RUNS])
