"""Routes of tenants, for operators."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from coordinator_lambda.bootstrap_security import member_service, quota_service, tenant_service
from coordinator_lambda.http.routes.members import Email, MemberOut
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.query_parameters import Cursor, Limit, parse_id_cursor
from email_sender.kit.schemas import Listing
from email_sender.security.members import MemberService
from email_sender.security.permissions import Permission, Role
from email_sender.security.quotas import Quota, QuotaKind, QuotaService
from email_sender.security.tenants import Tenant, TenantService

router = APIRouter(prefix="/tenants", tags=["tenants"], route_class=IdempotentRoute)
Service = Annotated[TenantService, depends_on(tenant_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Member = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]


class TenantIn(BaseModel):
    """`sender` is the From address of the tenant's mail, such as `Studio <hello@studio.example>`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=2, max_length=31)]
    sender: Annotated[str, Field(min_length=3, max_length=400)]


class AdminIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: Email


class DeletionIn(BaseModel):
    """`name` is the name of the tenant: nobody deletes another one by mistake."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=400)]


class QuotaIn(BaseModel):
    """`allowed` is null for the default."""

    model_config = ConfigDict(extra="forbid")

    allowed: Annotated[int, Field(strict=True, ge=0, le=2**53)] | None


class QuotaOut(BaseModel):
    """`used` counts since midnight UTC; `resets_at` is the next one. Stored vectors do not reset."""

    quota: QuotaKind
    allowed: int
    used: int
    resets_at: datetime | None

    @classmethod
    def of(cls, quota: Quota) -> Self:
        return cls(quota=quota.kind, allowed=quota.allowed, used=quota.used, resets_at=quota.resets_at)


class OwnTenantOut(BaseModel):
    id: UUID
    name: str
    quotas: list[QuotaOut]


class TenantOut(BaseModel):
    """At `deletes_at`, all that the tenant has is deleted for good."""

    id: UUID
    name: str
    sender: str | None
    created_at: datetime
    suspended_at: datetime | None
    deletes_at: datetime | None

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        return cls(
            id=tenant.id,
            name=tenant.name,
            sender=tenant.sender,
            created_at=tenant.created_at,
            suspended_at=tenant.suspended_at,
            deletes_at=tenant.deletes_at,
        )


@router.get("")
async def list_tenants(
    _caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> Listing[TenantOut]:
    """List tenants. They are in the order of creation."""
    found = service.page(parse_id_cursor(cursor), limit)
    return Listing(items=[TenantOut.of(tenant) for tenant in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201)
async def create_tenant(request: Request, body: TenantIn, _caller: Operator, service: Service) -> TenantOut:
    """Create a tenant. Returns 409 if another tenant has the name. Then invite its first admin."""
    return TenantOut.of(service.create(operation_id(request), body.name, body.sender))


@router.get("/me")
async def get_own_tenant(
    caller: Member, service: Service, quotas: Annotated[QuotaService, depends_on(quota_service)]
) -> OwnTenantOut:
    """Get your own tenant, with what it may use and what it has used today."""
    tenant = service.get(caller.tenant_id)
    return OwnTenantOut(
        id=tenant.id, name=tenant.name, quotas=[QuotaOut.of(quota) for quota in quotas.of(caller.tenant_id)]
    )


@router.get("/{tenant_id}/quotas")
async def get_quotas(
    tenant_id: UUID, _caller: Reader, quotas: Annotated[QuotaService, depends_on(quota_service)]
) -> Listing[QuotaOut]:
    """Get the quotas of a tenant."""
    return Listing(items=[QuotaOut.of(quota) for quota in quotas.of(tenant_id)], next_cursor=None)


@router.put("/{tenant_id}/quotas/{quota}")
async def set_quota(
    tenant_id: UUID,
    quota: QuotaKind,
    body: QuotaIn,
    _caller: Operator,
    quotas: Annotated[QuotaService, depends_on(quota_service)],
) -> Listing[QuotaOut]:
    """Set a quota of a tenant. It counts at once; for stored vectors, within a minute."""
    changed = quotas.set(tenant_id, quota, body.allowed)
    return Listing(items=[QuotaOut.of(quota) for quota in changed], next_cursor=None)


@router.get("/{tenant_id}")
async def get_tenant(tenant_id: UUID, _caller: Reader, service: Service) -> TenantOut:
    """Get a tenant."""
    return TenantOut.of(service.get(tenant_id))


@router.post("/{tenant_id}/suspend")
async def suspend_tenant(tenant_id: UUID, _caller: Operator, service: Service) -> TenantOut:
    """Suspend a tenant. Its requests, runs and sends are refused from now on; nothing is deleted."""
    return TenantOut.of(service.suspend(tenant_id))


@router.post("/{tenant_id}/resume")
async def resume_tenant(tenant_id: UUID, _caller: Operator, service: Service) -> TenantOut:
    """Resume a suspended tenant. Cancels its deletion, if that has not begun."""
    return TenantOut.of(service.resume(tenant_id))


@router.post("/{tenant_id}/delete", status_code=202)
async def delete_tenant(tenant_id: UUID, body: DeletionIn, _caller: Operator, service: Service) -> TenantOut:
    """Delete a tenant. It is suspended now, and deleted in seven days.

    Its key is destroyed then: nobody can read its people's addresses, its messages and its secrets, not in a backup
    either.
    """
    return TenantOut.of(service.delete(tenant_id, body.name))


@router.post("/{tenant_id}/admins", status_code=201)
async def invite_tenant_admin(
    tenant_id: UUID,
    body: AdminIn,
    _caller: Operator,
    service: Service,
    members: Annotated[MemberService, depends_on(member_service)],
) -> MemberOut:
    """Invite an admin of a tenant. The person gets a mail with a password for the first sign-in."""
    return MemberOut.of(members.invite(service.get(tenant_id).id, body.email, Role.ADMIN))
