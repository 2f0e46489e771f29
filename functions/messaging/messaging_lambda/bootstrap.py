"""The composition root of the messaging functions. Objects are built once per execution environment."""

from datetime import timedelta
from functools import cache
from uuid import UUID

from email_sender.adapters.aws.eventbridge import EventBridgeBus
from email_sender.adapters.aws.lambda_outbound import LambdaOutbound
from email_sender.adapters.aws.ses import SesMailProvider
from email_sender.adapters.mail.notification_senders import MailSender, NotificationWebhookSender
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.mail_statistics import PostgresMailStatistics
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.adapters.postgres.notifications import notification_units as postgres_notification_units
from email_sender.adapters.postgres.stories import PostgresStories
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.postgres.vault import PostgresVault
from email_sender.adapters.postgres.webhooks import webhook_units
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.web.webhook_posts import WebhookPosts
from email_sender.adapters.web.webhook_signatures import StandardWebhooks
from email_sender.coordination.events import EventFactory
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import Conflict
from email_sender.kit.aws_clients import client, slow_client
from email_sender.kit.denials import Denials
from email_sender.kit.environment import BusSettings, DatabaseSettings, NonEmpty, VaultSettings
from email_sender.kit.live_settings import live_settings
from email_sender.kit.mail_settings import bounce_limit
from email_sender.kit.resources import database, key_wrapper, manager_gate
from email_sender.kit.system_clock import movable_now as now
from email_sender.kit.system_clock import new_id
from email_sender.kit.telemetry import logger, report_blocked_sending
from email_sender.kit.unsubscribe_keys import unsubscribe_links
from email_sender.messaging.consents import ConsentService
from email_sender.messaging.contacts import ContactService
from email_sender.messaging.drafts import DraftService
from email_sender.messaging.notifications import (
    ChannelKind,
    ChannelService,
    Delivery,
    DeliverySender,
    NotificationLimits,
    NotificationService,
    NotificationUnits,
)
from email_sender.messaging.outcomes import OutcomeService
from email_sender.messaging.privacy import PrivacyService
from email_sender.messaging.sending import SendService
from email_sender.messaging.templates import TemplateService
from email_sender.messaging.webhooks import WebhookSender, WebhookService

# Longer than a webhook may take, and shorter than the timeout of the functions that call them.
_WEBHOOK_SECONDS = 25


class Settings(DatabaseSettings, BusSettings, VaultSettings):
    configuration_set: NonEmpty
    """SES configuration set of outgoing email."""
    aws_region: str = "us-east-1"
    """Region of SES, set by Lambda. It is part of the Message-IDs that SES gives."""

    @property
    def message_id_domain(self) -> str:
        return "email.amazonses.com" if self.aws_region == "us-east-1" else f"{self.aws_region}.amazonses.com"


class NotifySettings(Settings):
    """`notifications_from` is the sender of tenants without an address of their own, such as the platform's."""

    outbound_function: NonEmpty
    """Function that sends HTTP requests to public addresses."""
    notifications_from: str = ""
    """Sender of notifications to operators."""


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
    return PostgresWorkflowUnits(_database(), _bus(), _vault())


@cache
def contact_service() -> ContactService:
    return ContactService(_units(), unsubscribe_links(), now, new_id)


@cache
def privacy_service() -> PrivacyService:
    return PrivacyService(_units(), now, new_id)


@cache
def template_service() -> TemplateService:
    from email_sender.adapters.mail.jinja_renderer import JinjaRenderer

    return TemplateService(_units(), JinjaRenderer(), unsubscribe_links(), now, new_id)


@cache
def draft_service() -> DraftService:
    return DraftService(_units(), now, EventFactory("messaging", now, new_id))


@cache
def mail_statistics() -> PostgresMailStatistics:
    return PostgresMailStatistics(_database())


@cache
def stories() -> PostgresStories:
    return PostgresStories(_database())


@cache
def send_service() -> SendService:
    # No retries: SES would send the mail twice.
    provider = SesMailProvider(lambda: client("ses", max_attempts=1), report_blocked_sending)
    return SendService(
        _units(),
        provider,
        unsubscribe_links(),
        settings().configuration_set,
        now,
        new_id,
        message_id_domain=settings().message_id_domain,
        max_automatic=lambda: live_settings().mail.automatic_emails_an_hour,
    )


@cache
def outcome_service() -> OutcomeService:
    return OutcomeService(_units(), bounce_limit, now, new_id)


@cache
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(_database(), _vault())


@cache
def consent_service() -> ConsentService:
    return ConsentService(_units(), now)


@cache
def denials() -> Denials:
    return Denials(Units(_database(), _bus()), EventFactory("security", now, new_id), now)


@cache
def gate() -> ManagerGate:
    return manager_gate(_database())


@cache
def notification_units() -> NotificationUnits:
    return postgres_notification_units(_database(), _vault())


@cache
def channel_service() -> ChannelService:
    return ChannelService(notification_units(), StandardWebhooks().new_secret)


@cache
def webhook_service() -> WebhookService:
    return WebhookService(webhook_units(_database(), _vault()), StandardWebhooks().new_secret, now, new_id)


@cache
def webhook_sender() -> WebhookSender:
    function = NotifySettings.from_environment().outbound_function
    outbound = LambdaOutbound(lambda: slow_client("lambda", _WEBHOOK_SECONDS), function)
    posts = WebhookPosts(outbound, StandardWebhooks(), now)
    return WebhookSender(webhook_units(_database(), _vault()), posts, now)


@cache
def notification_service() -> NotificationService:
    notify_settings = NotifySettings.from_environment()
    outbound = LambdaOutbound(lambda: slow_client("lambda", _WEBHOOK_SECONDS), notify_settings.outbound_function)
    # No retries: SES would send the mail twice.
    provider = SesMailProvider(lambda: client("ses", max_attempts=1))
    senders: dict[ChannelKind, DeliverySender] = {
        ChannelKind.MAIL: MailSender(provider, _notification_sender, now),
        ChannelKind.WEBHOOK: NotificationWebhookSender(outbound, StandardWebhooks(), now),
        ChannelKind.LOG: _log_notification,
    }
    return NotificationService(notification_units(), senders, now, new_id, _notification_limits)


def _notification_limits() -> NotificationLimits:
    notification_settings = live_settings().notifications
    return NotificationLimits(timedelta(minutes=notification_settings.quiet_minutes), notification_settings.max_an_hour)


def _notification_sender(tenant_id: UUID) -> str:
    with _units()(tenant_id) as unit:
        try:
            return unit.mail_from()
        except Conflict:
            if sender := NotifySettings.from_environment().notifications_from:
                return sender
            raise


def _log_notification(tenant_id: UUID, delivery: Delivery) -> None:
    notification = delivery.notification
    # The text is the tenant's content and is not logged. GET /notifications returns it.
    logger.info(
        "notification",
        tenant_id=str(tenant_id),
        notification_id=str(notification.id),
        level=notification.level,
        count=notification.count,
    )
