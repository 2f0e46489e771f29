"""Routes of the collection settings, for operators: plan changes and apply them."""

from typing import Annotated

from fastapi import APIRouter, Depends

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute
from email_sender.kit.telemetry import logger
from email_sender.security.permissions import Permission
from email_sender.vectors.collection_settings import SettingsService
from vectors_lambda.bootstrap.core import settings_service
from vectors_lambda.http.schemas.collection_settings import ApplyIn, PlanOut

router = APIRouter(prefix="/vectors/collections", tags=["collections"], route_class=IdempotentRoute)
Service = Annotated[SettingsService, depends_on(settings_service)]


@router.get("/plan")
async def plan_collections(
    _: Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))], service: Service
) -> PlanOut:
    """Plan changes of collection settings.

    Lists where the collections differ from the configuration. Changes nothing.
    """
    return PlanOut.of(service.plan())


@router.post("/apply")
async def apply_collections(
    body: ApplyIn, caller: Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))], service: Service
) -> PlanOut:
    """Apply a plan of collection settings.

    Makes the live changes, if the plan is still current. Returns the remaining changes, which need a new collection.
    """
    remaining_plan = service.apply(body.plan)
    logger.info("collection settings applied", plan=body.plan, by=caller.subject)
    return PlanOut.of(remaining_plan)
