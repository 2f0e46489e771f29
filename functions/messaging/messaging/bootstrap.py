"""The composition root: what this area's functions are built of, once a sandbox."""

from functools import cache

from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.ses import SesProvider
from email_sender.adapters.vault import PostgresVault
from email_sender.coordination.gate import Gate
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BusSettings, DatabaseSettings, NonEmpty, VaultSettings
from email_sender.kit.gate import gate_of
from email_sender.kit.links import unsubscribe_links
from email_sender.kit.resources import database, key_wrapper
from email_sender.messaging.contacts import ContactService
from email_sender.messaging.sending import SendService
from email_sender.messaging.templates import TemplateService


class Settings(DatabaseSettings, BusSettings, VaultSettings):
    configuration_set: NonEmpty


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def _database() -> Database:
    return database(settings())


@cache
def _bus() -> EventBridgeBus:
    return EventBridgeBus(lambda: client("events"), settings().event_bus)


@cache
def _vault() -> PostgresVault:
    return PostgresVault(_database(), key_wrapper(settings()))


@cache
def _units() -> PostgresMessagingUnits:
    return PostgresMessagingUnits(_database(), _vault(), _bus())


@cache
def workflow_units() -> PostgresWorkflowUnits:
    return PostgresWorkflowUnits(_database(), _bus())


@cache
def contact_service() -> ContactService:
    return ContactService(_units(), unsubscribe_links(), now, new_id)


@cache
def template_service() -> TemplateService:
    from email_sender.adapters.jinja_renderer import JinjaRenderer

    return TemplateService(_units(), JinjaRenderer(), unsubscribe_links(), now, new_id)


@cache
def send_service() -> SendService:
    # One attempt: asked twice, the provider sends twice.
    provider = SesProvider(lambda: client("ses", retries=1))
    return SendService(_units(), provider, unsubscribe_links(), settings().configuration_set, now, new_id)


@cache
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(_database(), _vault())


@cache
def gate() -> Gate:
    return gate_of(_database())
