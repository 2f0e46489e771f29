"""Parse a raw message into the fields that the platform stores.

Real mail breaks every rule, so no header is trusted. What can be repaired is repaired and listed in `problems`.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import Compat32
from email.utils import parsedate_to_datetime
from typing import Protocol

from email_sender.archive.addresses import Address, normalise_address, read_addresses
from email_sender.archive.authors import find_author, is_sent_copy
from email_sender.archive.body_text import (
    PARSER_ERRORS,
    Mail,
    content_type,
    list_parts,
    parameter,
    read_body,
    source,
    stored_payload,
)
from email_sender.archive.decoding import clean_line, clean_text, decode_words
from email_sender.archive.delivery_reports import (
    FEEDBACK_TYPE,
    DeliveryReport,
    is_refusal,
    read_complaint,
    read_report,
)
from email_sender.archive.flowed_text import NO_QUOTE
from email_sender.archive.mail_kinds import Classification, MailKind, PartTypes, classify
from email_sender.archive.quotations import ATTRIBUTION_MARK, Correspondence
from email_sender.errors import InvalidInput

__all__ = ["Address", "ParsedMessage", "TextCleaner", "normalise_address", "parse"]

MAX_TEXT = 100_000
MAX_SUBJECT = 998
MAX_ID = 998
MAX_REFERENCES = 100
MAX_RECIPIENTS = 500
_MAX_HEADER = 65_536
_MAX_PROBLEMS = 20
# The author of a quoted message is nearly always among the first recipients of the answer.
_MAX_KNOWN_PEOPLE = 20
# Nesting levels times bytes: limits parsing to about five seconds. A message of 20 MB may have ten levels.
_MAX_NESTED_BYTES = 200_000_000

# Bytes are a message only if one of these headers is present; otherwise any "Note: …" line would pass for a header.
_KNOWN_HEADERS = frozenset((
    "from", "to", "cc", "subject", "date", "message-id", "received", "return-path", "sender", "reply-to",
    "delivered-to",
))  # fmt: skip
_MULTIPART_HEADER = re.compile(rb"^content-type:[ \t]*(?:\r?\n[ \t]+)?multipart/", re.IGNORECASE | re.MULTILINE)
_MESSAGE_IDS = re.compile(r"<\s*([^<>]{1,2000}?)\s*>")
# An id without brackets: with an @, or long enough to be no word.
_BARE_IDS = re.compile(r"[^\s<>,;\"()]+@[^\s<>,;\"()]+|(?<!\S)(?=\S*\d)[\w.-]{20,}(?!\S)")


class TextCleaner(Protocol):
    """Extracts readable text. Both methods accept a few megabytes of any text and never raise."""

    def from_html(self, html: str) -> str:
        """Return the visible text of an HTML body."""
        ...

    def new_text(self, text: str, known: Correspondence = Correspondence()) -> str:  # noqa: B008  # immutable
        """Return the text without quotes of earlier messages and without the signature."""
        ...


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A parsed message. All text is valid UTF-8 without control characters.

    `message_id` has no angle brackets; without a Message-ID header it is `sha256:<hex of the raw bytes>`. `references`
    runs from the oldest to the newest, as in the header; of more than 100, the first and the last 99 are kept.
    `sent_at` is in UTC. `text` is what the sender wrote; `full_text` also contains quotes. Each has at most 100,000
    characters. `list_id` is lower case. `kind` says who wrote the message, `kind_sign` what shows it. `sender` is the
    From address; `author` is the person behind it, also where a list or a web form replaced the From address, and None
    if there is none. `is_sent` marks a copy from a folder of sent mail. `report` is set for bounces and complaints.
    `problems` describes repairs and missing parts.
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
    kind: MailKind
    attachments: int
    problems: tuple[str, ...]
    kind_sign: str = ""
    author: Address | None = None
    reply_to: Address | None = None
    is_sent: bool = False
    report: DeliveryReport | None = None
    attachment_names: tuple[str, ...] = ()

    @property
    def is_automatic(self) -> bool:
        """Whether it is not certain that a person wrote the message. Posts to mailing lists are a person's."""
        return self.kind is not MailKind.PERSON


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
    subject = decode_words(_header(message, "Subject"), problems)[:MAX_SUBJECT]
    people = [*senders[:1], *recipients.values()][:_MAX_KNOWN_PEOPLE]
    known = Correspondence([one.name for one in people if one.name], [one.email for one in people], subject)
    full_text = clean_text(body.text).strip()
    text = clean_text(cleaner.new_text(full_text, known)).strip()
    if not text and not body.attachments:
        problems.append("no text")
    reply_to = _addresses(message, "Reply-To", [])
    found = _find_kind(message, senders[0].email if senders else "", subject, full_text)
    return ParsedMessage(
        message_id=message_ids[0] if message_ids else f"sha256:{hashlib.sha256(raw).hexdigest()}",
        in_reply_to=_in_reply_to(_header(message, "In-Reply-To")),
        references=_references(message),
        subject=subject,
        sender=senders[0] if senders else None,
        recipients=tuple(recipients.values())[:MAX_RECIPIENTS],
        sent_at=_sent_at(message, problems),
        text=text.replace(NO_QUOTE, "")[:MAX_TEXT],
        full_text=full_text.replace(ATTRIBUTION_MARK, "> ").replace(NO_QUOTE, "")[:MAX_TEXT],
        list_id=_list_id(_header(message, "List-Id")),
        kind=found.classification.kind,
        kind_sign=found.classification.sign,
        author=find_author(message, senders[0] if senders else None, found.classification.kind, problems),
        reply_to=reply_to[0] if reply_to else None,
        is_sent=is_sent_copy(message),
        report=found.report,
        attachments=len(body.attachments),
        attachment_names=body.attachments,
        problems=tuple(dict.fromkeys(problems))[:_MAX_PROBLEMS],
    )


def _read(raw: bytes, problems: list[str]) -> Mail:
    # The parser recurses once per level, and compares each line with the boundary of every level.
    if len(_MULTIPART_HEADER.findall(raw)) * len(raw) <= _MAX_NESTED_BYTES:
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
    """Return the message ids in a header, without brackets. Some programs write ids without brackets."""
    text = decode_words(value, [])
    candidates = _MESSAGE_IDS.findall(text) or _BARE_IDS.findall(text)
    ids = (re.sub(r"\s|[<>]", "", identifier) for identifier in candidates)
    return [identifier for identifier in ids if 0 < len(identifier) <= MAX_ID]


def _in_reply_to(value: str) -> str | None:
    # Old clients write `Message from A <a@b> of "Thursday" <id>`: there, the id comes last.
    ids = _message_ids(value)
    if not ids:
        return None
    return ids[0] if value.lstrip().startswith("<") else ids[-1]


def _references(message: Mail) -> tuple[str, ...]:
    value = _header(message, "References")
    # Some programs add ids without brackets to others' ids with brackets.
    text = _MESSAGE_IDS.sub(r" \1 ", decode_words(value, [])) if "<" in value else value
    ids = list(dict.fromkeys(_message_ids(text)))
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
            addresses.append(replace(address, name=decode_words(address.name, problems)[:320]))
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


@dataclass(frozen=True, slots=True)
class _Kind:
    classification: Classification
    report: DeliveryReport | None


def _find_kind(message: Mail, sender: str, subject: str, text: str) -> _Kind:
    parts = list_parts(message)
    kinds = frozenset(content_type(part) for part in parts)
    calendar = next((part for part in parts if content_type(part) == "text/calendar"), None)
    feedback = next((part for part in parts if content_type(part) == FEEDBACK_TYPE), None)
    part_types = PartTypes(
        kinds,
        parameter(message, "report-type") or "unknown" if content_type(message) == "multipart/report" else "",
        _calendar_method(calendar) if calendar is not None else "",
        feedback is not None and b"feedback-type:" in source(feedback)[:_MAX_HEADER].lower(),
        any(is_refusal(message, part) for part in parts),
    )
    classification = classify(message, sender, subject, part_types, text)
    if classification.kind is MailKind.COMPLAINT:
        return _Kind(classification, read_complaint(parts))
    if classification.kind is not MailKind.BOUNCE:
        return _Kind(classification, None)
    report = read_report(message, parts, text, subject)
    if report is not None and report.action:
        kind = {"failed": MailKind.BOUNCE, "delayed": MailKind.DELAY}.get(report.action, MailKind.DELIVERY_REPORT)
        return _Kind(replace(classification, kind=kind), report)
    if report is None and "return-receipt" in _header(message, "Auto-Submitted").lower():
        return _Kind(replace(classification, kind=MailKind.DELIVERY_REPORT), None)
    return _Kind(classification, report)


def _calendar_method(part: Mail) -> str:
    """Return the method of a calendar: a parameter of its content type, or a property of the calendar."""
    method = re.search(r"^METHOD:([A-Z]{3,20})", str(stored_payload(part))[:_MAX_HEADER], re.MULTILINE)
    return parameter(part, "method") or (method.group(1).lower() if method else "")
