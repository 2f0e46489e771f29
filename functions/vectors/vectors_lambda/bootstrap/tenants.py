"""Composition root of the deletion of tenants."""

from contextlib import suppress
from functools import cache
from uuid import UUID

from pydantic import Field

from email_sender.adapters.aws.cognito_members import CognitoMembers
from email_sender.adapters.aws.eventbridge import EventBridgeBus
from email_sender.adapters.aws.step_functions import StepFunctionsEngine
from email_sender.adapters.aws.trigger_scheduler import EventBridgeTriggerScheduler, TriggerTarget
from email_sender.adapters.postgres.tenant_deletion import PostgresDeletedTenants, TenantContents
from email_sender.coordination.events import EventFactory
from email_sender.errors import NotFound
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import BusSettings, NonEmpty, VaultSettings
from email_sender.kit.resources import platform_database, wrapping_keys
from email_sender.kit.system_clock import new_id, now
from email_sender.security.tenant_deletion import TenantDeletion
from email_sender.vectors.model import Delete, Filter, PointSelector
from vectors_lambda.bootstrap.core import app_database, point_writer, served_collections, uploads

_EVENTS = EventFactory("security", now, new_id)


class DeletionSettings(VaultSettings, BusSettings):
    states_arn_prefix: NonEmpty
    """Start of the ARNs of Step Functions in this account and region."""
    machine_prefix: str = Field(default="email-sender", max_length=30)
    """Prefix of the names of the tenants' state machines."""
    user_pool_id: str = ""
    """Cognito user pool; empty: another issuer has the people."""


@cache
def _settings() -> DeletionSettings:
    return DeletionSettings.from_environment()


@cache
def tenant_deletion() -> TenantDeletion:
    bus = EventBridgeBus(lambda: client("events"), _settings().event_bus)
    tenants = PostgresDeletedTenants(platform_database(), bus, _EVENTS)
    # People first, who could sign in, and what starts runs.
    parts = [_delete_people, _delete_triggers, _delete_machines, _delete_uploads, _delete_points]
    return TenantDeletion(tenants, wrapping_keys(_settings()), parts, now)


@cache
def _contents() -> TenantContents:
    return TenantContents(app_database())


def _delete_people(tenant_id: UUID) -> None:
    pool = _settings().user_pool_id
    if pool:
        CognitoMembers(lambda: client("cognito-idp"), pool).remove_all(tenant_id)


def _delete_triggers(tenant_id: UUID) -> None:
    # Deleting needs neither the queue nor the role of schedules.
    target = TriggerTarget(_settings().event_bus, "", "", _settings().machine_prefix)
    scheduler = EventBridgeTriggerScheduler(lambda: client("events"), lambda: client("scheduler"), target)
    for trigger in _contents().triggers(tenant_id):
        scheduler.delete(trigger)


def _delete_machines(tenant_id: UUID) -> None:
    engine = StepFunctionsEngine(lambda: client("stepfunctions"), _settings().states_arn_prefix, "")
    for workflow_id, version in _contents().workflow_versions(tenant_id):
        engine.remove(f"{_settings().machine_prefix}-{workflow_id}-v{version}")


def _delete_uploads(tenant_id: UUID) -> None:
    for key in _contents().upload_keys(tenant_id):
        name = key.removeprefix("imports/")
        for stored_key in (key, f"{key}/payloads", f"unpacked/{name}", f"plans/{name}.json"):
            with suppress(NotFound):
                uploads().delete(stored_key)


def _delete_points(tenant_id: UUID) -> None:
    for collection in served_collections():
        point_writer().write(tenant_id, collection, [Delete(PointSelector(filter=Filter()))])
