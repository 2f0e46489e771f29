"""Build the raw mail of a draft (RFC 5322, RFC 8058)."""

from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from uuid import UUID

from email_sender.errors import InvalidInput
from email_sender.messaging.model import Contact, Content

EMAIL_ID_TAG = "email_id"

# RFC 5322 allows 998 characters per line. Folded at 78, a long link in a header would be split into encoded words, and
# no mail client would recognise it.
_POLICY = SMTP.clone(max_line_length=998)


def build(
    *, sender: str, contact: Contact, content: Content, unsubscribe_url: str, email_id: UUID, tenant_id: UUID,
    configuration_set: str, at: datetime,
) -> bytes:  # fmt: skip
    """Return the raw mail. SES reads the X-SES-* headers and does not pass them on to the recipient.

    Raises:
        InvalidInput: a header would contain a line break, or an address cannot be written in a header.
    """
    message = EmailMessage(policy=_POLICY)
    try:
        name, address = parseaddr(sender)
        message["From"] = Address(name, addr_spec=address)
        message["To"] = Address(contact.name or "", addr_spec=contact.address)
        message["Subject"] = content.subject
    except (ValueError, IndexError, MessageError) as error:
        # The standard library rejects CR and LF in headers.
        raise InvalidInput("The sender, recipient or subject has a line break or an invalid address.") from error
    message["Date"] = format_datetime(at)
    message["List-Unsubscribe"] = f"<{unsubscribe_url}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["X-SES-CONFIGURATION-SET"] = configuration_set
    message["X-SES-MESSAGE-TAGS"] = f"{EMAIL_ID_TAG}={email_id}, tenant_id={tenant_id}"
    message.set_content(content.text)
    if content.html is not None:
        message.add_alternative(content.html, subtype="html")
    return message.as_bytes()
