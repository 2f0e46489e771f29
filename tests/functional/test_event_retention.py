"""Events past their time go by the month, and no other does."""

import psycopg
import pytest

from email_sender.kit.ambient import new_id
from tests.database import Cluster


def months(cluster: Cluster) -> set[str]:
    rows = cluster.look(
        "select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid "
        "where i.inhparent = 'email_sender.events'::regclass and c.relname <> 'events_default'"
    )
    return {row["name"] for row in rows}


def store(cluster: Cluster, age: str) -> str:
    event = new_id()
    cluster.do(
        "insert into events (id, type, payload, source, tenant_id, occurred_at) "
        "values (%s, 'aged', '{}', 'x', %s, date_trunc('month', now()) + interval '1 day' - %s::interval)",
        event,
        new_id(),
        age,
    )
    return str(event)


def drop(cluster: Cluster, kept: int) -> int:
    with cluster.database("platform").platform() as conn:
        row = conn.execute("select drop_event_partitions(%s) as dropped", [kept]).fetchone()
        conn.commit()
    assert row is not None
    return int(row["dropped"])


def test_whole_months_go_and_what_is_kept_stays(cluster: Cluster) -> None:
    cluster.do("select ensure_event_partitions((current_date - interval '5 months')::date, 5)")
    before = months(cluster)
    young, old = store(cluster, "2 months"), store(cluster, "5 months")
    # Before any partition: in the default one.
    ancient = store(cluster, "10 years")
    assert drop(cluster, 3) == 2
    left = {str(row["id"]) for row in cluster.look("select id from events where type = 'aged'")}
    assert young in left
    assert not {old, ancient} & left
    assert len(before - months(cluster)) == 2
    assert drop(cluster, 3) == 0


def test_nobody_empties_the_log_by_mistake(cluster: Cluster) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        drop(cluster, 0)
    with cluster.database("app").platform() as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("select drop_event_partitions(13)")
