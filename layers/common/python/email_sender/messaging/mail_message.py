"""One raw message to what the platform keeps of it.

Real mail breaks every rule, so nothing here trusts a header: what can be repaired is, and said in `problems`.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import Compat32
from email.utils import parsedate_to_datetime
from typing import Protocol

from email_sender.errors import InvalidInput
from email_sender.messaging.addresses import Address, normalise_address, read_addresses
from email_sender.messaging.decoding import clean_line, clean_text, decode_words
from email_sender.messaging.mail_body import ODD, Mail, read_body

__all__ = ["Address", "ParsedMessage", "TextCleaner", "normalise_address", "parse"]

MAX_TEXT = 100_000
MAX_SUBJECT = 998
MAX_ID = 998
MAX_REFERENCES = 100
MAX_RECIPIENTS = 500
_MAX_HEADER = 65_536
_MAX_PROBLEMS = 20
# Levels times bytes: about five seconds of parsing at worst. Twenty megabytes may have ten.
_MAX_NESTED = 200_000_000

# At least one of these makes bytes a message; any "Note: …" line would pass for a header otherwise.
_KNOWN = frozenset((
    "from", "to", "cc", "subject", "date", "message-id", "received", "return-path", "sender", "reply-to",
    "delivered-to",
))  # fmt: skip
_IDS = re.compile(r"<\s*([^<>]{1,2000}?)\s*>")
_LIST_HEADERS = ("List-Id", "List-Post", "Mailing-List", "X-Mailing-List", "X-BeenThere", "X-Mailman-Version")
_BOT = re.compile(
    r"(?:mailer-daemon|postmaster|(?:do[-_.]?)?no[-_.]?t?[-_.]?reply.*|bounces?|mailman|majordomo|listserv|listproc"
    r"|.+-(?:bounces?|request|daemon))(?:[+=].*)?@.*"
)


class TextCleaner(Protocol):
    """What is text for a reader. Both take at most a few megabytes of any text and never raise."""

    def from_html(self, html: str) -> str: ...

    def new_text(self, text: str) -> str:
        """Without what is quoted from earlier messages, and without the signature."""
        ...


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """All text is free of control characters and can be UTF-8.

    `message_id` has no angle brackets; where the message has none it is `sha256:<hex of the raw bytes>`. `references`
    runs from the oldest, as the header does; beyond 100 the first and the last 99 stay. `sent_at` is UTC. `text` is
    what the sender wrote, `full_text` also what they quoted, each at most 100,000 characters. `list_id` is lower case.
    `is_automatic` says that no person wrote it; what people post to mailing lists is theirs. `problems` are sentences
    on what was repaired or is missing.
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


def parse(raw: bytes, clean: TextCleaner) -> ParsedMessage:
    """Reads one RFC 5322 message, however broken. Attachments are counted and not decoded.

    Raises InvalidInput, and nothing else, for bytes that are no message.
    """
    if not raw.strip():
        raise InvalidInput("The message is empty")
    try:
        return _parse(raw, clean)
    except InvalidInput:
        raise
    except Exception as error:
        # The standard library's parser has raised most things over the years; one message must not stop an import.
        raise InvalidInput("The message could not be read") from error


class _RawHeaders(Compat32):
    """Gives header values as they were parsed: 8-bit bytes as surrogates, folds kept, no Header objects."""

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002
        return value


_POLICY = _RawHeaders()


def _parse(raw: bytes, clean: TextCleaner) -> ParsedMessage:
    problems: list[str] = []
    message = _read(raw, problems)
    if not any(name.lower() in _KNOWN for name in message):
        raise InvalidInput("The message has no headers")

    body = read_body(message, clean.from_html, problems)
    full_text = clean_text(body.text).strip()
    text = clean_text(clean.new_text(full_text)).strip()
    if not text and not body.attachments:
        problems.append("no text")

    message_id = _ids(_header(message, "Message-ID"))
    if not message_id:
        problems.append("no Message-ID")
    senders = _addresses(message, "From", problems)
    if not senders:
        problems.append("no sender")
    elif len(message.get_all("From", [])) > 1:
        problems.append("several From headers: the first was taken")
    recipients = {
        address.email: address for name in ("To", "Cc") for address in reversed(_addresses(message, name, problems))
    }
    return ParsedMessage(
        message_id=message_id[0] if message_id else f"sha256:{hashlib.sha256(raw).hexdigest()}",
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
    # The parser recurses once a level, and holds each line against the boundary of every level.
    if raw.count(b"multipart/") * len(raw) <= _MAX_NESTED:
        try:
            return message_from_bytes(raw, policy=_POLICY)
        except RecursionError:
            pass
    # The headers are still worth having.
    problems.append("nested too deeply: the body was not read")
    message = message_from_bytes(re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0], policy=_POLICY)
    del message["Content-Type"]
    return message


def _header(message: Mail, name: str) -> str:
    """The first header of a name, raw, on one line and bounded; empty where there is none."""
    return str(message.get(name, ""))[:_MAX_HEADER]


def _ids(value: str) -> list[str]:
    """Message ids in a header, without brackets; a lone token without brackets is one too."""
    text = decode_words(value, [])
    found = _IDS.findall(text) or ([text] if "@" in text and " " not in text else [])
    ids = (re.sub(r"\s|[<>]", "", identifier) for identifier in found)
    return [identifier for identifier in ids if 0 < len(identifier) <= MAX_ID]


def _in_reply_to(value: str) -> str | None:
    # Old clients write `Message from A <a@b> of "Thursday" <id>`: there the id is the last.
    ids = _ids(value)
    if not ids:
        return None
    return ids[0] if value.lstrip().startswith("<") else ids[-1]


def _references(message: Mail) -> tuple[str, ...]:
    ids = list(dict.fromkeys(_ids(_header(message, "References"))))
    return tuple(ids if len(ids) <= MAX_REFERENCES else [ids[0], *ids[1 - MAX_REFERENCES :]])


def _addresses(message: Mail, name: str, problems: list[str]) -> list[Address]:
    found: list[Address] = []
    values = message.get_all(name, [])
    for value in values[:10]:
        # Addresses are read before words are decoded: a decoded name may hold a comma.
        text = str(value)
        if not text.isascii():
            text = decode_words(text, problems) if "=?" not in text else text.encode("ascii", "replace").decode()
        for address in read_addresses(clean_line(text[:_MAX_HEADER])):
            found.append(Address(decode_words(address.name, problems)[:320], address.email))
    return found


def _sent_at(message: Mail, problems: list[str]) -> datetime | None:
    date = _header(message, "Date")
    sent = _datetime(date, problems) if date.strip() else None
    if sent:
        return sent
    missing = "impossible date" if date.strip() else "no date"
    # The last hop stamped it within minutes.
    received = _datetime(_header(message, "Received").rpartition(";")[2], [])
    problems.append(f"{missing}: taken from Received" if received else missing)
    return received


def _datetime(value: str, problems: list[str]) -> datetime | None:
    value = clean_line(value[:200])
    try:
        sent = parsedate_to_datetime(value)
        # Mail gives "-0000" for UTC of an unsaid zone: no repair.
        zoned = sent.tzinfo is not None or "-0000" in value
        sent = sent.astimezone(UTC) if sent.tzinfo else sent.replace(tzinfo=UTC)
    except (*ODD, OverflowError):
        return None
    if not 1970 <= sent.year <= 9998:
        return None
    if not zoned:
        problems.append("a date without a zone was read as UTC")
    return sent


def _list_id(value: str) -> str | None:
    text = decode_words(value, [])
    found = re.search(r"<([^<>\s]{1,255})>\s*$", text) or re.fullmatch(r"([^<>\s]{1,255})", text)
    return found.group(1).lower() if found else None


def _is_automatic(message: Mail, sender: str) -> bool:
    def value(name: str) -> str:
        return clean_line(_header(message, name)).lower()

    if value("Auto-Submitted").partition(";")[0].strip() not in ("", "no"):
        return True
    if "X-Autoreply" in message or "X-Autorespond" in message or value("Return-Path") == "<>":
        return True
    if value("Content-Type").startswith("multipart/report") or _BOT.fullmatch(sender):
        return True
    # Lists mark what people post as bulk; elsewhere it is a newsletter or a machine. Old lists say only that they sent.
    submitter = read_addresses(value("Sender"))
    from_list = any(name in message for name in _LIST_HEADERS) or bool(submitter and submitter[0].email != sender)
    precedence = value("Precedence")
    return precedence in ("auto_reply", "junk") or (precedence == "bulk" and not from_list)
