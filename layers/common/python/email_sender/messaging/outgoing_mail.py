"""Build the raw mail of a draft (RFC 5322, RFC 8058)."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from uuid import UUID

from email_sender.archive.addresses import clean_address
from email_sender.errors import InvalidInput
from email_sender.messaging.model import Contact, Content

EMAIL_ID_TAG = "email_id"

# Mail servers may still refuse 8-bit text. Lines of encoded bodies have at most 76 characters, encoded words at most
# 75.
_POLICY = SMTP.clone(cte_type="7bit")
_MAX_LOCAL_PART = 64
_TAG_MARK = "r-"
_TAG = re.compile(rf"\+{_TAG_MARK}([a-z2-7]{{26}})@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends the mail, in which conversation, and as what.

    `sender` is "Name <address>". `references` are the Message-IDs of the conversation, oldest first. `is_automatic`: no
    person approved this mail.
    """

    sender: str
    unsubscribe_url: str
    email_id: UUID
    tenant_id: UUID
    configuration_set: str
    at: datetime
    references: Sequence[str] = ()
    is_automatic: bool = False


def build(envelope: Envelope, contact: Contact, content: Content) -> bytes:
    """Return the raw mail. SES reads the X-SES-* headers and does not pass them on to the recipient.

    Raises:
        InvalidInput: a header would contain a line break, or an address cannot be written in a header.
    """
    message = EmailMessage(policy=_POLICY)
    name, _ = parseaddr(envelope.sender)
    sender = sender_address(envelope.sender)
    recipient = ascii_address(contact.address)
    try:
        message["From"] = Address(name, addr_spec=sender)
        message["To"] = Address(contact.name or "", addr_spec=recipient)
        message["Subject"] = content.subject
        reply_address = tag_address(sender, envelope.email_id)
        if reply_address != sender:
            message["Reply-To"] = Address(name, addr_spec=reply_address)
    except (ValueError, IndexError, MessageError) as error:
        # The standard library rejects CR and LF in headers.
        raise InvalidInput("The sender, recipient or subject has a line break or an invalid address.") from error
    message["Date"] = format_datetime(envelope.at)
    if envelope.is_automatic:
        message["Auto-Submitted"] = "auto-generated"
    message.set_content(content.text)
    if content.html is not None:
        message.add_alternative(content.html, subtype="html")
    return _plain_headers(envelope) + message.as_bytes()


def sender_address(sender: str) -> str:
    """Return the address of "Name <address>" alone, for the envelope. SES refuses names that are not ASCII there."""
    return ascii_address(parseaddr(sender)[1])


def ascii_address(address: str) -> str:
    """Return the address with its domain in ASCII.

    Raises:
        InvalidInput: the part before @ has other characters, which Amazon SES cannot send to.
    """
    clean = clean_address(address)
    if not clean.isascii():
        raise InvalidInput(
            "The part of the address before @ has characters outside ASCII, and Amazon SES cannot send to it. Ask the "
            "contact for another address."
        )
    return clean


def tag_address(address: str, email_id: UUID) -> str:
    """Return the address with a tag that names the email, or the address itself if the tag does not fit.

    An answer to this address is matched even if its mail program drops the references.
    """
    local_part, _, domain = address.rpartition("@")
    tag = base64.b32encode(email_id.bytes).decode().rstrip("=").lower()
    tagged = f"{local_part}+{_TAG_MARK}{tag}"
    return address if len(tagged) > _MAX_LOCAL_PART or "+" in local_part else f"{tagged}@{domain}"


def tagged_email_ids(addresses: Sequence[str]) -> Sequence[UUID]:
    """Return the ids of the emails that the tags of these addresses name."""
    tags = [match.group(1) for address in addresses if (match := _TAG.search(address))]
    return [UUID(bytes=base64.b32decode(tag.upper() + "======")) for tag in tags]


def _plain_headers(envelope: Envelope) -> bytes:
    """Return the headers that no mail program decodes. The standard library would encode those longer than a line."""
    headers = [
        f"List-Unsubscribe: <{envelope.unsubscribe_url}>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        f"X-SES-CONFIGURATION-SET: {envelope.configuration_set}",
        f"X-SES-MESSAGE-TAGS: {EMAIL_ID_TAG}={envelope.email_id}, tenant_id={envelope.tenant_id}",
    ]
    ids = [f"<{reference}>" for reference in envelope.references if re.fullmatch(r"[!-;=?-~]{3,900}", reference)]
    if ids:
        headers += [f"In-Reply-To: {ids[-1]}", "References: " + "\r\n ".join(ids)]
    return "".join(f"{header}\r\n" for header in headers).encode("ascii")
