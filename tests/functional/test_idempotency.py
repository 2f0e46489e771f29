"""Idempotency keys on PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.errors import Conflict, InProgress, InvalidInput
from email_sender.kit.system_clock import new_id
from tests.database import Cluster

ROUTE = "POST /api/v1/contacts"
BODY, OTHER_BODY = b"a" * 32, b"b" * 32


@pytest.fixture
def store(app_role: Database) -> PostgresIdempotency:
    return PostgresIdempotency(app_role)


def test_a_repeat_returns_the_first_response_and_its_operation_id(store: PostgresIdempotency, tenant: UUID) -> None:
    operation = new_id()
    assert store.begin(tenant, "ann", ROUTE, "k", BODY, operation) == (operation, None)
    store.finish(tenant, "ann", ROUTE, "k", 201, b'{"id": 1}')
    assert store.begin(tenant, "ann", ROUTE, "k", BODY, new_id()) == (operation, (201, b'{"id": 1}'))


def test_another_body_is_refused_before_and_after_the_response(store: PostgresIdempotency, tenant: UUID) -> None:
    store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
    with pytest.raises(InvalidInput):
        store.begin(tenant, "ann", ROUTE, "k", OTHER_BODY, new_id())
    store.finish(tenant, "ann", ROUTE, "k", 201, b"{}")
    with pytest.raises(InvalidInput):
        store.begin(tenant, "ann", ROUTE, "k", OTHER_BODY, new_id())


def test_a_request_in_progress_is_a_conflict(store: PostgresIdempotency, tenant: UUID) -> None:
    store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
    with pytest.raises(InProgress, match="still in progress"):
        store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())


def test_an_expired_lease_is_taken_over_once_with_the_same_operation_id(
    store: PostgresIdempotency, cluster: Cluster, tenant: UUID
) -> None:
    operation = new_id()
    store.begin(tenant, "ann", ROUTE, "k", BODY, operation)
    cluster.execute("update idempotency set lease_until = now() - interval '1 second' where tenant_id = %s", tenant)
    assert store.begin(tenant, "ann", ROUTE, "k", BODY, new_id()) == (operation, None)
    with pytest.raises(Conflict):
        store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())


def test_an_expired_lease_is_not_taken_over_by_another_body(store: PostgresIdempotency, tenant: UUID) -> None:
    store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
    store.expire(tenant, "ann", ROUTE, "k")
    with pytest.raises(InvalidInput):
        store.begin(tenant, "ann", ROUTE, "k", OTHER_BODY, new_id())


@pytest.mark.parametrize("dead", [False, True], ids=["a new key", "a dead lease"])
def test_one_of_several_concurrent_requests_gets_the_key(store: PostgresIdempotency, tenant: UUID, dead: bool) -> None:
    if dead:
        store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
        store.expire(tenant, "ann", ROUTE, "k")
    barrier = Barrier(4)

    def try_begin(_: int) -> bool:
        barrier.wait()
        try:
            store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(try_begin, range(4))) == [False, False, False, True]


def test_a_forgotten_key_is_free_for_another_body(store: PostgresIdempotency, tenant: UUID) -> None:
    store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
    store.forget(tenant, "ann", ROUTE, "k")
    operation = new_id()
    assert store.begin(tenant, "ann", ROUTE, "k", OTHER_BODY, operation) == (operation, None)


def test_a_key_expires_after_a_day(store: PostgresIdempotency, cluster: Cluster, tenant: UUID) -> None:
    store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
    store.finish(tenant, "ann", ROUTE, "k", 201, b"{}")
    cluster.execute("update idempotency set created_at = now() - interval '25 hours' where tenant_id = %s", tenant)
    operation = new_id()
    assert store.begin(tenant, "ann", ROUTE, "k", OTHER_BODY, operation) == (operation, None)
    with pytest.raises(InvalidInput):
        store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())


def test_keys_are_separate_by_tenant_subject_and_route(
    store: PostgresIdempotency, tenant: UUID, new_tenant: Callable[[], UUID]
) -> None:
    store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
    for scope in ((new_tenant(), "ann", ROUTE), (tenant, "bob", ROUTE), (tenant, "ann", "PUT /api/v1/other")):
        operation = new_id()
        assert store.begin(*scope, "k", OTHER_BODY, operation) == (operation, None)


def test_with_a_vault_the_response_is_stored_encrypted_and_returned_in_clear(
    app_role: Database, cluster: Cluster, tenant: UUID
) -> None:
    store = PostgresIdempotency(app_role, cluster.vault(app_role))
    store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
    store.finish(tenant, "ann", ROUTE, "k", 201, b'{"email": "eve@example.org"}')
    (row,) = cluster.query("select response from idempotency where tenant_id = %s", tenant)
    assert b"eve@" not in row["response"]
    _, response = store.begin(tenant, "ann", ROUTE, "k", BODY, new_id())
    assert response == (201, b'{"email": "eve@example.org"}')
