"""Quotas of tenants on PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from email_sender.adapters.postgres import quotas
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.quotas import PostgresQuotas
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import NotFound
from email_sender.kit.system_clock import new_id, now
from email_sender.security.quotas import DEFAULTS, Quota, QuotaExceeded, QuotaKind, QuotaService
from tests.database import Cluster

RUNS = QuotaKind.RUNS


@pytest.fixture
def units(app_role: Database) -> Units:
    return Units(app_role, None)


@pytest.fixture
def service(platform_role: Database) -> QuotaService:
    return QuotaService(PostgresQuotas(platform_role), now)


def spend(units: Units, tenant: UUID, kind: QuotaKind = RUNS, amount: int = 1) -> None:
    with units(tenant) as unit:
        unit.spend(kind, amount)
        unit.commit()


def quota(service: QuotaService, tenant: UUID, kind: QuotaKind = RUNS) -> Quota:
    return next(quota for quota in service.of(tenant) if quota.kind is kind)


def told(cluster: Cluster, tenant: UUID) -> list[dict[str, object]]:
    rows = cluster.query("select detail from outbox where tenant_id = %s and type = 'quota.exceeded'", tenant)
    return [row["detail"]["data"] for row in rows]


def test_what_is_used_counts_up_to_the_quota(
    units: Units, service: QuotaService, tenant: UUID, cluster: Cluster
) -> None:
    assert (quota(service, tenant).allowed, quota(service, tenant).used) == (DEFAULTS[RUNS], 0)
    service.set(tenant, RUNS, 3)
    spend(units, tenant)
    spend(units, tenant, amount=2)
    for amount in (1, 4):
        with pytest.raises(QuotaExceeded) as refusal:
            spend(units, tenant, amount=amount)
    assert 0 < refusal.value.retry_after <= 86_401
    assert quota(service, tenant).used == 3
    assert told(cluster, tenant) == [{"quota": "runs", "allowed": 3}]
    service.set(tenant, RUNS, None)
    spend(units, tenant)
    assert (quota(service, tenant).allowed, quota(service, tenant).used) == (DEFAULTS[RUNS], 4)


def test_more_than_the_quota_at_once_is_refused_on_a_new_day_too(
    units: Units, service: QuotaService, tenant: UUID
) -> None:
    service.set(tenant, RUNS, 3)
    with pytest.raises(QuotaExceeded):
        spend(units, tenant, amount=4)
    assert quota(service, tenant).used == 0


def test_a_quota_of_yesterday_does_not_count_today(
    units: Units, service: QuotaService, tenant: UUID, cluster: Cluster
) -> None:
    service.set(tenant, RUNS, 1)
    spend(units, tenant)
    cluster.execute("update quota_use set day = day - 1 where tenant_id = %s", tenant)
    spend(units, tenant)
    resets_at = quota(service, tenant).resets_at
    assert resets_at is not None
    assert timedelta() < resets_at - now() <= timedelta(days=1)


def test_a_refused_transaction_stores_nothing_but_the_event(
    units: Units, service: QuotaService, tenant: UUID, cluster: Cluster
) -> None:
    service.set(tenant, RUNS, 0)
    with units(tenant) as unit:
        unit.conn.execute("insert into threads (id, tenant_id) values (%s, %s)", [new_id(), tenant])
        unit.audit(now(), "something", "x")
        with pytest.raises(QuotaExceeded):
            unit.spend(RUNS)
        unit.commit()
    assert cluster.query("select 1 from threads where tenant_id = %s", tenant) == []
    assert cluster.query("select 1 from audit_log where tenant_id = %s", tenant) == []
    assert len(told(cluster, tenant)) == 1


def test_a_transaction_that_is_not_committed_counts_nothing(units: Units, service: QuotaService, tenant: UUID) -> None:
    with units(tenant) as unit:
        unit.spend(RUNS, 5)
    assert quota(service, tenant).used == 0


def test_concurrent_use_never_exceeds_the_quota(
    units: Units, service: QuotaService, tenant: UUID, cluster: Cluster
) -> None:
    service.set(tenant, RUNS, 10)

    def attempt(_number: int) -> bool:
        try:
            spend(units, tenant)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        accepted = list(threads.map(attempt, range(40)))
    assert (sum(accepted), quota(service, tenant).used) == (10, 10)
    assert len(told(cluster, tenant)) == 1


def test_one_tenant_never_uses_anothers_quota(
    units: Units, service: QuotaService, tenant: UUID, new_tenant: Callable[[], UUID]
) -> None:
    other = new_tenant()
    service.set(tenant, RUNS, 1)
    spend(units, tenant)
    with pytest.raises(QuotaExceeded):
        spend(units, tenant)
    spend(units, other, amount=100)
    assert quota(service, other).used == 100


def test_tokens_are_corrected_when_their_number_is_known(units: Units, service: QuotaService, tenant: UUID) -> None:
    spend(units, tenant, QuotaKind.MODEL_TOKENS, 600)
    with units(tenant) as unit:
        quotas.correct(unit, QuotaKind.MODEL_TOKENS, -450)
        unit.commit()
    assert quota(service, tenant, QuotaKind.MODEL_TOKENS).used == 150


def test_stored_vectors_are_compared_with_what_the_engine_counted(
    units: Units, service: QuotaService, tenant: UUID, cluster: Cluster
) -> None:
    service.set(tenant, QuotaKind.STORED_VECTORS, 100)
    with units(tenant) as unit:
        assert quotas.check_stored_vectors(unit, 90, 10) == 100
        unit.commit()
    with units(tenant) as unit, pytest.raises(QuotaExceeded, match="Delete some"):
        quotas.check_stored_vectors(unit, 91, 10)
    stored = quota(service, tenant, QuotaKind.STORED_VECTORS)
    assert (stored.used, stored.resets_at) == (90, None)
    assert told(cluster, tenant) == [{"quota": "stored_vectors", "allowed": 100}]


def test_only_operators_set_quotas_and_each_change_is_audited(
    service: QuotaService, tenant: UUID, cluster: Cluster, app_role: Database
) -> None:
    service.set(tenant, RUNS, 7)
    entries = cluster.query(
        "select action, details from audit_log where tenant_id = %s and object = %s", PLATFORM_TENANT, str(tenant)
    )
    assert [(entry["action"], entry["details"]) for entry in entries] == [
        ("tenant.quota_changed", {"quota": "runs", "allowed": 7})
    ]
    with pytest.raises(NotFound):
        service.set(new_id(), RUNS, 7)
    (rights,) = cluster.query(
        "select has_table_privilege('app', 'email_sender.tenant_quotas', 'insert,update,delete') as may"
    )
    assert not rights["may"]


def test_a_tenant_is_told_once_a_day_also_after_the_event_was_recorded(
    units: Units, service: QuotaService, tenant: UUID, cluster: Cluster
) -> None:
    service.set(tenant, RUNS, 0)
    with pytest.raises(QuotaExceeded):
        spend(units, tenant)
    # What the recorder does: it stores the event, and removes it from the outbox.
    cluster.execute(
        "with told as (delete from outbox where tenant_id = %s returning *) "
        "insert into events (id, type, payload, source, tenant_id, occurred_at) "
        "select id, type, detail, source, tenant_id, now() from told",
        tenant,
    )
    with pytest.raises(QuotaExceeded):
        spend(units, tenant)
    assert told(cluster, tenant) == []
