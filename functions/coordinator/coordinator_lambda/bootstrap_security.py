"""Composition root of tenants, their people, their keys and the records of the coordinator."""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from coordinator_lambda.bootstrap import app_database, bus, platform, units
from email_sender.adapters.aws.cognito_members import CognitoMembers
from email_sender.adapters.aws.records import S3Erasures, S3Findings, S3Records, S3Seals
from email_sender.adapters.aws.step_functions import StepFunctionsRotations
from email_sender.adapters.postgres.audit_export import PostgresExportedLog
from email_sender.adapters.postgres.data_keys import PostgresKeyVersions
from email_sender.adapters.postgres.quotas import PostgresQuotas
from email_sender.adapters.postgres.retention import PostgresRetention
from email_sender.adapters.postgres.sealed_audit import PostgresSealedLog
from email_sender.adapters.postgres.tenants import PostgresTenants
from email_sender.coordination.audit_seals import AuditSealer
from email_sender.coordination.events import EventFactory
from email_sender.coordination.findings import FindingExporter
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import DatabaseSettings, NonEmpty, Settings, VaultSettings
from email_sender.kit.resources import key_wrapper
from email_sender.kit.system_clock import new_id, now
from email_sender.security.key_rotation import KeyRotation, KeyService
from email_sender.security.members import MemberService
from email_sender.security.quotas import QuotaService
from email_sender.security.retention import RetentionService
from email_sender.security.tenants import TenantService

if TYPE_CHECKING:
    from email_sender.adapters.postgres.erasures import PostgresErasureLog

_EVENTS = EventFactory("security", now, new_id)


@cache
def tenant_service() -> TenantService:
    return TenantService(PostgresTenants(platform(), bus(), _EVENTS), now)


class PeopleSettings(Settings):
    user_pool_id: str = ""
    """Cognito user pool; empty: another issuer has the people."""
    passkeys: Literal["on", "off"] = "off"
    """Whether the user pool takes passkeys."""


@cache
def member_service() -> MemberService:
    people = PeopleSettings.from_environment()
    directory = CognitoMembers(lambda: client("cognito-idp"), people.user_pool_id, has_passkeys=people.passkeys == "on")
    return MemberService(directory, units(), now)


class RecordSettings(DatabaseSettings, VaultSettings):
    audit_records_bucket: NonEmpty
    """Bucket of the seals of the audit log, under Object Lock."""
    export_findings: Literal["on", "off"] = "off"
    """Whether the audit logs are exported for a SIEM."""
    backups_bucket: NonEmpty
    """Bucket of backups, which also has the records of erasures."""


@cache
def audit_sealer() -> AuditSealer:
    # Imported late, because only RecordsFunction needs encryption and has the layer with it.
    from email_sender.adapters.postgres.vault import PostgresVault

    settings = RecordSettings.from_environment()
    vault = PostgresVault(app_database(), key_wrapper(settings))
    seals = S3Seals(S3Records(lambda: client("s3"), settings.audit_records_bucket))
    return AuditSealer(PostgresSealedLog(app_database()), seals, vault, now)


@cache
def finding_exporter() -> FindingExporter | None:
    """Return the exporter for a SIEM, or None if the deployment has none."""
    settings = RecordSettings.from_environment()
    if settings.export_findings != "on":
        return None
    bucket = S3Findings(lambda: client("s3"), settings.audit_records_bucket)
    return FindingExporter(PostgresExportedLog(app_database()), bucket.put, settings.version, now)


@cache
def erasure_log() -> "PostgresErasureLog":
    from email_sender.adapters.postgres.erasures import PostgresErasureLog

    return PostgresErasureLog(app_database())


@cache
def erasure_records() -> S3Erasures:
    return S3Erasures(S3Records(lambda: client("s3"), RecordSettings.from_environment().backups_bucket))


@cache
def quota_service() -> QuotaService:
    return QuotaService(PostgresQuotas(platform()), now)


@cache
def retention_service() -> RetentionService:
    return RetentionService(PostgresRetention(units()), now)


class RotationMachineSettings(Settings):
    key_rotation_machine_arn: NonEmpty
    """State machine that rotates a tenant's key."""


@cache
def _rotations() -> StepFunctionsRotations:
    machine = RotationMachineSettings.from_environment().key_rotation_machine_arn
    return StepFunctionsRotations(lambda: client("stepfunctions"), machine)


@cache
def key_service() -> KeyService:
    return KeyService(PostgresKeyVersions(units()), _rotations(), now)


class KeyRotationSettings(VaultSettings):
    key_rotation_days: Annotated[int, Field(ge=1)]
    """Days after which a tenant gets a new data key."""
    key_activation_seconds: Annotated[int, Field(ge=0)]
    """Seconds until a new data key encrypts."""


@cache
def key_rotation_settings() -> KeyRotationSettings:
    return KeyRotationSettings.from_environment()


@cache
def key_rotation() -> KeyRotation:
    # Imported late, because only KeyRotationFunction needs encryption and has the layer with it.
    from email_sender.adapters.postgres.key_rotation import PostgresKeyRotation
    from email_sender.adapters.postgres.vault import PostgresVault

    settings = key_rotation_settings()
    wrapper = key_wrapper(settings)
    store = PostgresKeyRotation(units(), PostgresVault(app_database(), wrapper), wrapper, _EVENTS)
    return KeyRotation(store, _rotations(), timedelta(seconds=settings.key_activation_seconds), now)
