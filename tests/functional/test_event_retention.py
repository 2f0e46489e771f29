"""Event partitions past their retention are dropped month by month, and no others."""

import psycopg
import pytest

from email_sender.kit.system_clock import new_id
from tests.database import Cluster


def event_partitions(cluster: Cluster) -> set[str]:
    rows = cluster.query(
        "select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid "
        "where i.inhparent = 'email_sender.events'::regclass and c.relname <> 'events_default'"
    )
    return {row["name"] for row in rows}


def store_event(cluster: Cluster, age: str) -> str:
    event = new_id()
    cluster.execute(
        "insert into events (id, type, payload, source, tenant_id, occurred_at) "
        "values (%s, 'aged', '{}', 'x', %s, date_trunc('month', now()) + interval '1 day' - %s::interval)",
        event,
        new_id(),
        age,
    )
    return str(event)


def drop_partitions(cluster: Cluster, retained_months: int) -> int:
    with cluster.database("platform").platform() as conn:
        row = conn.execute("select drop_event_partitions(%s) as dropped", [retained_months]).fetchone()
        conn.commit()
    assert row is not None
    return int(row["dropped"])


def test_partitions_past_the_retention_are_dropped_and_the_rest_stays(cluster: Cluster) -> None:
    cluster.execute("select ensure_event_partitions((current_date - interval '5 months')::date, 5)")
    before = event_partitions(cluster)
    recent_id, old_id = store_event(cluster, "2 months"), store_event(cluster, "5 months")
    # Older than every partition, so it is stored in the default partition.
    ancient_id = store_event(cluster, "10 years")
    assert drop_partitions(cluster, 3) == 2
    remaining_ids = {str(row["id"]) for row in cluster.query("select id from events where type = 'aged'")}
    assert recent_id in remaining_ids
    assert not {old_id, ancient_id} & remaining_ids
    assert len(before - event_partitions(cluster)) == 2
    assert drop_partitions(cluster, 3) == 0


def test_the_event_log_cannot_be_emptied_by_mistake(cluster: Cluster) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        drop_partitions(cluster, 0)
    with cluster.database("app").platform() as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("select drop_event_partitions(13)")
