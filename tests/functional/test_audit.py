"""The audit log of tenants: written with each change, sealed, and verified against every kind of tampering."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import boto3
import psycopg
import pytest
from moto import mock_aws

from email_sender.adapters.aws.records import S3Records, S3Seals
from email_sender.adapters.postgres.audit import PostgresAudit, add_entry
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.managers import StoppedManagers
from email_sender.adapters.postgres.sealed_audit import PostgresSealedLog
from email_sender.adapters.postgres.sign_ins import PostgresSignIns
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.audit_seals import AuditSealer, Seal
from email_sender.errors import Forbidden
from email_sender.kit.system_clock import new_id, now
from email_sender.security.acting import PLATFORM, acting_as
from email_sender.workflows.model import Decision
from tests.database import Cluster
from tests.functional.workflow_scenario import ANN, WorkflowScenario


class MemorySeals:
    def __init__(self) -> None:
        self.kept: list[Seal] = []

    def put(self, _tenant_id: UUID, seal: Seal) -> None:
        self.kept.append(seal)

    def seals(self, _tenant_id: UUID) -> list[Seal]:
        return self.kept


class Log:
    """The log of one tenant, with what the owner of the database can do to it."""

    def __init__(self, cluster: Cluster, tenant: UUID) -> None:
        self.cluster, self.tenant, self.archive = cluster, tenant, MemorySeals()
        self.database = cluster.database("app", size=1)
        self.sealer = AuditSealer(PostgresSealedLog(self.database), self.archive, cluster.vault(self.database), now)

    def add(self, number: int) -> None:
        for index in range(number):
            with self.database.tenant(self.tenant) as conn:
                add_entry(conn, self.tenant, AuditEntry(now(), "ann", "thing.change", f"thing {index}"))
                conn.commit()

    def tamper(self, *statements: str) -> None:
        with self.cluster.connect_as_owner() as conn:
            for table in ("audit_log", "audit_seals"):
                conn.execute(f"alter table {table} disable trigger append_only".encode())
            for statement in statements:
                conn.execute(statement.encode(), [self.tenant])
            for table in ("audit_log", "audit_seals"):
                conn.execute(f"alter table {table} enable trigger append_only".encode())

    def verify(self) -> list[str]:
        return list(self.sealer.verify(self.tenant))


# The chain of all entries from the third, computed anew as the database does it.
REHASH = """
do $$ declare entry audit_log; last bytea; begin
    for entry in select * from audit_log where tenant_id = '{tenant}' order by sequence loop
        entry.previous := coalesce(last, ''::bytea);
        entry.hash := audit_hash(entry);
        last := entry.hash;
        update audit_log set previous = entry.previous, hash = entry.hash
        where tenant_id = entry.tenant_id and sequence = entry.sequence;
    end loop;
end $$
"""
CHANGE = "update audit_log set subject = 'nobody' where tenant_id = %s and sequence = 3"


@pytest.fixture
def log(cluster: Cluster, new_tenant: Callable[[], UUID]) -> Log:
    log = Log(cluster, new_tenant())
    log.add(4)
    assert log.sealer.seal(log.tenant)
    log.add(2)
    return log


def test_an_intact_log_is_verified(log: Log) -> None:
    assert log.verify() == []
    assert log.sealer.seal(log.tenant)
    assert not log.sealer.seal(log.tenant)
    assert [seal.sequence for seal in log.archive.kept] == [4, 6]
    assert log.verify() == []


def test_a_tenant_without_entries_has_no_seal(cluster: Cluster, new_tenant: Callable[[], UUID]) -> None:
    log = Log(cluster, new_tenant())
    assert not log.sealer.seal(log.tenant)
    assert log.verify() == []


def test_a_changed_entry_is_found(log: Log) -> None:
    log.tamper(CHANGE)
    assert log.verify() == ["The chain is broken at entry 3."]


def test_a_changed_entry_is_found_although_all_hashes_were_computed_anew(log: Log) -> None:
    log.tamper(CHANGE)
    log.cluster.execute("alter table email_sender.audit_log disable trigger append_only")
    with log.cluster.connect_as_owner() as conn:
        conn.execute(REHASH.replace("{tenant}", str(log.tenant)).encode())
    log.cluster.execute("alter table email_sender.audit_log enable trigger append_only")
    assert log.verify() == ["Entry 4, or one before it, was changed after it was sealed."]


def test_a_missing_beginning_is_found(log: Log) -> None:
    log.tamper("delete from audit_log where tenant_id = %s and sequence = 1")
    assert log.verify() == ["The chain is broken at entry 1."]


def test_a_missing_end_is_found_even_without_its_seal(log: Log) -> None:
    log.tamper(
        "delete from audit_log where tenant_id = %s and sequence > 3", "delete from audit_seals where tenant_id = %s"
    )
    assert log.verify() == ["Entry 4 was sealed, and is missing."]


def test_a_forged_seal_is_found(log: Log) -> None:
    log.archive.kept.append(replace(log.archive.kept[0], mac=b"x" * 32))
    assert log.verify() == ["The seal of entry 4 is forged."]


def test_a_seal_of_another_tenant_is_forged(log: Log, cluster: Cluster, new_tenant: Callable[[], UUID]) -> None:
    other = Log(cluster, new_tenant())
    other.add(4)
    other.archive.kept = log.archive.kept
    assert other.verify() == ["The seal of entry 4 is forged."]


def test_a_process_that_dies_after_the_object_leaves_a_valid_seal(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PostgresSealedLog, "add_seal", die)
        with pytest.raises(KeyboardInterrupt):
            log.sealer.seal(log.tenant)
    assert log.verify() == []
    assert log.sealer.seal(log.tenant)
    assert log.verify() == []


def test_the_application_can_change_no_seal(log: Log) -> None:
    for statement in ("update audit_seals set mac = ''", "delete from audit_seals"):
        with pytest.raises(Exception, match="permission denied"), log.database.tenant(log.tenant) as conn:
            conn.execute(statement.encode())


def test_seals_survive_their_way_through_the_bucket(log: Log) -> None:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="records")
        client.put_bucket_versioning(Bucket="records", VersioningConfiguration={"Status": "Enabled"})
        seals = S3Seals(S3Records(lambda: client, "records"))
        (seal,) = log.archive.kept
        seals.put(log.tenant, seal)
        assert seals.seals(log.tenant) == [seal]
        assert seals.seals(UUID(int=0)) == []
        # Under Object Lock, who overwrites or deletes an object only hides its version.
        (found,) = client.list_objects_v2(Bucket="records")["Contents"]
        client.delete_object(Bucket="records", Key=found["Key"])
        assert seals.seals(log.tenant) == [seal]
        client.put_object(Bucket="records", Key=found["Key"], Body=b"no seal")
        log.archive.kept = seals.seals(log.tenant)
    assert log.verify() == ["The seal of entry 0 is forged."]


def test_a_decision_is_audited_with_who_made_it(
    cluster: Cluster, app_role: Database, new_tenant: Callable[[], UUID]
) -> None:
    scenario = WorkflowScenario(cluster, PostgresWorkflowUnits(app_role, None, cluster.vault(app_role)), new_tenant())
    run = scenario.start_run()
    approval = scenario.request_approval(run)
    with acting_as(ANN.subject):
        scenario.approvals.decide(scenario.tenant, approval.id, Decision.APPROVED, None, ANN)
    entries = scenario.cluster.query(
        "select subject, action, object from audit_log where tenant_id = %s order by sequence", scenario.tenant
    )
    assert [(entry["subject"], entry["action"]) for entry in entries] == [
        (PLATFORM, "workflow.created"),
        ("ann", "approval.decided"),
    ]
    assert entries[1]["object"] == str(approval.id)


def test_the_gateway_records_sign_ins_and_can_read_nothing(cluster: Cluster, tenant: UUID) -> None:
    gateway = Database(lambda: cluster.conninfo("gateway"))
    try:
        log = PostgresSignIns(gateway)
        log.record(tenant, "ann")
        log.record(tenant, "bob")
        entries = cluster.query(
            "select sequence, subject, action from audit_log where tenant_id = %s order by sequence", tenant
        )
        assert [(entry["sequence"], entry["subject"], entry["action"]) for entry in entries] == [
            (1, "ann", "session.started"), (2, "bob", "session.started"),
        ]  # fmt: skip
        assert PostgresAudit(cluster.database("app")).broken_at(tenant) is None
        cluster.execute("update tenants set suspended_at = now() where id = %s", tenant)
        for refused in (tenant, new_id()):
            with pytest.raises(Forbidden):
                log.record(refused, "ann")
        assert list(StoppedManagers(gateway)()) == []
        for table in ("audit_log", "tenants", "contacts", "messages", "events", "data_keys"):
            with gateway.platform() as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"select * from {table}")
    finally:
        gateway.close()
