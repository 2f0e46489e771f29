"""The people of a tenant, and what an admin may change about them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from email_sender.clock import Clock
from email_sender.errors import Conflict, NotFound
from email_sender.paging import Page
from email_sender.security.permissions import Role

# The roles that a person of a tenant can have.
MEMBER_ROLES = (Role.READONLY, Role.USER, Role.ADMIN)


class MemberStatus(StrEnum):
    """`invited`: the person has not signed in with the password of the invitation yet."""

    INVITED = "invited"
    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Member:
    """`id` is the username. `subject` is that of the member's tokens and of the audit log.

    The role is None if the stored one is not a member's role.
    """

    id: str
    subject: str
    email: str
    role: Role | None
    status: MemberStatus


class MemberDirectory(Protocol):
    """The user pool."""

    def page(self, tenant_id: UUID, cursor: str | None, limit: int) -> Page[Member]: ...

    def find(self, tenant_id: UUID, member_id: str) -> Member | None: ...

    def invite(self, tenant_id: UUID, email: str, role: Role) -> Member:
        """Add a person, and mail them a password for their first sign-in.

        Raises:
            Conflict: the address has an account already.
        """
        ...

    def set_role(self, member_id: str, role: Role) -> None:
        """Change the role, and revoke the member's refresh tokens. An access token lives on, at most an hour."""

    def reset_second_factor(self, member_id: str) -> None:
        """Forget the member's authenticator app, and revoke their refresh tokens."""

    def remove(self, member_id: str) -> None:
        """Delete the account. An access token lives on, at most an hour."""


class AuditUnit(Protocol):
    def audit(self, at: datetime, action: str, object_name: str, details: dict[str, Any] = ...) -> None: ...

    def commit(self) -> None: ...


type AuditUnits = Callable[[UUID], AbstractContextManager[AuditUnit]]


class MemberService:
    """The audit entry of a change is committed before the change, because the user pool has no transactions."""

    def __init__(self, directory: MemberDirectory, units: AuditUnits, now: Clock) -> None:
        self._directory, self._units, self._now = directory, units, now

    def page(self, tenant_id: UUID, cursor: str | None, limit: int) -> Page[Member]:
        return self._directory.page(tenant_id, cursor, limit)

    def invite(self, tenant_id: UUID, email: str, role: Role) -> Member:
        """Invite a person. Raises Conflict if the address cannot be invited."""
        self._audit(tenant_id, "member.invite", email, role=role)
        return self._directory.invite(tenant_id, email, role)

    def set_role(self, tenant_id: UUID, member_id: str, role: Role) -> Member:
        """Change a member's role.

        Raises:
            NotFound: the tenant has no such member.
            Conflict: the tenant would have no admin.
        """
        member = self._get(tenant_id, member_id)
        if role is not Role.ADMIN:
            self._require_another_admin(tenant_id, member)
        self._audit(tenant_id, "member.role", member.subject, role=role, was=member.role)
        self._directory.set_role(member.id, role)
        return replace(member, role=role)

    def reset_second_factor(self, tenant_id: UUID, member_id: str) -> None:
        """Let a member who lost their authenticator app set up another one. Raises NotFound."""
        member = self._get(tenant_id, member_id)
        self._audit(tenant_id, "member.second_factor_reset", member.subject)
        self._directory.reset_second_factor(member.id)

    def remove(self, tenant_id: UUID, member_id: str) -> None:
        """Remove a member.

        Raises:
            NotFound: the tenant has no such member.
            Conflict: the tenant would have no admin.
        """
        member = self._get(tenant_id, member_id)
        self._require_another_admin(tenant_id, member)
        self._audit(tenant_id, "member.remove", member.subject, was=member.role)
        self._directory.remove(member.id)

    def _get(self, tenant_id: UUID, member_id: str) -> Member:
        member = self._directory.find(tenant_id, member_id)
        if member is None:
            raise NotFound("Member not found.")
        return member

    def _require_another_admin(self, tenant_id: UUID, member: Member) -> None:
        if member.role is Role.ADMIN and not any(
            other.role is Role.ADMIN and other.status is MemberStatus.ACTIVE and other.id != member.id
            for other in _all_members(self._directory, tenant_id)
        ):
            raise Conflict("This is the tenant's only admin. Make somebody else an admin first.")

    def _audit(self, tenant_id: UUID, action: str, object_name: str, **details: Role | None) -> None:
        with self._units(tenant_id) as unit:
            unit.audit(self._now(), action, object_name, {name: role and str(role) for name, role in details.items()})
            unit.commit()


def _all_members(directory: MemberDirectory, tenant_id: UUID) -> Sequence[Member]:
    members: list[Member] = []
    cursor: str | None = None
    while True:
        found = directory.page(tenant_id, cursor, 60)
        members += found.items
        cursor = found.next_cursor
        if cursor is None:
            return members
