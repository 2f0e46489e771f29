"""Unusual mailboxes, built in code. Each is a complete mbox unless its docstring says otherwise."""

import base64
from collections.abc import Iterable

SEPARATOR = b"From somebody@sender.example Thu Aug 22 12:36:23 2002\n"
HEADERS = (
    b"From: Ada Byron <ada@sender.example>\n"
    b"To: team@receiver.example\n"
    b"Subject: A question\n"
    b"Date: Thu, 22 Aug 2002 18:26:25 +0700\n"
    b"Message-ID: <one@sender.example>\n"
)


def message(body: bytes = b"Hello.\n", *headers: bytes) -> bytes:
    """Return one raw message: the usual headers, then `headers`, an empty line and the body."""
    return HEADERS + b"".join(header + b"\n" for header in headers) + b"\n" + body


def mbox(messages: Iterable[bytes]) -> bytes:
    """Join raw messages as mboxrd does: a separator, quoted "From " lines and an empty line after each message."""
    joined = bytearray()
    for raw in messages:
        lines = (b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in raw.split(b"\n"))
        joined += SEPARATOR + b"\n".join(lines) + (b"\n" if raw.endswith(b"\n") or not raw else b"\n\n")
    return bytes(joined)


def ordinary(count: int = 3) -> bytes:
    return mbox(
        HEADERS.replace(b"<one@", b"<%d@" % number) + b"\nMessage number %d.\n" % number for number in range(count)
    )


def truncated_mime() -> bytes:
    """The upload ended inside the second part."""
    return mbox(
        [
            message(
                b"--edge\nContent-Type: text/plain\n\nThe text is whole.\n"
                b"--edge\nContent-Type: application/pdf; name=a.pdf\n"
                b"Content-Transfer-Encoding: base64\n\nJVBERi0xLjQKJ",
                b"MIME-Version: 1.0",
                b'Content-Type: multipart/mixed; boundary="edge"',
            )
        ]
    )


def wrong_charset() -> bytes:
    """UTF-8 labelled as ASCII, Latin-1 labelled as UTF-8, and an unknown charset."""
    return mbox(
        [
            message("Déjà vu, 日本.\n".encode(), b"Content-Type: text/plain; charset=us-ascii"),
            message("Déjà vu.\n".encode("latin-1"), b"Content-Type: text/plain; charset=utf-8"),
            message("Déjà vu.\n".encode("latin-1"), b"Content-Type: text/plain; charset=x-nobody"),
        ]
    )


def no_headers() -> bytes:
    """A valid separator, followed by text without headers."""
    return mbox([b"\nJust words, no headers: not a message.\n"])


def large_attachment(size: int = 20 * 1024 * 1024) -> bytes:
    """A message with a line of text and a base64 attachment of `size` bytes."""
    line = base64.b64encode(bytes(range(57))) + b"\n"
    return mbox(
        [
            message(
                b"--edge\nContent-Type: text/plain\n\nSee attached.\n"
                b"--edge\nContent-Type: application/octet-stream; name=big.bin\nContent-Transfer-Encoding: base64\n\n"
                + line * (size // 57 + 1)
                + b"--edge--\n",
                b"MIME-Version: 1.0",
                b"Content-Type: multipart/mixed; boundary=edge",
            )
        ]
    )


def empty() -> bytes:
    return b""


def not_an_mbox() -> bytes:
    return b"name,email\nAda,ada@sender.example\n"


def unquoted_from() -> bytes:
    """One message whose body has lines that begin with "From " after an empty line."""
    return (
        SEPARATOR + message(b"Hi,\n\nFrom what I hear it works.\n\nFrom Monday to Friday at 10:00 in 2002.\n") + b"\n"
    )
