"""Build the EventBridge events that SES publishes about a mail. Pure functions.

https://docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html names the detail types,
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html the fields.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import getaddresses, parseaddr
from typing import Any

ACCOUNT = "000000000000"
SIMULATOR_DOMAIN = "simulator.amazonses.com"
_MTA = "a0-0.smtp-out.amazonses.com"

SesEvent = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that SES accepted. `headers` are those of the sent mail; `tags` are the sender's message tags."""

    message_id: str
    sender: str
    recipients: Sequence[str]
    received: datetime
    headers: EmailMessage
    tags: Mapping[str, str]
    configuration_set: str | None = None


def events(mail: Mail) -> Iterator[SesEvent]:
    """Yield (detail type, detail) of each event, in the order in which SES publishes them.

    Recipients at the mailbox simulator's domain behave as they do there. All other recipients get the mail.
    """
    mail_object = _mail(mail)
    yield "Email Sent", {"eventType": "Send", "mail": mail_object, "send": {}}

    bounced_addresses = [
        address for address in mail.recipients if simulator_mailbox(address) in ("bounce", "suppressionlist")
    ]
    delivered_addresses = [address for address in mail.recipients if address not in bounced_addresses]
    complaining_addresses = [address for address in delivered_addresses if simulator_mailbox(address) == "complaint"]
    for address in bounced_addresses:
        subtype = "General" if simulator_mailbox(address) == "bounce" else "Suppressed"
        yield "Email Bounced", {"eventType": "Bounce", "mail": mail_object, "bounce": _bounce(mail, address, subtype)}
    if delivered_addresses:
        yield (
            "Email Delivered",
            {"eventType": "Delivery", "mail": mail_object, "delivery": _delivery(mail, delivered_addresses)},
        )
    for address in complaining_addresses:
        complaint = {"eventType": "Complaint", "mail": mail_object, "complaint": _complaint(mail, address)}
        yield "Email Complaint Received", complaint


def simulator_mailbox(address: str) -> str | None:
    """Return the simulator's mailbox in an address ("bounce" for bounce+x@…), or None for any other address."""
    local, _, domain = parseaddr(address)[1].lower().rpartition("@")
    return local.partition("+")[0] if domain == SIMULATOR_DOMAIN else None


def _mail(mail: Mail) -> dict[str, Any]:
    tags = {name: [value] for name, value in mail.tags.items()}
    tags["ses:operation"] = ["SendRawEmail"]
    tags["ses:from-domain"] = [parseaddr(mail.sender)[1].rpartition("@")[2]]
    if mail.configuration_set:
        tags["ses:configuration-set"] = [mail.configuration_set]
    common: dict[str, Any] = {"messageId": mail.message_id}
    for key, name in (("from", "From"), ("to", "To"), ("cc", "Cc"), ("replyTo", "Reply-To")):
        if values := mail.headers.get_all(name):
            common[key] = [_format_address(pair) for pair in getaddresses([str(value) for value in values])]
    for key, name in (("date", "Date"), ("subject", "Subject")):
        if name in mail.headers:
            common[key] = str(mail.headers[name])
    return {
        "timestamp": _time(mail.received),
        "source": mail.sender,
        "sendingAccountId": ACCOUNT,
        "messageId": mail.message_id,
        "destination": list(mail.recipients),
        "headersTruncated": False,
        "headers": [{"name": name, "value": str(value)} for name, value in mail.headers.items()],
        "commonHeaders": common,
        "tags": tags,
    }


def _delivery(mail: Mail, recipients: Sequence[str]) -> dict[str, Any]:
    return {
        "timestamp": _time(datetime.now(UTC)),
        "processingTimeMillis": max(0, int((datetime.now(UTC) - mail.received).total_seconds() * 1000)),
        "recipients": list(recipients),
        "smtpResponse": "250 2.6.0 Message received",
        "reportingMTA": _MTA,
    }


def _bounce(mail: Mail, address: str, subtype: str) -> dict[str, Any]:
    return {
        "feedbackId": f"bounce-{mail.message_id}",
        "bounceType": "Permanent",
        "bounceSubType": subtype,
        "bouncedRecipients": [
            {
                "emailAddress": address,
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown",
            }
        ],
        "timestamp": _time(datetime.now(UTC)),
        "reportingMTA": f"dsn; {_MTA}",
    }


def _complaint(mail: Mail, address: str) -> dict[str, Any]:
    now = _time(datetime.now(UTC))
    return {
        "feedbackId": f"complaint-{mail.message_id}",
        "complaintSubType": None,
        "complainedRecipients": [{"emailAddress": address}],
        "timestamp": now,
        "userAgent": "Amazon SES Mailbox Simulator",
        "complaintFeedbackType": "abuse",
        "arrivalDate": now,
    }


def _format_address(pair: tuple[str, str]) -> str:
    name, address = pair
    return f"{name} <{address}>" if name else address


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
