"""Two operators at once, and an audit log that shows what was done to it."""

import threading
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from email_sender.adapters.postgres.audit import PostgresAudit, add_entry
from email_sender.adapters.postgres.figures import read_figures
from email_sender.adapters.postgres.managers import manager_units
from email_sender.coordination.auditing import AuditEntry
from email_sender.coordination.managers import Desired, Lifecycle, Status
from email_sender.coordination.registry import Graph, Kind, Manager
from email_sender.errors import Conflict, InvalidInput
from tests.database import Cluster
from tests.fakes.managers import MemoryParts

AT = datetime(2026, 5, 4, tzinfo=UTC)
NAMES = ("race-a", "race-b")
GRAPH = Graph([Manager("race-a", Kind.CORE, ""), Manager("race-b", Kind.CORE, "", ("race-a",))])


def test_two_operators_at_once_take_turns(cluster: Cluster) -> None:
    """Whatever the order, what is wanted is what is done, and what is open is what runs."""
    parts = MemoryParts(NAMES)
    units = manager_units(cluster.database("platform", size=8), NAMES, None)
    with units() as unit:
        unit.save([each.moved(Status.RUNNING, AT) for each in unit.states().values()])
        unit.commit()
    lives = Lifecycle(GRAPH, units, parts, lambda: datetime.now(UTC))
    surprises: list[Exception] = []

    def operate(subject: str, offset: int) -> None:
        for step in range(12):
            change = (lives.stop, lives.start, lives.restart)[(step + offset) % 3]
            try:
                change(NAMES[step % 2], subject, cascade=True)
            except Conflict:
                continue
            except Exception as error:  # whatever it is, it is shown below
                surprises.append(error)

    threads = [threading.Thread(target=operate, args=(f"op{number}", number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert surprises == []
        with units() as unit:
            states = unit.states()
        for name, state in states.items():
            wanted = Status.STOPPED if state.desired is Desired.STOPPED else Status.RUNNING
            assert state.status is wanted, state
            assert (name in parts.open_ones) is (wanted is Status.RUNNING)
        assert not (states["race-b"].status is Status.RUNNING and states["race-a"].status is Status.STOPPED)
    finally:
        cluster.do("delete from managers where name like 'race-%%'")
        cluster.do("delete from outbox where detail->>'aggregate_id' like 'race-%%'")


@pytest.fixture
def tenant(cluster: Cluster) -> UUID:
    return cluster.new_tenant()


def fill(cluster: Cluster, tenant: UUID, number: int) -> PostgresAudit:
    database = cluster.database("app")
    for index in range(number):
        with database.tenant(tenant) as conn:
            entry = AuditEntry(AT, f"user{index}", "thing.change", "é'\"\\", {"index": index, "text": "a|b"})
            add_entry(conn, tenant, entry)
            conn.commit()
    return PostgresAudit(database)


def test_the_chain_is_whole_and_read_newest_first_page_by_page(cluster: Cluster, tenant: UUID) -> None:
    log = fill(cluster, tenant, 5)
    first = log.page(tenant, None, 2)
    rest = log.page(tenant, first.next_cursor, 10)
    assert [row["sequence"] for row in (*first.items, *rest.items)] == [5, 4, 3, 2, 1]
    assert rest.next_cursor is None
    assert log.broken_at(tenant) is None
    assert log.page(cluster.new_tenant(), None, 10).items == []
    with pytest.raises(InvalidInput):
        log.page(tenant, "x", 2)


def test_who_writes_at_once_makes_one_chain(cluster: Cluster, tenant: UUID) -> None:
    threads = [threading.Thread(target=fill, args=(cluster, tenant, 5)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = PostgresAudit(cluster.database("app"))
    assert [row["sequence"] for row in log.page(tenant, None, 100).items] == list(range(30, 0, -1))
    assert log.broken_at(tenant) is None


@pytest.mark.parametrize(
    "harm",
    [
        "update audit_log set details = '{}' where tenant_id = %s and sequence = 3",
        "update audit_log set subject = 'nobody' where tenant_id = %s and sequence = 3",
        "delete from audit_log where tenant_id = %s and sequence = 3",
    ],
)
def test_harm_done_past_every_wall_is_seen(cluster: Cluster, tenant: UUID, harm: str) -> None:
    log = fill(cluster, tenant, 5)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        cluster.do(harm, tenant)
    with cluster.owner() as conn:
        conn.execute("alter table audit_log disable trigger append_only")
        conn.execute(harm, [tenant])
        conn.execute("alter table audit_log enable trigger append_only")
    assert log.broken_at(tenant) in (3, 4)


def test_nobody_changes_an_entry_by_their_role(cluster: Cluster, tenant: UUID) -> None:
    fill(cluster, tenant, 1)
    for statement in ("update audit_log set subject = 'x'", "delete from audit_log"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), cluster.database("app").tenant(tenant) as conn:
            conn.execute(statement)


def test_the_figures_are_numbers_and_the_role_sees_no_more(cluster: Cluster) -> None:
    figures = read_figures(cluster.database("platform"))
    assert figures["tables_not_sealed"] == 0
    assert figures["audit_broken_at"] is None
    assert all(value is None or isinstance(value, int | float) for value in figures.values())
