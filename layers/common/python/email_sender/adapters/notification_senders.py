"""The ways a notification leaves: as a mail, as a signed post. Each is messaging.notifying.Send."""

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
from email_sender.messaging.notifying import Delivery
from email_sender.messaging.ports import MailProvider, SendRejected, SendThrottled

_POLICY = SMTP.clone(max_line_length=998)
_SECONDS = 10.0


class Outbound(Protocol):
    """What reaches the world (adapters.lambda_outbound)."""

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...


class Signs(Protocol):
    def headers(self, secret: str, message_id: str, body: str, at: datetime) -> Mapping[str, str]: ...


class MailSender:
    """`sender_of` gives the tenant's address; raises Conflict where it has none."""

    def __init__(self, provider: MailProvider, sender_of: Callable[[UUID], str], now: Callable[[], datetime]) -> None:
        self._provider, self._sender_of, self._now = provider, sender_of, now

    def __call__(self, tenant_id: UUID, delivery: Delivery) -> None:
        channel = delivery.channel
        if channel is None or channel.target is None:
            raise InvalidInput("The channel has no address.")
        sender = self._sender_of(tenant_id)
        raw = self._built(sender, channel.target, delivery)
        try:
            self._provider.send(raw, sender, channel.target)
        except SendRejected as error:
            raise Conflict("The mail provider refused the mail.") from error
        except SendThrottled as error:
            raise RateLimited("The mail provider takes no more for now.") from error

    def _built(self, sender: str, recipient: str, delivery: Delivery) -> bytes:
        message = EmailMessage(policy=_POLICY)
        try:
            name, address = parseaddr(sender)
            message["From"] = Address(name, addr_spec=address)
            message["To"] = Address(addr_spec=recipient)
            message["Subject"] = f"[{delivery.notification.level}] {delivery.notification.title}"
            # The same however often it is sent: mail programs show it once.
            message["Message-ID"] = f"<{delivery.id}@{address.rpartition('@')[2]}>"
        except (ValueError, IndexError, MessageError) as error:
            raise InvalidInput("A header of the mail cannot be written: a line break, or not an address.") from error
        message["Date"] = format_datetime(self._now())
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_text(delivery))
        return message.as_bytes()


class WebhookSender:
    def __init__(self, outbound: Outbound, signs: Signs, now: Callable[[], datetime]) -> None:
        self._outbound, self._signs, self._now = outbound, signs, now

    def __call__(self, tenant_id: UUID, delivery: Delivery) -> None:
        channel = delivery.channel
        if channel is None or channel.target is None or channel.secret is None:
            raise InvalidInput("The channel has no address or no secret.")
        body = json.dumps(payload(delivery), separators=(",", ":"))
        headers = {
            "content-type": "application/json",
            **self._signs.headers(channel.secret, str(delivery.id), body, self._now()),
        }
        answer = self._outbound.ask(
            {
                "tenant_id": str(tenant_id),
                "method": "POST",
                "url": channel.target,
                "headers": headers,
                "secret_headers": {},
                "body": base64.b64encode(body.encode()).decode(),
                "seconds": _SECONDS,
            }
        )
        status = int(answer["status"])
        if status >= 500 or status in (408, 429):
            raise Unavailable(f"It answered {status}.")
        if status >= 300:
            raise Conflict(f"It answered {status}.")


def payload(delivery: Delivery) -> dict[str, Any]:
    """What a webhook is posted (docs/guides/notifications.md)."""
    one = delivery.notification
    return {
        "type": "notification",
        "id": str(one.id),
        "level": one.level,
        "title": one.title,
        "text": one.text,
        "repeats": delivery.repeats,
        "count": one.count,
        "first_at": one.first_at.isoformat(),
        "last_at": one.last_at.isoformat(),
    }


def _text(delivery: Delivery) -> str:
    one = delivery.notification
    again = f"{delivery.repeats} times more since the last mail, {one.count} in all.\n\n" if one.told > 1 else ""
    return f"{again}{one.text or one.title}\n\nFirst: {one.first_at.isoformat()}\nLast: {one.last_at.isoformat()}\n"
