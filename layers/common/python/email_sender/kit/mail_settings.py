"""The platform settings of mail, in the form that the domain needs."""

from datetime import timedelta

from email_sender.kit.live_settings import live_settings
from email_sender.messaging.outcomes import BounceLimit


def bounce_limit() -> BounceLimit:
    settings = live_settings().mail
    return BounceLimit(settings.temporary_bounces, timedelta(days=settings.temporary_bounce_days))


def accepts_uncertain_answers() -> bool:
    return live_settings().mail.uncertain_answers == "accept"
