"""Parse a raw message into the fields that the platform stores.

Real mail breaks every rule, so no header is trusted. What can be repaired is repaired and listed in `problems`.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import Compat32
from email.utils import parsedate_to_datetime
from typing import Protocol

from email_sender.archive.addresses import Address, normalise_address, read_addresses
from email_sender.archive.body_text import PARSER_ERRORS, Mail, read_body
from email_sender.archive.decoding import clean_line, clean_text, decode_words
from email_sender.errors import InvalidInput

__all__ = ["Address", "ParsedMessage", "TextCleaner", "normalise_address", "parse"]

MAX_TEXT = 100_000
MAX_SUBJECT = 998
MAX_ID = 998
MAX_REFERENCES = 100
MAX_RECIPIENTS = 500
_MAX_HEADER = 65_536
_MAX_PROBLEMS = 20
# Nesting levels times bytes: limits parsing to about five seconds. A message of 20 MB may have ten levels.
_MAX_NESTED_BYTES = 200_000_000

# Bytes are a message only if one of these headers is present; otherwise any "Note: …" line would pass for a header.
_KNOWN_HEADERS = frozenset((
    "from", "to", "cc", "subject", "date", "message-id", "received", "return-path", "sender", "reply-to",
    "delivered-to",
))  # fmt: skip
_MESSAGE_IDS = re.compile(r"<\s*([^<>]{1,2000}?)\s*>")
_LIST_HEADERS = ("List-Id", "List-Post", "Mailing-List", "X-Mailing-List", "X-BeenThere", "X-Mailman-Version")
_AUTOMATIC_SENDER = re.compile(
    r"(?:mailer-daemon|postmaster|(?:do[-_.]?)?no[-_.]?t?[-_.]?reply.*|bounces?|mailman|majordomo|listserv|listproc"
    r"|.+-(?:bounces?|request|daemon))(?:[+=].*)?@.*"
)


class TextCleaner(Protocol):
    """Extracts readable text. Both methods accept a few megabytes of any text and never raise."""

    def from_html(self, html: str) -> str:
        """Return the visible text of an HTML body."""
        ...

    def new_text(self, text: str) -> str:
        """Return the text without quotes of earlier messages and without the signature."""
        ...


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A parsed message. All text is valid UTF-8 without control characters.

    `message_id` has no angle brackets; without a Message-ID header it is `sha256:<hex of the raw bytes>`. `references`
    runs from the oldest to the newest, as in the header; of more than 100, the first and the last 99 are kept.
    `sent_at` is in UTC. `text` is what the sender wrote; `full_text` also contains quotes. Each has at most 100,000
    characters. `list_id` is lower case. `is_automatic` is true if no person wrote the message; posts to mailing lists
    count as written by people. `problems` describes repairs and missing parts.
    """

    message_id: str
    in_reply_to: str | None
    references: tuple[str, ...]
    subject: str
    sender: Address | None
    recipients: tuple[Address, ...]
    sent_at: datetime | None
    text: str
    full_text: str
    list_id: str | None
    is_automatic: bool
    attachments: int
    problems: tuple[str, ...]


def parse(raw: bytes, cleaner: TextCleaner) -> ParsedMessage:
    """Parse one RFC 5322 message, however broken. Attachments are counted and not decoded.

    Raises:
        InvalidInput: the bytes are not a message. No other exception is raised.
    """
    if not raw.strip():
        raise InvalidInput("The message is empty.")
    try:
        return _parse(raw, cleaner)
    except InvalidInput:
        raise
    except Exception as error:
        # The standard library's parser has raised many exceptions over the years. One message must not stop an import.
        raise InvalidInput("The message cannot be read.") from error


class _RawHeaders(Compat32):
    """Returns header values as they were parsed: 8-bit bytes as surrogates, folds preserved, no Header objects."""

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002
        return value


_POLICY = _RawHeaders()


def _parse(raw: bytes, cleaner: TextCleaner) -> ParsedMessage:
    problems: list[str] = []
    message = _read(raw, problems)
    if not any(name.lower() in _KNOWN_HEADERS for name in message):
        raise InvalidInput("The message has no headers.")

    body = read_body(message, cleaner.from_html, problems)
    full_text = clean_text(body.text).strip()
    text = clean_text(cleaner.new_text(full_text)).strip()
    if not text and not body.attachments:
        problems.append("no text")

    message_ids = _message_ids(_header(message, "Message-ID"))
    if not message_ids:
        problems.append("no Message-ID")
    senders = _addresses(message, "From", problems)
    if not senders:
        problems.append("no sender")
    elif len(message.get_all("From", [])) > 1:
        problems.append("several From headers: the first was used")
    recipients = {
        address.email: address for name in ("To", "Cc") for address in reversed(_addresses(message, name, problems))
    }
    return ParsedMessage(
        message_id=message_ids[0] if message_ids else f"sha256:{hashlib.sha256(raw).hexdigest()}",
        in_reply_to=_in_reply_to(_header(message, "In-Reply-To")),
        references=_references(message),
        subject=decode_words(_header(message, "Subject"), problems)[:MAX_SUBJECT],
        sender=senders[0] if senders else None,
        recipients=tuple(recipients.values())[:MAX_RECIPIENTS],
        sent_at=_sent_at(message, problems),
        text=text[:MAX_TEXT],
        full_text=full_text[:MAX_TEXT],
        list_id=_list_id(_header(message, "List-Id")),
        is_automatic=_is_automatic(message, senders[0].email if senders else ""),
        attachments=body.attachments,
        problems=tuple(dict.fromkeys(problems))[:_MAX_PROBLEMS],
    )


def _read(raw: bytes, problems: list[str]) -> Mail:
    # The parser recurses once per level, and compares each line with the boundary of every level.
    if raw.count(b"multipart/") * len(raw) <= _MAX_NESTED_BYTES:
        try:
            return message_from_bytes(raw, policy=_POLICY)
        except RecursionError:
            pass
    # The headers can still be read.
    problems.append("nested too deeply: the body was not read")
    message = message_from_bytes(re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0], policy=_POLICY)
    del message["Content-Type"]
    return message


def _header(message: Mail, name: str) -> str:
    """Return the first header of this name, raw and bounded; empty if the header is missing."""
    return str(message.get(name, ""))[:_MAX_HEADER]


def _message_ids(value: str) -> list[str]:
    """Return the message ids in a header, without brackets. A single token without brackets counts as an id."""
    text = decode_words(value, [])
    candidates = _MESSAGE_IDS.findall(text) or ([text] if "@" in text and " " not in text else [])
    ids = (re.sub(r"\s|[<>]", "", identifier) for identifier in candidates)
    return [identifier for identifier in ids if 0 < len(identifier) <= MAX_ID]


def _in_reply_to(value: str) -> str | None:
    # Old clients write `Message from A <a@b> of "Thursday" <id>`: there, the id comes last.
    ids = _message_ids(value)
    if not ids:
        return None
    return ids[0] if value.lstrip().startswith("<") else ids[-1]


def _references(message: Mail) -> tuple[str, ...]:
    ids = list(dict.fromkeys(_message_ids(_header(message, "References"))))
    return tuple(ids if len(ids) <= MAX_REFERENCES else [ids[0], *ids[1 - MAX_REFERENCES :]])


def _addresses(message: Mail, name: str, problems: list[str]) -> list[Address]:
    addresses: list[Address] = []
    values = message.get_all(name, [])
    for value in values[:10]:
        # Parse addresses before decoding words: a decoded name may contain a comma.
        text = str(value)
        if not text.isascii():
            text = decode_words(text, problems) if "=?" not in text else text.encode("ascii", "replace").decode()
        for address in read_addresses(clean_line(text[:_MAX_HEADER])):
            addresses.append(Address(decode_words(address.name, problems)[:320], address.email))
    return addresses


def _sent_at(message: Mail, problems: list[str]) -> datetime | None:
    date = _header(message, "Date")
    sent_at = _datetime(date, problems) if date.strip() else None
    if sent_at:
        return sent_at
    date_problem = "impossible date" if date.strip() else "no date"
    # The last mail server added its timestamp within minutes.
    received_at = _datetime(_header(message, "Received").rpartition(";")[2], [])
    problems.append(f"{date_problem}: the Received header was used" if received_at else date_problem)
    return received_at


def _datetime(value: str, problems: list[str]) -> datetime | None:
    value = clean_line(value[:200])
    try:
        sent_at = parsedate_to_datetime(value)
        # In mail, "-0000" means UTC without a stated zone, so it needs no repair.
        has_zone = sent_at.tzinfo is not None or "-0000" in value
        sent_at = sent_at.astimezone(UTC) if sent_at.tzinfo else sent_at.replace(tzinfo=UTC)
    except (*PARSER_ERRORS, OverflowError):
        return None
    if not 1970 <= sent_at.year <= 9998:
        return None
    if not has_zone:
        problems.append("a date without a zone was read as UTC")
    return sent_at


def _list_id(value: str) -> str | None:
    text = decode_words(value, [])
    id_match = re.search(r"<([^<>\s]{1,255})>\s*$", text) or re.fullmatch(r"([^<>\s]{1,255})", text)
    return id_match.group(1).lower() if id_match else None


def _is_automatic(message: Mail, sender: str) -> bool:
    def value(name: str) -> str:
        return clean_line(_header(message, name)).lower()

    if value("Auto-Submitted").partition(";")[0].strip() not in ("", "no"):
        return True
    if "X-Autoreply" in message or "X-Autorespond" in message or value("Return-Path") == "<>":
        return True
    if value("Content-Type").startswith("multipart/report") or _AUTOMATIC_SENDER.fullmatch(sender):
        return True
    # Mailing lists mark posts as bulk; elsewhere bulk means a newsletter or a program. Old lists set only Sender.
    submitter = read_addresses(value("Sender"))
    is_from_list = any(name in message for name in _LIST_HEADERS) or bool(submitter and submitter[0].email != sender)
    precedence = value("Precedence")
    return precedence in ("auto_reply", "junk") or (precedence == "bulk" and not is_from_list)
