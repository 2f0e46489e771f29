"""Collections as configured, for operators: what would change, and changing it."""

from typing import Annotated

from fastapi import APIRouter, Depends

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute
from email_sender.kit.provided import provided
from email_sender.kit.telemetry import logger
from email_sender.security.permissions import Permission
from email_sender.vectors.settings import SettingsService
from vectors.bootstrap import settings_service
from vectors.settings_schemas import ApplyIn, PlanOut

router = APIRouter(prefix="/vectors/collections", tags=["vectors"], route_class=IdempotentRoute)
Service = Annotated[SettingsService, provided(settings_service)]


@router.get("/plan")
async def plan(_: Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))], service: Service) -> PlanOut:
    """Where collections differ from what is configured. Changes nothing."""
    return PlanOut.of(service.plan())


@router.post("/apply")
async def apply(
    body: ApplyIn, caller: Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))], service: Service
) -> PlanOut:
    """Make the live changes of a plan, if it is still the plan. Answers with what is left."""
    left = service.apply(body.plan)
    logger.info("collections changed", plan=body.plan, by=caller.subject)
    return PlanOut.of(left)
