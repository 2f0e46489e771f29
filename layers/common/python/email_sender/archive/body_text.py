"""Extract the text of a MIME message and count its attachments."""

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any

from email_sender.archive.decoding import clean_line, clean_text, decode_bytes, decode_words
from email_sender.archive.flowed_text import unflow

# Exceptions that the standard library raises for broken MIME parameters and encodings. UnicodeError is a ValueError.
PARSER_ERRORS = (LookupError, ValueError, TypeError, AttributeError, AssertionError)

# Message is generic only for type checkers, hence this alias, which is never evaluated.
type Mail = Message[Any, Any]

_MAX_PARTS = 1_000
_MAX_BYTES = 2_000_000
_MAX_FILE_NAME = 255
_META_CHARSET = re.compile(rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_META_BYTES = 4_096
_INNER_PADDING = re.compile(r"=\s*[A-Za-z0-9+/]")
_READABLE_TYPES = ("text/plain", "text/html", "text/enriched")
_SIGNATURE_TYPES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")


@dataclass(frozen=True, slots=True)
class MessageBody:
    """The readable text of a message, and the names of its attachments (empty for one without a name)."""

    text: str
    attachments: tuple[str, ...]


def read_body(message: Mail, from_html: Callable[[str], str], problems: list[str]) -> MessageBody:
    """Read the text parts in order. Of alternatives, plain text is preferred to HTML.

    Attached messages count as attachments. At most 2 MB of text per part and 1,000 parts are read; `problems` shows if
    there is more. The walk does not recurse.
    """
    texts: list[str] = []
    attachments: list[str] = []
    part_count = 0
    # A part, and whether a better alternative to it was already chosen.
    pending_parts: list[tuple[Mail, bool]] = [(message, False)]
    while pending_parts:
        part, is_redundant = pending_parts.pop()
        part_count += 1
        if part_count > _MAX_PARTS:
            problems.append("more than 1,000 parts: the rest was not read")
            break
        kind = _call_or_default(part.get_content_type, "text/plain")
        if part.is_multipart() and kind.startswith("multipart/"):
            children: list[Mail] = [child for child in part.get_payload() if isinstance(child, Message)]
            chosen_child = _choose_alternative(children) if kind == "multipart/alternative" else None
            child_entries = (
                (child, is_redundant or (chosen_child is not None and child is not chosen_child)) for child in children
            )
            pending_parts.extend(reversed(list(child_entries)))
            continue
        readable = kind in _READABLE_TYPES or (kind.startswith("multipart/") and not part.is_multipart())
        # Some clients give the body a file name. Only a part that says so, or that follows the text, is a file.
        is_body = part is message or not _is_attachment(part) or (not texts and _is_unmarked_body(part, part_count))
        if readable and is_body:
            if not is_redundant:
                text = _decode_text(part, problems)
                texts.append(from_html(text) if kind in ("text/html", "text/enriched") else text)
        elif kind not in _SIGNATURE_TYPES and not (part.get("Content-ID") and not _is_attachment(part)):
            attachments.append(clean_line(decode_words(_call_or_default(part.get_filename, ""), []))[:_MAX_FILE_NAME])
        if any(type(defect).__name__ == "StartBoundaryNotFoundDefect" for defect in part.defects):
            problems.append("multipart without its boundary read as text")
    if any(type(defect).__name__ == "CloseBoundaryNotFoundDefect" for defect in _defects(message)):
        problems.append("truncated MIME: the last boundary is missing")
    return MessageBody("\n\n".join(text for text in texts if text.strip()), tuple(attachments))


def content_type(part: Mail) -> str:
    """Return the content type in lower case, `text/plain` if it cannot be read."""
    return _call_or_default(part.get_content_type, "text/plain")


def list_parts(message: Mail) -> list[Mail]:
    """Return the message and its parts in order, at most 1,000, without the insides of attached messages."""
    parts: list[Mail] = []
    pending: list[Mail] = [message]
    while pending and len(parts) < _MAX_PARTS:
        part = pending.pop()
        parts.append(part)
        if part.is_multipart() and _call_or_default(part.get_content_type, "").startswith("multipart/"):
            pending.extend(reversed([child for child in part.get_payload() if isinstance(child, Message)]))
    return parts


def _choose_alternative(children: list[Mail]) -> Mail | None:
    """Return the part to read: plain text that is not empty, else the last (richest) part that can contain text."""
    kinds = [_call_or_default(child.get_content_type, "") for child in children]
    for child, kind in zip(children, kinds, strict=True):
        if kind == "text/plain" and _decode_text(child, []).strip():
            return child
    for child, kind in zip(reversed(children), reversed(kinds), strict=True):
        if kind in _READABLE_TYPES or kind.startswith("multipart/"):
            return child
    return None


def _is_attachment(part: Mail) -> bool:
    return _call_or_default(part.get_content_disposition, "") == "attachment" or bool(
        _call_or_default(part.get_filename, "")
    )


def _is_unmarked_body(part: Mail, position: int) -> bool:
    """Return whether a part with a file name is the text: it is shown inline, or nothing but the container precedes."""
    return _call_or_default(part.get_content_disposition, "") != "attachment" or position <= 2


def _decode_text(part: Mail, problems: list[str]) -> str:
    data = _payload(part)
    if len(data) > _MAX_BYTES:
        # Cut at a line or a space: a character cut in two must not spoil the rest.
        problems.append("more than 2 MB of text: the rest was not read")
        data = data[: max(data.rfind(b"\n", 0, _MAX_BYTES), data.rfind(b" ", 0, _MAX_BYTES)) + 1 or _MAX_BYTES]
    if part.defects and any(type(defect).__name__.startswith("InvalidBase64") for defect in part.defects):
        problems.append("broken base64 was read as far as possible")
    charset: str | None = _call_or_default(part.get_content_charset, None)
    kind = _call_or_default(part.get_content_type, "text/plain")
    if kind == "text/html" and (charset or "us-ascii") in ("us-ascii", "ascii"):
        meta = _META_CHARSET.search(data[:_META_BYTES])
        charset = meta.group(1).decode("ascii") if meta else charset
    text = clean_text(decode_bytes(data, charset, problems))
    if kind == "text/plain" and parameter(part, "format") == "flowed":
        return unflow(text, delete_space=parameter(part, "delsp") == "yes")
    return text


def _payload(part: Mail) -> bytes:
    """Return the decoded bytes. Base64 that is padded in the middle, since it was encoded twice over, is read on."""
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    raw = stored_payload(part)
    if encoding == "base64" and isinstance(raw, str) and _INNER_PADDING.search(raw):
        pieces = re.split(r"=+", re.sub(r"[^A-Za-z0-9+/=]", "", raw))
        return b"".join(binascii.a2b_base64(piece + "=" * (-len(piece) % 4)) for piece in pieces if len(piece) % 4 != 1)

    def payload() -> Any:
        return part.get_payload(decode=True)

    data = _call_or_default(payload, b"")
    return data if isinstance(data, bytes) else b""


def stored_payload(part: Mail) -> Any:
    """Return the payload as it stands, without decoding: a list of parts, or text, or empty if it cannot be read."""

    def payload() -> Any:
        # Of 8-bit text, the standard library reads the charset even here, and fails on a broken one.
        return part.get_payload()

    return _call_or_default(payload, "")


def source(part: Mail) -> bytes:
    """Return the part as bytes, or empty if it cannot be written again."""
    return _call_or_default(part.as_bytes, b"")


def parameter(part: Mail, name: str) -> str:
    """Return a parameter of the part's content type in lower case, or empty."""

    def value() -> Any:
        return part.get_param(name)

    found = _call_or_default(value, "")
    return found.strip().lower() if isinstance(found, str) else ""


def _defects(message: Mail) -> list[Any]:
    """Return the defects of the outer parts, which show whether the file is truncated."""
    children: Any = message.get_payload() if message.is_multipart() else []
    inner = [defect for child in children[-3:] if isinstance(child, Message) for defect in child.defects]
    return [*message.defects, *inner]


def _call_or_default[T](call: Callable[[], T | None], default: T) -> T:
    """Return the result of `call`, or `default` if the header is too broken for the standard library."""
    try:
        value = call()
    except PARSER_ERRORS:
        return default
    return default if value is None else value
