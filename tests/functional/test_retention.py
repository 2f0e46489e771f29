"""Retention of messages and runs on PostgreSQL."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import repeat
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.retention import PostgresRetention
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.errors import Unavailable
from email_sender.kit.system_clock import new_id, now
from email_sender.security.retention import RetainedKind, RetentionEnforcer, RetentionService
from tests.database import Cluster

ALWAYS = repeat(True).__next__


class Scenario:
    def __init__(self, cluster: Cluster, database: Database, tenant: UUID) -> None:
        self.cluster, self.tenant = cluster, tenant
        self.store = PostgresRetention(Units(database, None))
        self.service = RetentionService(self.store, now)
        self.deleted_points: list[UUID] = []

    def enforcer(self, delete_points: Callable[[UUID, list[UUID]], None] | None = None) -> RetentionEnforcer:
        def record(_tenant: UUID, ids: list[UUID]) -> None:
            self.deleted_points += ids

        return RetentionEnforcer(self.store, self.store, delete_points or record, now)

    def add_message(self, sent_at: datetime | None, created_at: datetime) -> UUID:
        message = new_id()
        self.cluster.execute(
            "insert into messages (id, tenant_id, import_id, message_hash, sent_at, created_at, content_enc) "
            "values (%s, %s, %s, %s, %s, %s, '')",
            message, self.tenant, new_id(), message.bytes, sent_at, created_at,
        )  # fmt: skip
        return message

    def add_run(self, finished_at: datetime | None) -> UUID:
        workflow, run = new_id(), new_id()
        self.cluster.execute(
            "insert into workflows (id, tenant_id, name, definition) values (%s, %s, %s, '{}')",
            workflow, self.tenant, str(workflow),
        )  # fmt: skip
        status = "succeeded" if finished_at else "running"
        self.cluster.execute(
            "insert into runs "
            "(id, tenant_id, workflow_id, version, status, inputs, started_by, role, finished_at, error) "
            "values (%s, %s, %s, 1, %s, %s, 'ann', 'user', %s, %s)",
            run, self.tenant, workflow, status, Jsonb({"to": "ada@example.org"}), finished_at, Jsonb({"cause": "x"}),
        )  # fmt: skip
        self.cluster.execute(
            "insert into run_steps (tenant_id, run_id, step, action, status, result, started_at) "
            "values (%s, %s, 's', 'a', 'succeeded', %s, now())",
            self.tenant, run, Jsonb({"email": "ada@example.org"}),
        )  # fmt: skip
        return run

    def messages(self) -> set[UUID]:
        return {row["id"] for row in self.cluster.query("select id from messages where tenant_id = %s", self.tenant)}

    def runs_with_content(self) -> set[UUID]:
        return {
            row["id"]
            for row in self.cluster.query(
                "select r.id from runs r join run_steps s on s.run_id = r.id where r.tenant_id = %s "
                "and r.inputs <> '{}' and r.error is not null and s.result is not null",
                self.tenant,
            )
        }


@pytest.fixture
def scenario(cluster: Cluster, app_role: Database, tenant: UUID) -> Scenario:
    return Scenario(cluster, app_role, tenant)


def ago(days: int) -> datetime:
    return now() - timedelta(days=days)


def test_messages_older_than_the_tenant_keeps_them_are_deleted_with_their_points(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetentionEnforcer, "_BATCH", 2)
    old = {scenario.add_message(ago(40), ago(2)) for _ in range(5)}
    # A message without a date counts from when it was archived.
    old.add(scenario.add_message(None, ago(40)))
    kept = {scenario.add_message(ago(20), ago(40)), scenario.add_message(None, ago(20))}
    # It came today, whatever date it claims.
    kept.add(scenario.add_message(ago(4000), ago(0)))
    assert scenario.enforcer().enforce(scenario.tenant, ALWAYS) == {}
    scenario.service.set_days(scenario.tenant, {RetainedKind.MESSAGES: 30, RetainedKind.RUNS: None})
    assert scenario.enforcer().enforce(scenario.tenant, ALWAYS) == {RetainedKind.MESSAGES: 6}
    assert scenario.messages() == kept
    assert set(scenario.deleted_points) == old
    assert scenario.enforcer().enforce(scenario.tenant, ALWAYS) == {RetainedKind.MESSAGES: 0}


def test_a_message_stays_until_its_point_is_gone(scenario: Scenario) -> None:
    message = scenario.add_message(ago(40), ago(40))
    scenario.service.set_days(scenario.tenant, {RetainedKind.MESSAGES: 30})

    def fail(_tenant: UUID, _ids: list[UUID]) -> None:
        raise Unavailable("The engine did not respond.")

    with pytest.raises(Unavailable):
        scenario.enforcer(fail).enforce(scenario.tenant, ALWAYS)
    assert scenario.messages() == {message}
    assert scenario.enforcer().enforce(scenario.tenant, ALWAYS) == {RetainedKind.MESSAGES: 1}


def test_runs_lose_their_content_and_stay_as_a_record(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetentionEnforcer, "_BATCH", 2)
    old = {scenario.add_run(ago(40)) for _ in range(3)}
    goes_on = scenario.add_run(None)
    kept = {scenario.add_run(ago(20)), goes_on}
    for run in old | kept:
        scenario.cluster.execute(
            "insert into conversations select tenant_id, workflow_id, '', id, '', 0, now(), '' from runs where id = %s",
            run,
        )
        scenario.cluster.execute(
            "insert into stored_items select tenant_id, id, 0, id, 's', 0, 1, '{}', '' from runs where id = %s", run
        )
    # An open run uses the items of the one that it goes on from.
    needed = min(old)
    scenario.cluster.execute("update runs set lineage = array[%s::uuid] where id = %s", needed, goes_on)
    scenario.service.set_days(scenario.tenant, {RetainedKind.RUNS: 30})
    assert scenario.enforcer().enforce(scenario.tenant, ALWAYS) == {RetainedKind.RUNS: 3}
    assert scenario.runs_with_content() == kept
    said = scenario.cluster.query("select run_id from conversations where tenant_id = %s", scenario.tenant)
    assert {row["run_id"] for row in said} == kept
    items = scenario.cluster.query("select run_id from stored_items where tenant_id = %s", scenario.tenant)
    assert {row["run_id"] for row in items} == kept | {needed}
    rows = scenario.cluster.query("select id from runs where tenant_id = %s", scenario.tenant)
    assert {row["id"] for row in rows} == old | kept
    assert scenario.enforcer().enforce(scenario.tenant, ALWAYS) == {RetainedKind.RUNS: 0}
    # It ends, and keeps its content, with which it can be retried; then it loses that, too.
    for days, left in ((20, kept | {needed}), (40, kept - {goes_on})):
        scenario.cluster.execute(
            "update runs set status = 'failed', finished_at = now() - make_interval(days => %s) where id = %s",
            days,
            goes_on,
        )
        scenario.enforcer().enforce(scenario.tenant, ALWAYS)
        items = scenario.cluster.query("select run_id from stored_items where tenant_id = %s", scenario.tenant)
        assert {row["run_id"] for row in items} == left


def test_changes_are_audited_and_another_tenants_data_stays(
    scenario: Scenario, cluster: Cluster, app_role: Database, new_tenant: Callable[[], UUID]
) -> None:
    other = Scenario(cluster, app_role, new_tenant())
    message = other.add_message(ago(40), ago(40))
    days = scenario.service.set_days(scenario.tenant, {RetainedKind.MESSAGES: 30, RetainedKind.RUNS: 1})
    assert days == {RetainedKind.MESSAGES: 30, RetainedKind.RUNS: 1}
    assert scenario.service.set_days(scenario.tenant, {RetainedKind.RUNS: None})[RetainedKind.RUNS] is None
    scenario.enforcer().enforce(scenario.tenant, ALWAYS)
    assert other.messages() == {message}
    entries = cluster.query(
        "select object, details from audit_log where tenant_id = %s order by sequence", scenario.tenant
    )
    assert [(entry["object"], entry["details"]["days"]) for entry in entries] == [
        ("messages", 30), ("runs", 1), ("runs", None),
    ]  # fmt: skip


def test_what_an_open_run_may_need_stays_until_it_ends(scenario: Scenario) -> None:
    long_gone, when_it_began = scenario.add_message(ago(60), ago(60)), scenario.add_message(ago(35), ago(35))
    came_since = scenario.add_message(ago(50), ago(5))
    run = scenario.add_run(None)
    scenario.cluster.execute("update runs set created_at = %s where id = %s", ago(10), run)
    scenario.service.set_days(scenario.tenant, {RetainedKind.MESSAGES: 30})
    scenario.enforcer().enforce(scenario.tenant, ALWAYS)
    assert scenario.messages() == {when_it_began, came_since}
    assert scenario.deleted_points == [long_gone]
    scenario.cluster.execute("update runs set status = 'succeeded' where id = %s", run)
    scenario.enforcer().enforce(scenario.tenant, ALWAYS)
    assert scenario.messages() == set()


def test_nothing_is_deleted_while_an_import_writes(scenario: Scenario) -> None:
    message = scenario.add_message(ago(60), ago(60))
    scenario.cluster.execute(
        "insert into imports (id, tenant_id, kind, status, file_name, size_bytes, object_key, created_by) "
        "values (%s, %s, 'mailbox', 'processing', 'f', 1, 'k', 'ann')",
        new_id(), scenario.tenant,
    )  # fmt: skip
    scenario.service.set_days(scenario.tenant, {RetainedKind.MESSAGES: 30})
    assert scenario.enforcer().enforce(scenario.tenant, ALWAYS) == {RetainedKind.MESSAGES: 0}
    assert scenario.messages() == {message}
