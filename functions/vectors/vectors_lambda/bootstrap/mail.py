"""Composition root of the functions that archive mail."""

from functools import cache
from typing import TYPE_CHECKING

from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.archive.inbound_mail import InboundMailService
from email_sender.archive.mailbox_import import MailboxChunkImporter
from email_sender.coordination.events import EventFactory
from email_sender.kit.resources import platform_database
from email_sender.kit.system_clock import new_id, now
from vectors_lambda.bootstrap.core import (
    app_database,
    archive_units,
    bus,
    message_writer,
    served_collections,
    uploads,
    vault,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from email_sender.messaging.outcomes import BounceLimit, OutcomeService

_MAIL_EVENTS = EventFactory("messaging", now, new_id)


def chunk_work() -> MailboxChunkImporter:
    served_collections()
    return _chunk_work()


@cache
def _chunk_work() -> MailboxChunkImporter:
    from email_sender.adapters.mail.text_cleaner import MailTextCleaner

    return MailboxChunkImporter(archive_units(), uploads(), MailTextCleaner(), message_writer(), _MAIL_EVENTS)


def receiving() -> InboundMailService:
    served_collections()
    return _receiving()


@cache
def _receiving() -> InboundMailService:
    from email_sender.adapters.mail.text_cleaner import MailTextCleaner
    from email_sender.kit.mail_settings import accepts_uncertain_answers, bounce_limit

    return InboundMailService(
        TenantDirectory(platform_database()),
        archive_units(),
        uploads(),
        MailTextCleaner(),
        message_writer(),
        _MAIL_EVENTS,
        _outcomes(bounce_limit),
        accepts_uncertain_answers,
    )


def _outcomes(limit: "Callable[[], BounceLimit]") -> "OutcomeService":
    from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
    from email_sender.messaging.outcomes import OutcomeService

    units = PostgresMessagingUnits(app_database(), vault(), bus())
    return OutcomeService(units, limit, now, new_id)
