"""Routes of the keys that encrypt a tenant's data, for its admins."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from coordinator_lambda.bootstrap_security import key_service
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.schemas import Listing
from email_sender.security.key_rotation import DataKey, KeyService
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/keys", tags=["keys"])
Service = Annotated[KeyService, depends_on(key_service)]
Admin = Annotated[Principal, Depends(Requires(Permission.TENANT_MANAGE))]


class KeyOut(BaseModel):
    """The key encrypts from `active_at` on. `finished_at` is null until all values are encrypted with it."""

    version: int
    created_at: datetime
    active_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, key: DataKey) -> Self:
        return cls(version=key.version, created_at=key.created_at, active_at=key.active_at, finished_at=key.finished_at)


class RotationOut(BaseModel):
    """`version` is that of the new key. It is in GET /keys as soon as it exists."""

    version: int


@router.get("")
async def list_keys(caller: Admin, service: Service) -> Listing[KeyOut]:
    """List the versions of the tenant's key, oldest first. Old ones are removed a day after nothing needs them."""
    return Listing(items=[KeyOut.of(key) for key in service.versions(caller.tenant_id)], next_cursor=None)


@router.post("/rotate", status_code=202)
async def rotate_key(caller: Admin, service: Service) -> RotationOut:
    """Rotate the key. A rotation that has not finished is continued. `key.rotated` tells the end."""
    return RotationOut(version=service.rotate(caller.tenant_id))
