"""The export of the audit log for a SIEM: real entries, checked against the models of OCSF."""

import gzip
import json
from typing import Any
from uuid import UUID

import boto3
import pytest
from moto import mock_aws
from py_ocsf_models.events.findings.detection_finding import DetectionFinding  # type: ignore[import-untyped]
from py_ocsf_models.events.findings.severity_id import SeverityID  # type: ignore[import-untyped]

from email_sender.adapters.aws.records import S3Findings
from email_sender.adapters.postgres.audit_export import PostgresExportedLog
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.coordination import findings
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.findings import FindingExporter
from email_sender.kit.system_clock import now
from email_sender.security.acting import acting_as


def write(units: Units, tenant: UUID, *actions: str) -> None:
    with units(tenant) as unit, acting_as("ann"):
        for action in actions:
            unit.audit(now(), action, "someone", {"role": "admin"})
        unit.commit()


def test_entries_are_exported_once_as_valid_findings(
    app_role: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "_BATCH", 2)
    units = Units(app_role, None)
    write(units, tenant, "member.role", "access.denied", "something.else")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="siem")
        exporter = FindingExporter(PostgresExportedLog(app_role), S3Findings(lambda: s3, "siem").put, "1.2.3", now)
        assert exporter.export(tenant) == 3
        assert exporter.export(tenant) == 0
        write(units, tenant, "member.remove")
        assert exporter.export(tenant) == 1
        keys = [found["Key"] for found in s3.list_objects_v2(Bucket="siem")["Contents"]]
        documents: list[dict[str, Any]] = []
        for key in sorted(keys):
            body = gzip.decompress(s3.get_object(Bucket="siem", Key=key)["Body"].read())
            documents += [json.loads(line) for line in body.splitlines()]
    assert len(keys) == 3
    parsed = [DetectionFinding.model_validate(document) for document in documents]
    assert [(one.metadata.event_code, one.severity_id) for one in parsed] == [
        ("member.role", SeverityID.Low),
        ("access.denied", SeverityID.Medium),
        ("something.else", SeverityID.Informational),
        ("member.remove", SeverityID.Low),
    ]
    assert {one.metadata.tenant_uid for one in parsed} == {str(tenant)}
    assert [one.metadata.sequence for one in parsed] == [1, 2, 3, 4]
    assert documents[0]["unmapped"] == {"object": "someone", "details": {"role": "admin"}}
    # What is not a field of the class would be lost in a SIEM.
    assert set(documents[0]) <= set(DetectionFinding.model_fields)


def test_an_interrupted_export_stores_the_same_object_again(app_role: Database, tenant: UUID) -> None:
    write(Units(app_role, None), tenant, "member.role")
    log, stored = PostgresExportedLog(app_role), list[tuple[int, int]]()

    class Dying(PostgresExportedLog):
        def mark_exported(self, tenant_id: UUID, sequence: int) -> None:
            raise RuntimeError("killed")

    def put(_tenant: UUID, first: int, last: int, _lines: object) -> None:
        stored.append((first, last))

    with pytest.raises(RuntimeError):
        FindingExporter(Dying(app_role), put, "1", now).export(tenant)
    assert FindingExporter(log, put, "1", now).export(tenant) == 1
    assert stored == [(1, 1), (1, 1)]


def test_findings_have_no_addresses(tenant: UUID) -> None:
    entry = AuditEntry(now(), "ann", "member.invite", "bob@studio.example", {"role": "user"})
    assert "bob@" not in json.dumps(findings.finding(tenant, 1, entry, "1"))
