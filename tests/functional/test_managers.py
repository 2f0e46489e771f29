"""Concurrent operators, and an audit log that reveals tampering."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from email_sender.adapters.postgres.audit import PostgresAudit, add_entry
from email_sender.adapters.postgres.log_level import PostgresLogLevel, TemporaryLevel
from email_sender.adapters.postgres.managers import StoppedManagers, manager_units
from email_sender.adapters.postgres.platform_figures import read_figures
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import EventFactory
from email_sender.coordination.lifecycle import Desired, Lifecycle, Status
from email_sender.coordination.registry import Kind, Manager, ManagerGraph
from email_sender.errors import Conflict, InvalidInput
from tests.database import Cluster
from tests.fakes.managers import MemoryParts

AT = datetime(2026, 5, 4, tzinfo=UTC)
NAMES = ("race-a", "race-b")
GRAPH = ManagerGraph([Manager("race-a", Kind.CORE, ""), Manager("race-b", Kind.CORE, "", ("race-a",))])


def test_concurrent_operators_take_turns(cluster: Cluster) -> None:
    """In any order of changes, every manager ends in its desired status, and exactly the running ones are open."""
    parts = MemoryParts(NAMES)
    units = manager_units(cluster.database("platform", size=8), NAMES, None)
    with units() as unit:
        unit.save([manager_state.transition_to(Status.RUNNING, AT) for manager_state in unit.states().values()])
        unit.commit()
    lifecycle = Lifecycle(GRAPH, units, parts, EventFactory("coordinator", lambda: datetime.now(UTC), uuid4))
    unexpected_errors: list[Exception] = []

    def operate(subject: str, offset: int) -> None:
        for step in range(12):
            change = (lifecycle.stop, lifecycle.start, lifecycle.restart)[(step + offset) % 3]
            try:
                change(NAMES[step % 2], subject, cascade=True)
            except Conflict:
                continue
            except Exception as error:  # every unexpected error is reported below
                unexpected_errors.append(error)

    threads = [threading.Thread(target=operate, args=(f"op{number}", number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert unexpected_errors == []
        with units() as unit:
            states = unit.states()
        for name, state in states.items():
            expected_status = Status.STOPPED if state.desired is Desired.STOPPED else Status.RUNNING
            assert state.status is expected_status, state
            assert (name in parts.open_managers) is (expected_status is Status.RUNNING)
        assert not (states["race-b"].status is Status.RUNNING and states["race-a"].status is Status.STOPPED)
    finally:
        cluster.execute("delete from managers where name like 'race-%%'")
        cluster.execute("delete from outbox where detail->>'aggregate_id' like 'race-%%'")


@pytest.fixture
def tenant(cluster: Cluster) -> UUID:
    return cluster.new_tenant()


def add_entries(cluster: Cluster, tenant: UUID, number: int) -> PostgresAudit:
    database = cluster.database("app")
    for index in range(number):
        with database.tenant(tenant) as conn:
            entry = AuditEntry(AT, f"user{index}", "thing.change", "é'\"\\", {"index": index, "text": "a|b"})
            add_entry(conn, tenant, entry)
            conn.commit()
    return PostgresAudit(database)


def test_the_audit_chain_is_intact_and_paged_newest_first(cluster: Cluster, tenant: UUID) -> None:
    log = add_entries(cluster, tenant, 5)
    first_page = log.page(tenant, None, 2)
    second_page = log.page(tenant, first_page.next_cursor, 10)
    assert [row["sequence"] for row in (*first_page.items, *second_page.items)] == [5, 4, 3, 2, 1]
    assert second_page.next_cursor is None
    assert log.broken_at(tenant) is None
    assert log.page(cluster.new_tenant(), None, 10).items == []
    with pytest.raises(InvalidInput):
        log.page(tenant, "x", 2)


def test_concurrent_writers_produce_one_audit_chain(cluster: Cluster, tenant: UUID) -> None:
    threads = [threading.Thread(target=add_entries, args=(cluster, tenant, 5)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = PostgresAudit(cluster.database("app"))
    assert [row["sequence"] for row in log.page(tenant, None, 100).items] == list(range(30, 0, -1))
    assert log.broken_at(tenant) is None


@pytest.mark.parametrize(
    "tampering",
    [
        "update audit_log set details = '{}' where tenant_id = %s and sequence = 3",
        "update audit_log set subject = 'nobody' where tenant_id = %s and sequence = 3",
        "delete from audit_log where tenant_id = %s and sequence = 3",
    ],
)
def test_tampering_by_the_database_owner_is_detected(cluster: Cluster, tenant: UUID, tampering: str) -> None:
    log = add_entries(cluster, tenant, 5)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        cluster.execute(tampering, tenant)
    with cluster.connect_as_owner() as conn:
        conn.execute("alter table audit_log disable trigger append_only")
        conn.execute(tampering, [tenant])
        conn.execute("alter table audit_log enable trigger append_only")
    assert log.broken_at(tenant) in (3, 4)


def test_the_application_role_cannot_change_an_audit_entry(cluster: Cluster, tenant: UUID) -> None:
    add_entries(cluster, tenant, 1)
    for statement in ("update audit_log set subject = 'x'", "delete from audit_log"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), cluster.database("app").tenant(tenant) as conn:
            conn.execute(statement)


def test_the_figures_are_numbers(cluster: Cluster) -> None:
    figures = read_figures(cluster.database("platform"))
    assert figures["tables_not_sealed"] == 0
    assert figures["audit_broken_at"] is None
    assert all(value is None or isinstance(value, int | float) for value in figures.values())


def test_a_log_level_is_kept_before_any_manager_was_observed(cluster: Cluster) -> None:
    """On a platform that has just been deployed, the managers have no rows yet."""
    cluster.execute("delete from managers where name = 'logging-manager'")
    levels, applied = PostgresLogLevel(cluster.database("platform")), list[str | None]()
    try:
        for level in ("DEBUG", "ERROR"):
            changed = levels.change(level, timedelta(minutes=5), "op", datetime.now(UTC))
            assert levels.read() == changed
            StoppedManagers(cluster.database("app"), applied.append)()
        assert applied == ["DEBUG", "ERROR"]
        levels.change("DEBUG", timedelta(minutes=-1), "op", datetime.now(UTC))
        assert levels.read() == TemporaryLevel(None, None)
    finally:
        cluster.execute("delete from managers where name = 'logging-manager'")
