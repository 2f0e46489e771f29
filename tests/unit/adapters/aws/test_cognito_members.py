"""Members of tenants in a user pool (moto's), and the rules for changing them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from moto import mock_aws

from email_sender.adapters.aws.cognito_members import CognitoMembers
from email_sender.errors import Conflict, NotFound, NotSupported
from email_sender.security.members import Member, MemberService, MemberStatus
from email_sender.security.permissions import Role

ACME, GLOBEX = uuid4(), uuid4()


class AuditedUnits:
    """Records what was committed."""

    def __init__(self) -> None:
        self.entries: list[tuple[UUID, str, str]] = []

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[Any]:
        added: list[tuple[UUID, str, str]] = []
        log = self

        class Unit:
            def audit(self, _at: datetime, action: str, object_name: str, _details: Any = None) -> None:
                added.append((tenant_id, action, object_name))

            def commit(self) -> None:
                log.entries += added

        yield Unit()


class Pool:
    def __init__(self, client: Any) -> None:
        self.client = client
        attributes = [{"Name": name, "AttributeDataType": "String", "Mutable": True} for name in ("tenant_id", "role")]
        self.id = client.create_user_pool(PoolName="p", Schema=attributes, AliasAttributes=["email"])["UserPool"]["Id"]
        self.directory = CognitoMembers(lambda: client, self.id)
        self.units = AuditedUnits()
        self.service = MemberService(self.directory, self.units, lambda: datetime(2026, 11, 29, tzinfo=UTC))

    def add(self, tenant: UUID, email: str, role: Role, *, active: bool = True) -> Member:
        member = self.service.invite(tenant, email, role)
        if active:
            username = email.replace("@", ".at.")
            self.client.admin_set_user_password(
                UserPoolId=self.id, Username=username, Password="Pa55word!xyz", Permanent=True
            )
        return member

    def emails(self, tenant: UUID) -> list[tuple[str, str | None, str]]:
        return sorted(
            (member.email, member.role, member.status) for member in self.service.page(tenant, None, 50).items
        )


@pytest.fixture
def pool() -> Iterator[Pool]:
    with mock_aws():
        yield Pool(boto3.client("cognito-idp", region_name="eu-west-1"))


def test_invited_people_are_listed_in_their_tenant_only(pool: Pool) -> None:
    pool.add(ACME, "ann@acme.example", Role.ADMIN)
    pool.add(ACME, "bob@acme.example", Role.READONLY, active=False)
    pool.add(GLOBEX, "gus@globex.example", Role.USER)
    assert pool.emails(ACME) == [
        ("ann@acme.example", "admin", "active"),
        ("bob@acme.example", "readonly", "invited"),
    ]
    assert pool.emails(GLOBEX) == [("gus@globex.example", "user", "active")]
    assert pool.emails(uuid4()) == []
    assert pool.units.entries[0] == (ACME, "member.invite", "ann@acme.example")


def test_an_address_with_an_account_cannot_be_invited(pool: Pool) -> None:
    pool.add(ACME, "ann@acme.example", Role.ADMIN)
    for tenant in (ACME, GLOBEX):
        with pytest.raises(Conflict, match="cannot be invited"):
            pool.service.invite(tenant, "ann@acme.example", Role.USER)
    assert pool.emails(GLOBEX) == []


def test_an_interrupted_invitation_can_be_repeated(pool: Pool) -> None:
    bob = pool.add(ACME, "bob@acme.example", Role.USER, active=False)
    pool.client.admin_remove_user_from_group(UserPoolId=pool.id, GroupName=str(ACME), Username=bob.id)
    assert pool.emails(ACME) == []
    assert pool.service.invite(ACME, "bob@acme.example", Role.USER) == bob
    assert pool.emails(ACME) == [("bob@acme.example", "user", "invited")]
    with pytest.raises(Conflict):
        pool.service.invite(ACME, "bob@acme.example", Role.ADMIN)


def test_a_role_is_changed_and_audited(pool: Pool) -> None:
    bob = pool.add(ACME, "bob@acme.example", Role.READONLY)
    changed = pool.service.set_role(ACME, bob.id, Role.USER)
    assert (changed.role, pool.emails(ACME)) == (Role.USER, [("bob@acme.example", "user", "active")])
    assert pool.units.entries[-1] == (ACME, "member.role", bob.subject)


def test_a_member_of_another_tenant_is_not_found(pool: Pool) -> None:
    gus = pool.add(GLOBEX, "gus@globex.example", Role.USER)
    for change in (lambda: pool.service.set_role(ACME, gus.id, Role.ADMIN), lambda: pool.service.remove(ACME, gus.id)):
        with pytest.raises(NotFound):
            change()
    with pytest.raises(NotFound):
        pool.service.remove(ACME, "nobody")
    assert pool.emails(GLOBEX) == [("gus@globex.example", "user", "active")]


def test_a_tenant_keeps_an_admin_who_can_sign_in(pool: Pool) -> None:
    ann = pool.add(ACME, "ann@acme.example", Role.ADMIN)
    pool.add(ACME, "zoe@acme.example", Role.ADMIN, active=False)
    for change in (lambda: pool.service.set_role(ACME, ann.id, Role.USER), lambda: pool.service.remove(ACME, ann.id)):
        with pytest.raises(Conflict, match="only admin"):
            change()
    pool.add(ACME, "bob@acme.example", Role.ADMIN)
    pool.service.remove(ACME, ann.id)
    assert [email for email, _, _ in pool.emails(ACME)] == ["bob@acme.example", "zoe@acme.example"]


def test_a_role_that_does_not_exist_is_shown_as_none(pool: Pool) -> None:
    bob = pool.add(ACME, "bob@acme.example", Role.USER)
    pool.client.admin_update_user_attributes(
        UserPoolId=pool.id, Username="bob.at.acme.example", UserAttributes=[{"Name": "custom:role", "Value": "owner"}]
    )
    found = pool.directory.find(ACME, bob.id)
    assert found is not None
    assert (found.role, found.status) == (None, MemberStatus.ACTIVE)


def test_the_members_of_another_issuer_are_not_managed_here() -> None:
    with pytest.raises(NotSupported, match="another issuer"):
        CognitoMembers(lambda: None, "").page(ACME, None, 10)  # type: ignore[arg-type, return-value]
