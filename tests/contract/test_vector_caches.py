"""The contract of embedding caches: in memory and in PostgreSQL."""

from array import array
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import psycopg
import pytest

from email_sender.adapters.memory_cache import MemoryEmbeddingCache
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.served_collections import PostgresWriteLock
from email_sender.adapters.postgres.vector_cache import PostgresEmbeddings
from email_sender.vectors.cache import EmbeddingCache

A, B, C = (sha256(text.encode()).digest() for text in "abc")
ONE, TWO = array("f", [0.25, -1.5]), array("f", [1e-30, 3.0])


@pytest.fixture(params=["memory", "postgres"])
def cache(request: pytest.FixtureRequest, app_role: Database) -> EmbeddingCache:
    return MemoryEmbeddingCache(10_000, 60) if request.param == "memory" else PostgresEmbeddings(app_role)


def test_stored_embeddings_are_returned_and_nothing_else(cache: EmbeddingCache, tenant: UUID) -> None:
    cache.put(tenant, "m", {A: ONE, B: TWO})
    assert cache.get(tenant, "m", [A, B, C]) == {A: ONE, B: TWO}
    assert cache.get(tenant, "m", [C]) == {}
    assert cache.get(tenant, "m", []) == {}


def test_models_and_tenants_are_separate(cache: EmbeddingCache, new_tenant: Callable[[], UUID]) -> None:
    tenant, other_tenant = new_tenant(), new_tenant()
    cache.put(tenant, "m/2", {A: ONE})
    assert cache.get(tenant, "n/2", [A]) == {}
    assert cache.get(other_tenant, "m/2", [A]) == {}
    cache.put(other_tenant, "m/2", {A: TWO})
    assert cache.get(tenant, "m/2", [A]) == {A: ONE}


def test_storing_again_changes_nothing(cache: EmbeddingCache, tenant: UUID) -> None:
    cache.put(tenant, "m", {A: ONE})
    cache.put(tenant, "m", {A: ONE, B: TWO})
    assert cache.get(tenant, "m", [A, B]) == {A: ONE, B: TWO}


def test_an_embedding_expires(app_role: Database, tenant: UUID) -> None:
    cache = PostgresEmbeddings(app_role, timedelta(seconds=-1))
    cache.put(tenant, "m", {A: ONE})
    assert cache.get(tenant, "m", [A]) == {}


def test_an_unreachable_database_acts_as_an_empty_cache(tenant: UUID) -> None:
    unreachable = Database(lambda: "host=127.0.0.1 port=9 user=app dbname=none", timeout=0.2)
    cache = PostgresEmbeddings(unreachable)
    cache.put(tenant, "m", {A: ONE})
    assert cache.get(tenant, "m", [A]) == {}
    unreachable.close()


@pytest.mark.parametrize("table", ["vector_writes", "embeddings"])
def test_rows_of_another_tenant_can_be_neither_read_nor_written(
    app_role: Database, new_tenant: Callable[[], UUID], table: str
) -> None:
    tenant, other_tenant = new_tenant(), new_tenant()
    collection = f"c{tenant.hex}"  # unique, because other tests switch collections, which all tenants share
    for tenant_id in (tenant, other_tenant):
        with PostgresWriteLock(app_role, lambda: None).hold(tenant_id, collection, collection, list):
            pass
        PostgresEmbeddings(app_role).put(tenant_id, "m", {A: ONE})
    with app_role.tenant(tenant) as conn:
        rows = conn.execute(f"select distinct tenant_id from {table}").fetchall()
    assert [row["tenant_id"] for row in rows] == [tenant]
    columns = {"vector_writes": "collection", "embeddings": "model, text_hash, vector, expires_at"}[table]
    copy = f"insert into {table} (tenant_id, {columns}) select %s, {columns} from {table}"
    with pytest.raises(psycopg.errors.InsufficientPrivilege), app_role.tenant(tenant) as conn:
        conn.execute(copy, [other_tenant])
