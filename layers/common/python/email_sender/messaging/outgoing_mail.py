"""Build the raw mail of a draft (RFC 5322, RFC 8058)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, parseaddr
from uuid import UUID

from email_sender.archive.addresses import clean_address
from email_sender.archive.answer_tags import tag_address
from email_sender.errors import InvalidInput
from email_sender.messaging.model import Contact, Content

EMAIL_ID_TAG = "email_id"

# Mail servers may still refuse 8-bit text. Lines of encoded bodies have at most 76 characters, encoded words at most
# 75.
_POLICY = SMTP.clone(cte_type="7bit")


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
    reply_address = tag_address(sender, envelope.email_id)
    addresses = [("From", name, sender), ("To", contact.name or "", recipient)]
    addresses += [("Reply-To", name, reply_address)] if reply_address != sender else []
    try:
        text_headers = [_address_header(*address) for address in addresses] + [_subject_header(content.subject)]
    except (ValueError, IndexError, MessageError) as error:
        # The standard library rejects CR and LF in headers.
        raise InvalidInput("The sender, recipient or subject has a line break or an invalid address.") from error
    message["Date"] = format_datetime(envelope.at)
    if envelope.is_automatic:
        message["Auto-Submitted"] = "auto-generated"
    message.set_content(content.text)
    if content.html is not None:
        message.add_alternative(content.html, subtype="html")
    return "".join(text_headers).encode("ascii") + _plain_headers(envelope) + message.as_bytes()


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


def _subject_header(subject: str) -> str:
    """Return the subject. The standard library's policies write encoded words of more than 75 characters."""
    _require_one_line(subject)
    is_plain = subject.isascii() and "=?" not in subject and all(len(word) < 900 for word in subject.split(" "))
    encoded = Header(subject, "us-ascii" if is_plain else "utf-8", maxlinelen=75, header_name="Subject")
    return f"Subject: {encoded.encode(linesep='\r\n')}\r\n"


def _require_one_line(text: str) -> None:
    if any(char in text for char in "\r\n\0"):
        raise ValueError("a line break")


def _address_header(header: str, name: str, address: str) -> str:
    """Return a header with one address.

    The standard library's policies put spaces between the encoded words of a long name, where no space was.
    """
    _require_one_line(name)
    checked = str(Address(addr_spec=address))
    if not name:
        return f"{header}: {checked}\r\n"
    if not name.isascii() or "=?" in name:
        encoded = Header(name, "utf-8", maxlinelen=74, header_name=header).encode(linesep="\r\n")
        return f"{header}: {encoded}\r\n <{checked}>\r\n"
    return f"{header}: {formataddr((name, checked))}\r\n"


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
