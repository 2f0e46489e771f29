"""Routes of the people of a tenant, for its admins."""

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from coordinator_lambda.bootstrap_security import member_service
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.query_parameters import Cursor, Limit
from email_sender.kit.schemas import Listing
from email_sender.security.members import Member, MemberService
from email_sender.security.permissions import Permission, Role

router = APIRouter(prefix="/members", tags=["members"])
Service = Annotated[MemberService, depends_on(member_service)]
Admin = Annotated[Principal, Depends(Requires(Permission.TENANT_MANAGE))]
# The characters that usernames may have here too.
Email = Annotated[str, Field(pattern=r"^[\w.+-]{1,64}@[\w.-]{1,60}$")]
# Usernames of user pools.
MemberId = Annotated[str, Path(pattern=r"^[\w.@+-]{1,128}$")]


class RoleIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["readonly", "user", "admin"]


class InvitationIn(RoleIn):
    email: Email


class MemberOut(BaseModel):
    """`subject` names the member in the audit log.

    `status` is `invited` until the person has signed in. `role` is null if the stored role does not exist.
    """

    id: str
    subject: str
    email: str
    role: str | None
    status: str

    @classmethod
    def of(cls, member: Member) -> Self:
        return cls(id=member.id, subject=member.subject, email=member.email, role=member.role, status=member.status)


@router.get("")
async def list_members(caller: Admin, service: Service, limit: Limit = 50, cursor: Cursor = None) -> Listing[MemberOut]:
    """List the members of the tenant, at most 60 at once."""
    found = service.page(caller.tenant_id, cursor, limit)
    return Listing(items=[MemberOut.of(member) for member in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201)
async def invite_member(body: InvitationIn, caller: Admin, service: Service) -> MemberOut:
    """Invite a person. They get a mail with a password for the first sign-in."""
    return MemberOut.of(service.invite(caller.tenant_id, body.email, Role(body.role)))


@router.put("/{member_id}")
async def update_member(member_id: MemberId, body: RoleIn, caller: Admin, service: Service) -> MemberOut:
    """Change a member's role. It counts from the next token on, within an hour. A tenant keeps at least one admin."""
    return MemberOut.of(service.set_role(caller.tenant_id, member_id, Role(body.role)))


@router.delete("/{member_id}/second-factor", status_code=204)
async def reset_second_factor(member_id: MemberId, caller: Admin, service: Service) -> Response:
    """Remove a member's authenticator app, which they lost. Their sessions end; they set up another one."""
    service.reset_second_factor(caller.tenant_id, member_id)
    return Response(status_code=204)


@router.delete("/{member_id}", status_code=204)
async def remove_member(member_id: MemberId, caller: Admin, service: Service) -> Response:
    """Remove a member. Access tokens stay valid for at most an hour. A tenant keeps at least one admin."""
    service.remove(caller.tenant_id, member_id)
    return Response(status_code=204)
