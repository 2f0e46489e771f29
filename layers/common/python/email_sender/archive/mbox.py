"""Read mbox files of any size in constant memory, and single messages (.eml).

A message begins with a separator line, `From <sender> <date>`, at the start of the file or after an empty line. Writers
differ: some do not quote "From " in bodies, some write a name, an X.500 name or nothing in place of the sender, some
leave out the date or the empty line. So a line that is not a full separator counts only if headers follow it. Quoting
is undone as in mboxrd.
https://www.rfc-editor.org/rfc/rfc4155, https://www.loc.gov/preservation/digital/formats/fdd/fdd000385.shtml
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from email_sender.errors import InvalidInput

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# Small network chunks are collected into blocks of at least this size before they are searched.
_BLOCK = 256 * 1024
# No separator with the headers that must follow it is longer, so one that is cut by a block's end begins in the tail.
_TAIL = 8_192
_LOOK_AHEAD = 6_000

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = rb"\d{1,2}:\d\d(?::\d\d(?:\.\d{1,6})?)?"
_ZONE = rb"(?:[ \t]{1,4}(?:[+-]\d{4}|[A-Z]{1,5}))?"
_DATE = (
    rb"(?:"
    + _DAY + rb"[ \t]{1,4}" + _MONTH + rb"[ \t]{1,4}\d{1,2}[ \t]{1,4}" + _TIME + _ZONE + rb"[ \t]{1,4}\d{4}" + _ZONE
    + rb"|(?:" + _DAY + rb",?[ \t]{1,4})?\d{1,2}[ \t]{1,4}" + _MONTH + rb"[ \t]{1,4}\d{4}[ \t]{1,4}" + _TIME + _ZONE
    + rb")(?:[ \t]{1,4}remote from [^\s]{1,100})?[ \t]{0,8}\r?(?:\n|\Z)"
)  # fmt: skip
_SEPARATOR = re.compile(
    rb"From[ \t]{1,4}"
    rb'(?:"[^"\r\n]{1,200}"@[^\s]{1,255}|[^\s]{1,320}(?:[ \t]at[ \t][^\s]{1,255})?)[ \t]{1,8}' + _DATE
)
# Anything in place of the sender: a name, a whole From header, an X.500 name, nothing.
_LOOSE_SEPARATOR = re.compile(rb"From[ \t][^\r\n]{0,500}?[ \t]{0,8}" + _DATE)
# No date at all: `From `, `From ann@people.example`.
_BARE_SEPARATOR = re.compile(rb"From[ \t]{1,4}[^\s]{0,320}[ \t]{0,8}\r?\n")
_HEADER = re.compile(rb"([A-Za-z][A-Za-z0-9-]{1,70}):(?:[ \t][^\r\n]*|)\r?(?:\n|\Z)(?:[ \t][^\r\n]*\r?(?:\n|\Z))*")
_KNOWN_HEADERS = frozenset((
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"received", b"return-path", b"sender", b"reply-to",
    b"delivered-to", b"mime-version", b"content-type", b"status", b"in-reply-to", b"references", b"dkim-signature",
    b"arc-seal", b"envelope-to", b"authentication-results", b"list-id", b"precedence", b"content-transfer-encoding",
))  # fmt: skip
_MOZILLA_STATUS = re.compile(rb"^X-Mozilla-Status:[ \t]*([0-9A-Fa-f]{4})", re.MULTILINE)
_MOZILLA_EXPUNGED = 0x0008
_UNIX_STATUS = re.compile(rb"^X-Status:[ \t]*[A-Z]*D", re.MULTILINE)
_LEADING_BYTES = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*\r?\n)*")
_FROM_LINE = re.compile(rb"^(>*From )", re.MULTILINE)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_COMPRESSION_MAGIC = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of whole messages in the file.

    `offset` and `length` are bytes. The first chunk begins at 0, each later chunk where the previous one ended, and the
    last chunk ends with the file. `ordinal_first` is the position of the first message in the file, counted from 0.
    """

    ordinal_first: int
    offset: int
    length: int
    messages: int


def scan(stream: Iterable[bytes], *, target_bytes: int, max_message_bytes: int = MAX_MESSAGE_BYTES) -> Iterator[Chunk]:
    """Split an mbox into chunks of at most `target_bytes`. A larger message is a chunk of its own.

    `stream` yields the bytes of the file in pieces of any size. A message over `max_message_bytes` is always a chunk of
    its own, whatever the target, so that a reader can skip it.

    Raises:
        InvalidInput: the file is not an mbox. Raised at the first step of the iteration.
    """
    if target_bytes < 1:
        raise ValueError("target_bytes must be positive")
    first_ordinal = offset = length = messages = 0
    pieces = iter(stream)
    head = _read_head(pieces)
    if _is_single_message(head):
        yield Chunk(0, 0, len(head) + sum(len(piece) for piece in pieces), 1)
        return
    for size in _message_sizes(itertools.chain([head], pieces)):
        too_large = size > max_message_bytes
        if messages and (too_large or length + size > target_bytes):
            yield Chunk(first_ordinal, offset, length, messages)
            first_ordinal, offset, length, messages = first_ordinal + messages, offset + length, 0, 0
        length += size
        messages += 1
        if too_large:
            yield Chunk(first_ordinal, offset, length, messages)
            first_ordinal, offset, length, messages = first_ordinal + messages, offset + length, 0, 0
    if messages:
        yield Chunk(first_ordinal, offset, length, messages)


def split(data: bytes) -> list[bytes]:
    """Return the raw messages (RFC 5322) of a chunk, in order.

    Separator lines, the empty line before each of them and one level of ">" before quoted "From " lines are removed.
    Data that begins with headers is a single message.

    Raises:
        InvalidInput: `data` does not begin with a separator line.
    """
    if _is_single_message(data[:_LOOK_AHEAD]):
        return [data[match.end() :] if (match := _LEADING_BYTES.match(data)) else data]
    starts = [_find_first_separator(data)]
    starts.extend(_boundaries(data, starts[0], len(data)))
    return [_extract_message(data[start:end]) for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _message_sizes(stream: Iterable[bytes]) -> Iterator[int]:
    """Yield the length in bytes of each message with its separator. Bytes before the first message count with it."""
    buffer = b""
    base = position = last = 0
    for block, at_end in _blocks(stream):
        buffer += block
        if base == 0 and position == 0:
            position = _find_first_separator(buffer)
        # A line that begins in the tail may be cut: it is checked with the next block.
        until = len(buffer) if at_end else max(position, len(buffer) - _TAIL)
        for start in _boundaries(buffer, position, until):
            yield base + start - last
            last = base + start
        # Two bytes of context show whether the previous line was empty.
        context_start = max(0, until - 2)
        buffer, base, position = buffer[context_start:], base + context_start, until - context_start
    yield base + len(buffer) - last


def _blocks(stream: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield (block, is_last) pairs. Each block has at least _BLOCK bytes, except the last one."""
    pending = bytearray()
    for piece in stream:
        pending += piece
        # Hold back one byte, so that the last block is empty only if the file is empty.
        if len(pending) > _BLOCK:
            block = bytes(pending[:-1])
            del pending[:-1]
            yield block, False
    yield bytes(pending), True


def _boundaries(data: bytes, start: int, until: int) -> Iterator[int]:
    """Yield the offsets of separators where the newline before them is in [start, until)."""
    position = start
    # Search five more bytes than `until`: only the newline itself must be before it.
    while (position := data.find(b"\nFrom ", position, until + 5)) != -1:
        after_empty = data[position - 1 : position] == b"\n" or data[max(0, position - 2) : position] == b"\n\r"
        if _is_separator(data, position + 1, after_empty=after_empty):
            yield position + 1
        position += 1


def _is_separator(data: bytes, start: int, *, after_empty: bool) -> bool:
    full = _SEPARATOR.match(data, start)
    if full and after_empty:
        return True
    if full:
        return bool(_headers_at(data, full.end()) & _KNOWN_HEADERS)
    if not after_empty:
        return False
    loose = _LOOSE_SEPARATOR.match(data, start)
    if loose:
        return bool(_headers_at(data, loose.end()) & _KNOWN_HEADERS)
    bare = _BARE_SEPARATOR.match(data, start)
    return bool(bare and len(_headers_at(data, bare.end()) & _KNOWN_HEADERS) >= 2)


def _headers_at(data: bytes, start: int) -> set[bytes]:
    """Return the lower-case names of the first headers that begin exactly here."""
    names: set[bytes] = set()
    end = start + _LOOK_AHEAD
    while len(names) < 4 and (header := _HEADER.match(data, start, end)):
        name = header.group(1).lower()
        names.add(b"received" if name.startswith(b"x-") else name)
        start = header.end()
    return names


def _read_head(pieces: Iterator[bytes]) -> bytes:
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) >= _LOOK_AHEAD:
            break
    return bytes(head)


def _is_single_message(head: bytes) -> bool:
    """Return whether the data begins with the headers of a message, not with a separator."""
    leading = _LEADING_BYTES.match(head)
    return bool(_headers_at(head, leading.end() if leading else 0) & _KNOWN_HEADERS)


def _find_first_separator(data: bytes) -> int:
    """Return the offset of the first separator, after a byte order mark and empty lines."""
    head_match = _LEADING_BYTES.match(data)
    start = head_match.end() if head_match else 0
    if not data[start:].strip():
        raise InvalidInput("The file is empty.")
    if data.startswith(_COMPRESSION_MAGIC):
        raise InvalidInput("The file is compressed in a way that is not supported. Upload a zip, gzip or mbox file.")
    if not _is_separator(data, start, after_empty=True):
        raise InvalidInput(
            'The file is not an mbox: its first line should be "From ", a sender and a date with a time and a year.'
        )
    return start


def is_mailbox_head(head: bytes) -> bool:
    """Return whether a file with this beginning is an mbox."""
    leading = _LEADING_BYTES.match(head)
    return _is_separator(head, leading.end() if leading else 0, after_empty=True)


def is_message_head(head: bytes) -> bool:
    """Return whether a file with this beginning is a single message."""
    return _is_single_message(head)


def quote_message(raw: bytes, *, is_sent: bool = False) -> bytes:
    """Return a message as an entry of an mbox (mboxrd). `is_sent` marks a copy from a folder of sent mail."""
    quoted = _FROM_LINE.sub(rb">\1", raw.replace(b"\r\n", b"\n"))
    mark = b"X-Gmail-Labels: Sent\n" if is_sent else b""
    return b"From - Thu Jan  1 00:00:00 1970\n" + mark + quoted.lstrip(b"\n").rstrip(b"\n") + b"\n\n"


def is_deleted(raw: bytes) -> bool:
    """Return whether a mail client marked the message as deleted: the file keeps it until it is compacted."""
    head = raw[:_LOOK_AHEAD].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    mozilla = _MOZILLA_STATUS.search(head)
    return bool(mozilla and int(mozilla.group(1), 16) & _MOZILLA_EXPUNGED) or bool(_UNIX_STATUS.search(head))


def _extract_message(data: bytes) -> bytes:
    raw = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    if raw.endswith((b"\n\n", b"\n\r\n")) or raw in (b"\n", b"\r\n"):
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    return _QUOTED_FROM.sub(rb"\1", raw) if b">From " in raw else raw
