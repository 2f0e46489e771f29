"""Reading mbox files of any size, in constant memory.

A message begins with a separator line, `From <sender> <date>`, at the start of the file or after an empty line.
Writers do not all quote "From " in bodies, so the line must also look like a separator: a sender without spaces (or as
pipermail and Thunderbird write it) and a date with a time and a year. Quoting is undone as mboxrd does it.
https://www.rfc-editor.org/rfc/rfc4155, https://www.loc.gov/preservation/digital/formats/fdd/fdd000385.shtml
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from email_sender.errors import InvalidInput

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# Small network chunks are gathered to this much before they are searched.
_BLOCK = 256 * 1024
# No separator is longer (the pattern's repetitions are bounded), so a line cut by a block's end is in this tail.
_TAIL = 1024

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = rb"\d{1,2}:\d\d(?::\d\d(?:\.\d{1,6})?)?"
_ZONE = rb"(?:[ \t]{1,4}(?:[+-]\d{4}|[A-Z]{1,5}))?"
_SEPARATOR = re.compile(
    rb"From[ \t]{1,4}"
    rb'(?:"[^"\r\n]{1,200}"@[^\s]{1,255}|[^\s]{1,320}(?:[ \t]at[ \t][^\s]{1,255})?)[ \t]{1,8}'
    rb"(?:"
    + _DAY + rb"[ \t]{1,4}" + _MONTH + rb"[ \t]{1,4}\d{1,2}[ \t]{1,4}" + _TIME + _ZONE + rb"[ \t]{1,4}\d{4}" + _ZONE
    + rb"|(?:" + _DAY + rb",?[ \t]{1,4})?\d{1,2}[ \t]{1,4}" + _MONTH + rb"[ \t]{1,4}\d{4}[ \t]{1,4}" + _TIME + _ZONE
    + rb")(?:[ \t]{1,4}remote from [^\s]{1,100})?[ \t]{0,8}\r?(?:\n|\Z)"
)  # fmt: skip
_HEAD = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*\r?\n)*")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole messages that lie together in the file.

    `offset` and `length` are bytes; the first chunk begins at 0, each next one where the last ended, and the last one
    ends with the file. `ordinal_first` is the position of the first message in the file, from 0.
    """

    ordinal_first: int
    offset: int
    length: int
    messages: int


def scan(stream: Iterable[bytes], *, target_bytes: int, max_message_bytes: int = MAX_MESSAGE_BYTES) -> Iterator[Chunk]:
    """Cuts an mbox into chunks of at most `target_bytes`, or of one message where that is larger.

    `stream` gives the file's bytes in pieces of any size. A message over `max_message_bytes` is always a chunk of its
    own, whatever the target, so that a reader may pass over it. Raises InvalidInput, at the first step of the
    iteration, for what is not an mbox.
    """
    if target_bytes < 1:
        raise ValueError("target_bytes must be positive")
    first = offset = length = messages = 0
    for size in _sizes(stream):
        too_large = size > max_message_bytes
        if messages and (too_large or length + size > target_bytes):
            yield Chunk(first, offset, length, messages)
            first, offset, length, messages = first + messages, offset + length, 0, 0
        length += size
        messages += 1
        if too_large:
            yield Chunk(first, offset, length, messages)
            first, offset, length, messages = first + messages, offset + length, 0, 0
    if messages:
        yield Chunk(first, offset, length, messages)


def split(data: bytes) -> list[bytes]:
    """The raw messages (RFC 5322) of a chunk's bytes, in order.

    Without separator lines, the empty line before each of them, and one level of ">" before quoted "From " lines.
    Raises InvalidInput where `data` does not begin with a separator.
    """
    starts = [_head(data)]
    starts.extend(_boundaries(data, starts[0], len(data)))
    return [_message(data[start:end]) for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _sizes(stream: Iterable[bytes]) -> Iterator[int]:
    """The length in bytes of each message with its separator; what precedes the first counts with it."""
    buffer = b""
    base = position = last = 0
    for block, at_end in _blocks(stream):
        buffer += block
        if base == 0 and position == 0:
            position = _head(buffer)
        # A line that begins in the tail may be cut: it waits for the next block.
        until = len(buffer) if at_end else max(position, len(buffer) - _TAIL)
        for start in _boundaries(buffer, position, until):
            yield base + start - last
            last = base + start
        # Two bytes of context say whether the line before was empty.
        kept = max(0, until - 2)
        buffer, base, position = buffer[kept:], base + kept, until - kept
    yield base + len(buffer) - last


def _blocks(stream: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Blocks of at least _BLOCK bytes and, marked, the last one of any size."""
    pending = bytearray()
    for piece in stream:
        pending += piece
        # One byte stays behind, so that what is left at the end is never nothing unless the file is.
        if len(pending) > _BLOCK:
            block = bytes(pending[:-1])
            del pending[:-1]
            yield block, False
    yield bytes(pending), True


def _boundaries(data: bytes, start: int, until: int) -> Iterator[int]:
    """Offsets of separators after an empty line, where the newline before them is in [start, until)."""
    position = start
    # Five more bytes than `until`: the newline itself must be before it.
    while (position := data.find(b"\nFrom ", position, until + 5)) != -1:
        after_empty = data[position - 1 : position] == b"\n" or data[max(0, position - 2) : position] == b"\n\r"
        if after_empty and _SEPARATOR.match(data, position + 1):
            yield position + 1
        position += 1


def _head(data: bytes) -> int:
    """The offset of the first separator, after a byte order mark and empty lines."""
    found = _HEAD.match(data)
    start = found.end() if found else 0
    if not data[start:].strip():
        raise InvalidInput("The file is empty")
    if data.startswith(_COMPRESSED):
        raise InvalidInput("The file is compressed: send the mbox itself")
    if not _SEPARATOR.match(data, start):
        raise InvalidInput(
            'The file is not an mbox: its first line should be "From ", a sender and a date with a time and a year'
        )
    return start


def _message(data: bytes) -> bytes:
    raw = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    if raw.endswith((b"\n\n", b"\n\r\n")) or raw in (b"\n", b"\r\n"):
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    return _QUOTED.sub(rb"\1", raw) if b">From " in raw else raw
