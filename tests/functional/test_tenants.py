"""Tenants that operators create and suspend, on PostgreSQL."""

from collections.abc import Callable
from threading import Thread
from uuid import UUID

import psycopg
import pytest

from email_sender.adapters.mail.unsubscribe_links import LinkKeys, SignedUnsubscribeLinks
from email_sender.adapters.postgres.database import Database, admit_suspended
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.adapters.postgres.tenants import PostgresTenants
from email_sender.coordination.events import PLATFORM_TENANT, EventFactory
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound
from email_sender.kit.system_clock import new_id, now
from email_sender.messaging.contacts import ContactService
from email_sender.security.acting import acting_as
from email_sender.security.tenants import Tenant, TenantService
from tests.database import Cluster

SENDER = "Studio <hello@studio.example>"


@pytest.fixture
def service(cluster: Cluster) -> TenantService:
    store = PostgresTenants(cluster.database("platform"), None, EventFactory("security", now, new_id))
    return TenantService(store, now)


def new_name() -> str:
    return f"t{new_id().hex[-20:]}"


def test_a_tenant_is_created_once_with_its_event_and_audit_entry(service: TenantService, cluster: Cluster) -> None:
    tenant_id, name = new_id(), new_name()
    with acting_as("olga"):
        tenant = service.create(tenant_id, name, SENDER)
    repeated = service.create(tenant_id, name, SENDER)
    assert (repeated.id, repeated.name, repeated.sender) == (tenant.id, name, SENDER)
    events = cluster.query(
        "select detail from outbox where type = 'tenant.created' and detail->'data'->>'name' = %s", name
    )
    assert [event["detail"]["data"] for event in events] == [{"tenant_id": str(tenant_id), "name": name}]
    entries = cluster.query(
        "select subject, action from audit_log where tenant_id = %s and object = %s", PLATFORM_TENANT, str(tenant_id)
    )
    assert [(entry["subject"], entry["action"]) for entry in entries] == [("olga", "tenant.created")]
    with pytest.raises(Conflict):
        service.create(new_id(), name, SENDER)


def test_concurrent_operators_create_one_tenant_of_a_name(service: TenantService, cluster: Cluster) -> None:
    name, results = new_name(), list[str]()

    def create() -> None:
        try:
            service.create(new_id(), name, SENDER)
            results.append("created")
        except Conflict:
            results.append("conflict")

    threads = [Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["conflict", "conflict", "conflict", "created"]


@pytest.mark.parametrize(("name", "sender"), [("X", SENDER), ("1a", SENDER), ("studio", "nobody"), ("studio", "")])
def test_an_invalid_tenant_is_refused(service: TenantService, name: str, sender: str) -> None:
    with pytest.raises(InvalidInput):
        service.create(new_id(), name, sender)


def test_nothing_of_a_suspended_tenant_can_be_reached_until_it_is_resumed(
    service: TenantService, cluster: Cluster, app_role: Database, new_tenant: Callable[[], UUID]
) -> None:
    tenant, other = new_tenant(), new_tenant()
    directory = TenantDirectory(cluster.database("platform"))
    suspended = service.suspend(tenant)
    assert suspended.suspended_at is not None
    assert service.suspend(tenant) == suspended
    with pytest.raises(Forbidden, match="suspended"), app_role.tenant(tenant):
        pass
    with app_role.tenant(other) as conn:
        assert conn.execute("select id from tenants").fetchall() == [{"id": other}]
    assert tenant not in directory.tenants()
    assert service.resume(tenant).suspended_at is None
    with app_role.tenant(tenant) as conn:
        assert conn.execute("select id from tenants").fetchall() == [{"id": tenant}]
    assert tenant in directory.tenants()


def test_a_recipient_can_always_unsubscribe(
    service: TenantService, cluster: Cluster, app_role: Database, new_tenant: Callable[[], UUID]
) -> None:
    tenant, contact_id = new_tenant(), new_id()
    units = PostgresMessagingUnits(app_role, cluster.vault(app_role), None)
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k1", {"k1": b"x" * 32}), "https://a.example")
    contacts = ContactService(units, links, now, new_id)
    contacts.add(tenant, contact_id, "ada@example.org", None, {})
    token = links.url(tenant, contact_id).rpartition("/")[2]
    service.suspend(tenant)
    with pytest.raises(Forbidden):
        contacts.unsubscribe(token)
    with admit_suspended():
        contacts.unsubscribe(token)
    service.resume(tenant)
    assert [suppression.address for suppression in contacts.suppressions(tenant, None, 5).items] == ["ada@example.org"]


def test_the_operators_tenant_can_be_neither_seen_nor_suspended(service: TenantService, cluster: Cluster) -> None:
    with pytest.raises(NotFound):
        service.suspend(PLATFORM_TENANT)
    with cluster.database("platform").platform() as conn:
        assert conn.execute("update tenants set suspended_at = now() where kind = 'platform'").rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("insert into tenants (id, name, kind) values (%s, 'x', 'platform')", [new_id()])
    with pytest.raises(NotFound):
        service.get(new_id())


def test_tenants_are_listed_by_pages(service: TenantService) -> None:
    created = [service.create(new_id(), new_name(), SENDER) for _ in range(3)]
    found: list[Tenant] = []
    cursor: UUID | None = None
    while True:
        page = service.page(cursor, 2)
        found += page.items
        if page.next_cursor is None:
            break
        cursor = UUID(page.next_cursor)
    assert [tenant.id for tenant in found if tenant.id in {one.id for one in created}] == [one.id for one in created]
