"""The text of a MIME tree, and how many attachments hang in it."""

from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any

from email_sender.messaging.decoding import clean_text, decode_bytes

# What the standard library is known to raise over MIME parameters and encodings; UnicodeError is a ValueError.
ODD = (LookupError, ValueError, TypeError, AttributeError, AssertionError)

# Generic for type checkers alone, hence the alias, which is never evaluated.
type Mail = Message[Any, Any]

_MAX_PARTS = 1_000
_MAX_BYTES = 2_000_000
_READABLE = ("text/plain", "text/html", "text/enriched")
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")


@dataclass(frozen=True, slots=True)
class Body:
    text: str
    attachments: int


def read_body(message: Mail, from_html: Callable[[str], str], problems: list[str]) -> Body:
    """The readable parts in order, plain ones before HTML where a part has alternatives.

    Attached messages are attachments. At most 2 MB of text is decoded a part and 1,000 parts are looked at; the rest is
    said in `problems`. The walk does not recurse.
    """
    texts: list[str] = []
    attachments = seen = 0
    # A part, and whether a better alternative of it was already taken.
    waiting: list[tuple[Mail, bool]] = [(message, False)]
    while waiting:
        part, spoken_for = waiting.pop()
        seen += 1
        if seen > _MAX_PARTS:
            problems.append("more than 1,000 parts: the rest was not read")
            break
        kind = _quiet(part.get_content_type, "text/plain")
        if part.is_multipart() and kind.startswith("multipart/"):
            children: list[Mail] = [child for child in part.get_payload() if isinstance(child, Message)]
            chosen = _alternative(children) if kind == "multipart/alternative" else None
            others = ((child, spoken_for or (chosen is not None and child is not chosen)) for child in children)
            waiting.extend(reversed(list(others)))
            continue
        readable = kind in _READABLE or (kind.startswith("multipart/") and not part.is_multipart())
        if readable and (part is message or not _attached(part)):
            if not spoken_for:
                text = _text(part, problems)
                texts.append(from_html(text) if kind in ("text/html", "text/enriched") else text)
        elif kind not in _SIGNATURES and not (part.get("Content-ID") and not _attached(part)):
            attachments += 1
        if any(type(defect).__name__ == "StartBoundaryNotFoundDefect" for defect in part.defects):
            problems.append("multipart without its boundary read as text")
    if any(type(defect).__name__ == "CloseBoundaryNotFoundDefect" for defect in _defects(message)):
        problems.append("truncated MIME: the last boundary is missing")
    return Body("\n\n".join(text for text in texts if text.strip()), attachments)


def _alternative(children: list[Mail]) -> Mail | None:
    """The part to read: plain text with something in it, else the last (the richest) with text below it."""
    kinds = [_quiet(child.get_content_type, "") for child in children]
    for child, kind in zip(children, kinds, strict=True):
        if kind == "text/plain" and _text(child, []).strip():
            return child
    for child, kind in zip(reversed(children), reversed(kinds), strict=True):
        if kind in _READABLE or kind.startswith("multipart/"):
            return child
    return None


def _attached(part: Mail) -> bool:
    return _quiet(part.get_content_disposition, "") == "attachment" or bool(_quiet(part.get_filename, ""))


def _text(part: Mail, problems: list[str]) -> str:
    def payload() -> Any:
        return part.get_payload(decode=True)

    data = _quiet(payload, b"")
    data = data if isinstance(data, bytes) else b""
    if len(data) > _MAX_BYTES:
        # A character cut in two must not spoil the rest: text ends at a line or a space.
        problems.append("more than 2 MB of text: the rest was not read")
        data = data[: max(data.rfind(b"\n", 0, _MAX_BYTES), data.rfind(b" ", 0, _MAX_BYTES)) + 1 or _MAX_BYTES]
    if part.defects and any(type(defect).__name__.startswith("InvalidBase64") for defect in part.defects):
        problems.append("broken base64 was read as far as possible")
    return clean_text(decode_bytes(data, _quiet(part.get_content_charset, None), problems))


def _defects(message: Mail) -> list[Any]:
    """Of the outer parts; a truncated file shows there."""
    children: Any = message.get_payload() if message.is_multipart() else []
    inner = [defect for child in children[-3:] if isinstance(child, Message) for defect in child.defects]
    return [*message.defects, *inner]


def _quiet[T](call: Callable[[], T | None], default: T) -> T:
    """`call`, or `default` where a header is too odd for the standard library."""
    try:
        found = call()
    except ODD:
        return default
    return default if found is None else found
