"""Turn compressed mail into one mbox: zip, tar and gzip files with mailboxes, messages, Maildirs and Google Takeout.

Everything is streamed. What is no mail is skipped.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, cast

from email_sender.archive.authors import is_sent_label
from email_sender.archive.mbox import MAX_MESSAGE_BYTES, is_mailbox_head, is_message_head, quote_message
from email_sender.errors import InvalidInput

_ZIP, _GZIP, _BZIP2, _XZ = b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ"
_OUTLOOK = b"!BDN"
_TAR_MAGIC_AT = 257
_HEAD_BYTES = 6_000
_BLOCK_BYTES = 1024 * 1024
_MAX_FILES = 2_000_000
# A compressed text is rarely a hundredth of its size. What is more is a bomb.
_MAX_RATIO, _MIN_LIMIT = 200, 256 * 1024 * 1024
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError,
    RuntimeError,
)  # fmt: skip


def is_archive(head: bytes) -> bool:
    """Return whether the file has to be unpacked before it can be read as a mailbox.

    Raises:
        InvalidInput: the file is an Outlook data file, which has to be converted first.
    """
    if head.startswith(_OUTLOOK):
        raise InvalidInput(
            "The file is an Outlook data file (.pst). Convert it with `readpst -r -o mail archive.pst` (Debian's "
            "package pst-utils), and upload a zip of the folder `mail`."
        )
    return head.startswith((_ZIP, _GZIP, _BZIP2, _XZ)) or head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar"


def unpack(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the mail in an archive of `size` bytes as an mbox, in pieces.

    Raises:
        InvalidInput: the archive is damaged, has no mail, or unpacks to far more than mail does.
    """
    limit = max(_MIN_LIMIT, size * _MAX_RATIO)
    total = 0
    try:
        for piece in _mailboxes(file):
            total += len(piece)
            if total > limit:
                raise InvalidInput("The archive unpacks to more than 200 times its size, which no mail does.")
            yield piece
    except _BROKEN as error:
        raise InvalidInput(f"The archive is damaged: {error}.") from error
    if not total:
        raise InvalidInput("The archive contains no mail: no mbox file and no messages.")


def _mailboxes(file: IO[bytes]) -> Iterator[bytes]:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head.startswith(_ZIP):
        with zipfile.ZipFile(file) as archive:
            for number, info in enumerate(archive.infolist()):
                _check_count(number)
                if not info.is_dir():
                    with archive.open(info) as member:
                        yield from _mail_in(PurePosixPath(info.filename), member)
        return
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        yield from _tar_members(file)
        return
    stream = _decompressed(file, head)
    inner = stream.read(_HEAD_BYTES)
    joined = _Rejoined(inner, stream)
    if inner[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        yield from _tar_members(io.BufferedReader(joined))
    else:
        yield from _mail_in(PurePosixPath("mail"), io.BufferedReader(joined))


def _check_count(number: int) -> None:
    if number >= _MAX_FILES:
        raise InvalidInput(f"The archive has more than {_MAX_FILES} files. Split it.")


def _decompressed(file: IO[bytes], head: bytes) -> IO[bytes]:
    if head.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    return bz2.BZ2File(file) if head.startswith(_BZIP2) else lzma.LZMAFile(file)


def _tar_members(file: IO[bytes]) -> Iterator[bytes]:
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for number, info in enumerate(archive):
            _check_count(number)
            member = archive.extractfile(info) if info.isfile() else None
            if member is not None:
                yield from _mail_in(PurePosixPath(info.name), member)


def _mail_in(path: PurePosixPath, member: IO[bytes]) -> Iterator[bytes]:
    """Yield the mail of one file with a final empty line, or nothing if the file is no mail."""
    head = member.read(_HEAD_BYTES)
    if is_mailbox_head(head):
        last = head
        yield head
        while block := member.read(_BLOCK_BYTES):
            yield block
            last = block
        yield b"\n" if last.endswith(b"\n") else b"\n\n"
    elif is_message_head(head) and not _is_trashed(path):
        raw = head + member.read(MAX_MESSAGE_BYTES)
        yield quote_message(raw, is_sent=any(is_sent_label(part.strip(".")) for part in path.parts[:-1]))


def _is_trashed(path: PurePosixPath) -> bool:
    """Return whether a Maildir's file name has the flag T: the message was deleted."""
    return "T" in path.name.rpartition(":2,")[2] if ":2," in path.name else False


class _Rejoined(io.RawIOBase):
    """A stream with bytes that were already read put back to its front."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)
