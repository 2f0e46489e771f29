"""Archives of mail, made with the standard library: every way in which people export a mailbox."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sender.adapters.files.mail_archives import is_archive, unpack
from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.mbox import split
from email_sender.archive.message_parser import parse
from email_sender.errors import InvalidInput
from tests.fakes import mailboxes

CLEANER = MailTextCleaner()
ONE = (
    b"From: Ann <ann@people.example>\r\nSubject: One\r\nMessage-ID: <1@p.example>\r\n\r\n"
    b"First.\r\n\r\nFrom here on.\r\n"
)
TWO = b"From: Bob <bob@people.example>\nSubject: Two\nMessage-ID: <2@p.example>\n\nSecond."
MBOX = mailboxes.mbox([ONE.replace(b"\r\n", b"\n"), TWO + b"\n"])
BOTH = ["First.\n\nFrom here on.", "Second."]


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def texts(data: bytes) -> list[str]:
    mbox = b"".join(unpack(io.BytesIO(data), len(data)))
    return [parse(raw, CLEANER).text for raw in split(mbox)]


MAILDIR = {"Mail/cur/1.a:2,S": ONE, "Mail/new/2.b": TWO, "Mail/cur/3.c:2,ST": TWO, "Mail/dovecot.index": b"\0\1"}
ARCHIVES: dict[str, Callable[[], bytes]] = {
    "gzip of an mbox": lambda: gzip.compress(MBOX),
    "bzip2 of an mbox": lambda: bz2.compress(MBOX),
    "xz of an mbox": lambda: lzma.compress(MBOX),
    "zip of an mbox": lambda: zipped(**{"All mail.mbox": MBOX}),
    "zip of messages": lambda: zipped(**{"a/1.eml": ONE, "a/2.eml": TWO, "a/readme.txt": b"no mail"}),
    "zip of a Maildir": lambda: zipped(**MAILDIR),
    "tar of a Maildir": lambda: tarred(MAILDIR),
    "tgz of a Takeout": lambda: gzip.compress(tarred({"Takeout/Mail/All.mbox": MBOX, "Takeout/index.html": b"<html>"})),
    "zip of two mailboxes": lambda: zipped(a=mailboxes.mbox([ONE.replace(b"\r\n", b"\n")]), b=mailboxes.mbox([TWO])),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_mail_of_an_archive_is_read(name: str) -> None:
    data = ARCHIVES[name]()
    assert is_archive(data[:512])
    assert texts(data) == BOTH


def test_a_single_compressed_message_is_read() -> None:
    assert texts(gzip.compress(TWO)) == ["Second."]


def test_messages_of_a_folder_of_sent_mail_are_known_as_sent() -> None:
    data = zipped(**{"Maildir/.Sent/cur/1:2,S": ONE, "Maildir/cur/2:2,S": TWO})
    mbox = b"".join(unpack(io.BytesIO(data), len(data)))
    assert [parse(raw, CLEANER).is_sent for raw in split(mbox)] == [True, False]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped(**{"a.txt": b"nothing"}), "contains no mail"),
        (zipped(**{"a.mbox": MBOX})[:-30], "damaged"),
        (gzip.compress(MBOX * 100)[:-30], "damaged"),
        (gzip.compress(MBOX + b"x" * 400_000_000), "200 times"),
    ],
)
def test_an_archive_that_cannot_be_read_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        for _ in unpack(io.BytesIO(data), len(data)):
            pass


def test_an_outlook_data_file_is_refused_with_the_way_to_convert_it() -> None:
    with pytest.raises(InvalidInput, match="readpst"):
        is_archive(b"!BDN" + b"\0" * 500)


@pytest.mark.parametrize("data", [MBOX, ONE, b"", b"plain text"])
def test_other_files_are_no_archives(data: bytes) -> None:
    assert not is_archive(data[:512])


@given(st.binary(max_size=300), st.sampled_from([b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"]))
def test_damaged_archives_are_refused_and_never_crash(data: bytes, magic: bytes) -> None:
    with pytest.raises(InvalidInput):
        for _ in unpack(io.BytesIO(magic + data), len(data)):
            pass
