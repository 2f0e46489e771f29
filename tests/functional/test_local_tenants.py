"""Tenants that `make tenant` adds to the local cloud."""

from uuid import uuid4

from email_sender.kit.system_clock import new_id
from local.database import DATABASE, Tenant, add_tenant, list_tenants
from tests.database import Cluster


def test_a_tenant_is_added_once(cluster: Cluster) -> None:
    url, name = cluster.server.url(DATABASE), f"studio-{uuid4().hex[:8]}"
    first_tenant = Tenant(new_id(), name, "Studio <hello@studio.example>")
    assert add_tenant(url, first_tenant)
    assert not add_tenant(url, Tenant(new_id(), name, "Other <hello@other.example>"))
    assert [tenant for tenant in list_tenants(url) if tenant.name == name] == [first_tenant]
