"""Send notifications as mail or as signed webhook requests. Each sender is a messaging.notifications.DeliverySender."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any, Protocol
from uuid import UUID

from email_sender.errors import Conflict, InvalidInput, RateLimited, Unavailable
from email_sender.messaging.notifications import Delivery
from email_sender.messaging.ports import MailProvider, SendRejected, SendThrottled

_POLICY = SMTP.clone(max_line_length=998)
_TIMEOUT_SECONDS = 10.0


class OutboundRequests(Protocol):
    """Sends HTTP requests to the internet (adapters.aws.lambda_outbound)."""

    def send_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...


class WebhookSigner(Protocol):
    """Returns the headers that sign a webhook's request."""

    def headers(self, secret: str, message_id: str, body: str, at: datetime) -> Mapping[str, str]: ...


class MailSender:
    """`sender_of` returns the tenant's sender address. It raises Conflict if none is configured."""

    def __init__(self, provider: MailProvider, sender_of: Callable[[UUID], str], now: Callable[[], datetime]) -> None:
        self._provider, self._sender_of, self._now = provider, sender_of, now

    def __call__(self, tenant_id: UUID, delivery: Delivery) -> None:
        channel = delivery.channel
        if channel is None or channel.target is None:
            raise InvalidInput("The channel has no address.")
        sender = self._sender_of(tenant_id)
        raw = self._build_mail(sender, channel.target, delivery)
        try:
            self._provider.send(raw, sender, channel.target)
        except SendRejected as error:
            raise Conflict("The mail provider rejected the mail.") from error
        except SendThrottled as error:
            raise RateLimited("The mail provider is throttling requests. Try again later.") from error

    def _build_mail(self, sender: str, recipient: str, delivery: Delivery) -> bytes:
        message = EmailMessage(policy=_POLICY)
        try:
            name, address = parseaddr(sender)
            message["From"] = Address(name, addr_spec=address)
            message["To"] = Address(addr_spec=recipient)
            message["Subject"] = f"[{delivery.notification.level}] {delivery.notification.title}"
            # The id is the same for every attempt, so that mail programs show the mail once.
            message["Message-ID"] = f"<{delivery.id}@{address.rpartition('@')[2]}>"
        except (ValueError, IndexError, MessageError) as error:
            raise InvalidInput("The sender, recipient or subject has a line break or an invalid address.") from error
        message["Date"] = format_datetime(self._now())
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_text(delivery))
        return message.as_bytes()


class NotificationWebhookSender:
    def __init__(self, outbound: OutboundRequests, signer: WebhookSigner, now: Callable[[], datetime]) -> None:
        self._outbound, self._signs, self._now = outbound, signer, now

    def __call__(self, tenant_id: UUID, delivery: Delivery) -> None:
        channel = delivery.channel
        if channel is None or channel.target is None or channel.secret is None:
            raise InvalidInput("The channel has no URL or no secret.")
        body = json.dumps(payload(delivery), separators=(",", ":"))
        headers = {
            "content-type": "application/json",
            **self._signs.headers(channel.secret, str(delivery.id), body, self._now()),
        }
        response = self._outbound.send_request(
            {
                "tenant_id": str(tenant_id),
                "method": "POST",
                "url": channel.target,
                "headers": headers,
                "secret_headers": {},
                "body": base64.b64encode(body.encode()).decode(),
                "seconds": _TIMEOUT_SECONDS,
            }
        )
        status = int(response["status"])
        if status >= 500 or status in (408, 429):
            raise Unavailable(f"The webhook returned HTTP status {status}.")
        if status >= 300:
            raise Conflict(f"The webhook returned HTTP status {status}.")


def payload(delivery: Delivery) -> dict[str, Any]:
    """Return the JSON object that is posted to a webhook (docs/guides/notifications.md)."""
    notification = delivery.notification
    return {
        "type": "notification",
        "id": str(notification.id),
        "level": notification.level,
        "title": notification.title,
        "text": notification.text,
        "repeats": delivery.repeats,
        "count": notification.count,
        "first_at": notification.first_at.isoformat(),
        "last_at": notification.last_at.isoformat(),
    }


def _text(delivery: Delivery) -> str:
    notification = delivery.notification
    repeats_text = (
        f"Repeats since the last mail: {delivery.repeats}. Total: {notification.count}.\n\n"
        if notification.told > 1
        else ""
    )
    first, last = notification.first_at.isoformat(), notification.last_at.isoformat()
    return f"{repeats_text}{notification.text or notification.title}\n\nFirst: {first}\nLast: {last}\n"
