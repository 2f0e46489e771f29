"""Tests for parsing mail messages and addresses."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.mail_kinds import MailKind
from email_sender.archive.mbox import split
from email_sender.archive.message_parser import Address, ParsedMessage, normalise_address, parse
from email_sender.errors import InvalidInput
from tests.fakes import mailboxes
from tests.fakes.mailboxes import message

CLEAN = MailTextCleaner()
FRAGMENTS = st.lists(
    st.sampled_from([
        b"From: a@b.example\n", b"From: \xe9@b\n", b"To: x, <y@z>, (\n", b"Subject: =?utf-8?b?4pyT?= =?x?q?\xff=?\n",
        b"Date: Thu, 32 Foo 99999\n", b"Content-Type: multipart/alternative; boundary=e\n", b"\n", b"--e\n", b"--e--\n",
        b"Content-Type: text/html; charset=utf-16\n", b"Content-Transfer-Encoding: base64\n", b"4pyT\x00=!!\n",
        b"Content-Transfer-Encoding: quoted-printable\n", b"=E9=\n", b"Content-Type: message/rfc822\n",
        b"Content-Type: text/plain; charset*0*=x; charset*=y''%\n", b"<p>a<blockquote>b", b" folded\n", b"\r\n",
        b"> q\n",
        b"Content-Disposition: attachment; filename*1=a; filename*=b\n", b"On Monday, X wrote:\n", b"-- \n",
        b"Content-Transfer-Encoding: x-uuencode\n", b"begin 644 a\nM\n", b"References: <a> <b c> <<>\n",
    ]),
    max_size=25,
).map(b"".join)  # fmt: skip


def read(raw: bytes) -> ParsedMessage:
    return parse(raw, CLEAN)


def assert_encodable(parsed: ParsedMessage) -> None:
    for field in fields(parsed):
        text = repr(getattr(parsed, field.name)) if field.name in ("sender", "recipients") else ""
        value = getattr(parsed, field.name)
        values = value if isinstance(value, tuple) else (value,)
        for string in [*[item for item in values if isinstance(item, str)], text]:
            string.encode("utf-8")
            assert "\x00" not in string


# No deadline: the first example also imports the libraries.
@settings(deadline=None)
@given(st.one_of(st.binary(max_size=500), FRAGMENTS, st.binary(max_size=200).map(lambda raw: message(raw, raw))))
@example(b"From: a@b\nContent-Type: text/plain; charset*" + b"9" * 5000 + b"=y\n\nx")
@example(b"From:\nContent-Type:;a*0;a*\n\x80")
def test_any_bytes_are_parsed_or_rejected_with_a_reason(raw: bytes) -> None:
    try:
        parsed = read(raw)
    except InvalidInput as error:
        # A message that only the catch-all of parse() rejects is a bug.
        if error.detail not in ("The message is empty.", "The message has no headers."):
            raise
        return
    assert_encodable(parsed)
    assert read(raw) == parsed


def test_a_well_formed_message_is_parsed() -> None:
    raw = message(
        b"Fine, thanks.\n\nOn Wed, 21 Aug 2002, Bo wrote:\n> How are you?\n\n-- \nAda\n",
        b"In-Reply-To: <zero@sender.example>",
        b"References: <first@sender.example>\n <zero@sender.example>",
        b"Cc: Bo <BO@Receiver.Example>, team@receiver.example",
        b"List-Id: The list <Talk.Lists.Example>",
        b"Precedence: bulk",
    )
    parsed = read(raw)
    assert parsed.full_text.endswith("Ada")
    assert parsed == ParsedMessage(
        message_id="one@sender.example",
        in_reply_to="zero@sender.example",
        references=("first@sender.example", "zero@sender.example"),
        subject="A question",
        sender=Address("Ada Byron", "ada@sender.example"),
        recipients=(Address("", "team@receiver.example"), Address("Bo", "bo@receiver.example")),
        sent_at=datetime(2002, 8, 22, 11, 26, 25, tzinfo=UTC),
        text="Fine, thanks.",
        full_text=parsed.full_text,
        list_id="talk.lists.example",
        kind=MailKind.PERSON,
        author=Address("Ada Byron", "ada@sender.example"),
        attachments=0,
        problems=(),
    )


def parse_single_message(data: bytes) -> ParsedMessage:
    return read(split(data)[0])


def nested(depth: int) -> bytes:
    parts = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (level, level) for level in range(depth)
    )
    return mailboxes.HEADERS + parts + b"\ndeep\n"


HTML = b"Content-Type: text/html; charset=utf-8"
MIXED = b"Content-Type: multipart/mixed; boundary=e"
ALTERNATIVE = b"Content-Type: multipart/alternative; boundary=e"
UNUSUAL_MESSAGES: dict[str, tuple[bytes, Callable[[ParsedMessage], bool]]] = {
    "truncated MIME": (
        split(mailboxes.truncated_mime())[0],
        lambda m: m.text == "The text is whole." and m.attachments == 1 and "truncated" in m.problems[0],
    ),
    "UTF-8 that says ASCII": (
        split(mailboxes.wrong_charset())[0],
        lambda m: m.text == "Déjà vu, 日本." and m.problems == ("8-bit text without a charset read as utf-8",),
    ),
    "Latin-1 that says UTF-8": (
        split(mailboxes.wrong_charset())[1],
        lambda m: m.text == "Déjà vu." and m.problems == ("text that is not utf-8 read as windows-1252",),
    ),
    "unknown charset": (
        split(mailboxes.wrong_charset())[2],
        lambda m: m.text == "Déjà vu." and m.problems == ("unknown charset x-nobody read as windows-1252",),
    ),
    "a charset that is a codec": (
        message(b"a\xe9-b", b"Content-Type: text/plain; charset=unicode_escape"),
        lambda m: m.text == "aé-b" and "unknown charset" in m.problems[0],
    ),
    "8-bit headers": (b"From: Andr\xe9 <a@b.example>\nSubject: \xc3\xa9\n\nx", lambda m: m.subject == "é"),
    "8-bit name": (
        "From: André <a@b.example>\n\nx".encode(),
        lambda m: m.sender == Address("André", "a@b.example"),
    ),
    "encoded name with a comma": (
        b"From: =?utf-8?q?Byron=2C_Ad=C3=A9?= <a@b.example>\n\nx",
        lambda m: m.sender == Address("Byron, Adé", "a@b.example"),
    ),
    "unquoted comma": (
        b"From: Byron, Ada <a@b.example>\n\nx",
        lambda m: m.sender is not None and m.sender.email == "a@b.example",
    ),
    "words cut inside a character": (
        b"From: a@b.example\nSubject: =?utf-8?b?4pw=?= =?utf-8?b?kw==?= ok\n\nx",
        lambda m: m.subject == "✓ ok",
    ),
    "broken words": (
        b"From: a@b.example\nSubject: =?utf-8?b?A?= =?nobody?q?=E9?=\n\nx",
        lambda m: bool(m.subject) and bool(m.problems),
    ),
    "HTML alone": (message(b"<html><style>x</style><p>Hello&nbsp;you", HTML), lambda m: m.text == "Hello you"),
    "HTML with a plain footer": (
        message(b"--e\n" + HTML + b"\n\n<p>Hello\n--e\n\nA list\n--e--\n", MIXED),
        lambda m: m.text == "Hello\n\nA list",
    ),
    "an empty plain alternative": (
        message(b"--e\n\n \n--e\n" + HTML + b"\n\n<p>Hello\n--e--\n", ALTERNATIVE),
        lambda m: m.text == "Hello" and m.attachments == 0,
    ),
    "alternatives": (
        message(b"--e\n\nPlain\n--e\n" + HTML + b"\n\n<p>Rich\n--e--\n", ALTERNATIVE),
        lambda m: m.text == "Plain" and m.attachments == 0,
    ),
    "garbage for base64": (
        message(b"\x00!!not base64!!\n", b"Content-Transfer-Encoding: base64"),
        lambda m: any("base64" in problem for problem in m.problems),
    ),
    "a date without a zone": (
        b"From: a@b.example\nDate: Thu, 22 Aug 2002 18:26:25\n\nx",
        lambda m: m.sent_at == datetime(2002, 8, 22, 18, 26, 25, tzinfo=UTC) and "zone" in " ".join(m.problems),
    ),
    "an impossible date": (
        b"From: a@b.example\nDate: Thu, 32 Aug 2002 18:26:25 +0000\n\nx",
        lambda m: m.sent_at is None and "impossible date" in m.problems,
    ),
    "a date from Received": (
        b"Received: from x by y; Thu, 22 Aug 2002 07:36:16 -0400 (EDT)\nFrom: a@b.example\n\nx",
        lambda m: m.sent_at == datetime(2002, 8, 22, 11, 36, 16, tzinfo=UTC),
    ),
    "a zone of a thousand hours": (
        b"From: a@b.example\nDate: Thu, 22 Aug 2002 18:26:25 +99999999\n\nx",
        lambda m: m.sent_at is None or m.sent_at.year == 2002,
    ),
    "several From": (
        b"From: a@b.example\nFrom: c@d.example\n\nx",
        lambda m: m.sender == Address("", "a@b.example") and "several From" in " ".join(m.problems),
    ),
    "no sender": (b"Subject: x\n\nx", lambda m: m.sender is None and "no sender" in m.problems),
    "NUL and lone surrogates": (
        b"From: a@b.example\nSubject: a\x00b =?utf-16?b?2AA=?=\n\nx\x00y\xed\xa0\x80",
        lambda m: m.subject.startswith("ab") and m.text.startswith("xy"),
    ),
    "no Message-ID": (b"From: a@b.example\n\nx", lambda m: m.message_id.startswith("sha256:")),
    "two Message-IDs": (
        b"From: a@b.example\nMessage-ID: <1@x>\nMessage-ID: <2@x>\n\nx",
        lambda m: m.message_id == "1@x",
    ),
    "an address before the id": (
        b"From: a@b.example\nIn-Reply-To: Message from A <a@b.example> of \"today\" <1@x>\n\nx",
        lambda m: m.in_reply_to == "1@x",
    ),
    "many references": (
        b"From: a@b.example\nReferences: " + b" ".join(b"<%d@x>" % n for n in range(300)) + b"\n\nx",
        lambda m: len(m.references) == 100 and m.references[0] == "0@x" and m.references[-1] == "299@x",
    ),
    "a long subject": (b"From: a@b.example\nSubject: " + b"x" * 5000 + b"\n\nx", lambda m: len(m.subject) == 998),
    "an attached message": (
        message(b"--e\n\nSee.\n--e\nContent-Type: message/rfc822\n\n" + message() + b"--e--\n", MIXED),
        lambda m: m.text == "See." and m.attachments == 1,
    ),
    "fifty levels": (nested(50), lambda m: m.text == "deep"),
    "five thousand levels": (nested(5000), lambda m: "nested too deeply: the body was not read" in m.problems),
    "nested and long": (nested(150) + b"line of text\n" * 200_000, lambda m: "nested too deeply" in m.problems[0]),
    "parentheses": (b"From: " + b"(" * 60_000 + b"\nTo: a@b.example\n\nx", lambda m: m.sender is None),
    "no body": (b"From: a@b.example", lambda m: m.text == "" and "no text" in m.problems),
}  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", UNUSUAL_MESSAGES)
def test_an_unusual_message_is_parsed(name: str) -> None:
    raw, is_as_expected = UNUSUAL_MESSAGES[name]
    parsed = read(raw)
    assert_encodable(parsed)
    assert is_as_expected(parsed), parsed


@pytest.mark.timeout(20)
def test_a_large_attachment_is_counted_and_not_decoded() -> None:
    parsed = parse_single_message(mailboxes.large_attachment())
    assert (parsed.text, parsed.attachments, parsed.problems) == ("See attached.", 1, ())


@pytest.mark.parametrize("raw", [split(mailboxes.no_headers())[0], b"words alone", b"\x00\xff", b"Note: x\n\ny"])
def test_bytes_without_headers_are_rejected(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="The message has no headers"):
        read(raw)


@pytest.mark.parametrize(
    ("headers", "automatic"),
    [
        (b"Auto-Submitted: auto-replied; x", True),
        (b"Auto-Submitted: no", False),
        (b"X-Autoreply: yes", True),
        (b"Return-Path: <>", True),
        (b"Precedence: bulk", True),
        (b"Precedence: bulk\nList-Id: <a.b>", True),
        (b"Precedence: bulk\nList-Id: <a.b>\nList-Post: <mailto:a@b>", False),
        (b"Precedence: bulk\nList-Id: <team.receiver.example>", False),
        (b"Precedence: bulk\nSender: owner-talk@lists.example", False),
        (b"Precedence: auto_reply\nList-Id: <a.b>", True),
        (b"Precedence: list", False),
        (b"Content-Type: multipart/report; boundary=e", True),
    ],
)
def test_automatic_messages_are_recognised_by_their_headers(headers: bytes, automatic: bool) -> None:
    assert read(message(b"x\n", headers)).is_automatic is automatic


@pytest.mark.parametrize(
    ("local", "automatic"),
    [("MAILER-DAEMON", True), ("no-reply", True), ("talk-bounces", True), ("donotreply+1", True), ("nora", False)],
)
def test_automatic_senders_are_recognised_by_their_address(local: str, automatic: bool) -> None:
    assert read(f"From: {local}@b.example\n\nx".encode()).is_automatic is automatic


@pytest.mark.parametrize(
    ("address", "normal_form"),
    [
        (" Ada@Sender.Example ", "ada@sender.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        ("ade\u0301@sender.example", "adé@sender.example"),
        ('"ada"@sender.example', "ada@sender.example"),
        ('"Ada Byron"@sender.example', '"ada byron"@sender.example'),
        ("root@localhost", "root@localhost"),
        ("ada@sender.example.", "ada@sender.example"),
        ("ada@[66.149.49.6]", "ada@[66.149.49.6]"),
    ],
)
def test_an_address_is_normalised(address: str, normal_form: str) -> None:
    assert normalise_address(address) == normal_form


@pytest.mark.parametrize(
    "address",
    ["", "@", "ada", "ada@", "@b.example", "a b@c.example", "a@b..c", "a@b c", "a\x00@b", "a@\ud800", "a" * 400],
)
def test_an_invalid_address_is_rejected(address: str) -> None:
    with pytest.raises(InvalidInput):
        normalise_address(address)


@given(st.one_of(st.text(max_size=30), st.tuples(st.text(max_size=20), st.text(max_size=20)).map("@".join)))
def test_normalising_an_address_twice_changes_nothing(text: str) -> None:
    try:
        normal = normalise_address(text)
    except InvalidInput:
        return
    assert normalise_address(normal) == normal
    normal.encode("utf-8")
