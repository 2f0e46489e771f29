"""Any mail that the builder makes is read back alike by our parser, the standard library and an independent parser."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from uuid import UUID

from fast_mail_parser import parse_email
from hypothesis import given, settings
from hypothesis import strategies as st

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.answer_tags import tagged_email_ids
from email_sender.archive.message_parser import parse
from email_sender.messaging.model import Contact, Content
from email_sender.messaging.outgoing_mail import Envelope, build

CLEANER = MailTextCleaner()
AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
EMAIL = UUID("01930000-0000-7000-8000-00000000e001")
# Printable text of any script, without control characters and surrogates.
LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp", "Co", "Cn"))
NAMES = st.text(LETTERS, max_size=60).map(lambda text: " ".join(text.split()))
SUBJECTS = st.text(LETTERS, min_size=1, max_size=300).map(lambda text: " ".join(text.split())).filter(bool)
LINES = st.text(LETTERS, max_size=1_200).map(str.rstrip)
TEXTS = st.lists(LINES, min_size=1, max_size=8).map("\n".join)
IDS = st.lists(st.from_regex(r"[a-z0-9-]{1,200}@[a-z0-9.-]{1,60}", fullmatch=True), max_size=4)


def same(text: str) -> str:
    """Return the text as mail carries it: line ends are one character, and the end has no empty lines."""
    return text.replace("\r\n", "\n").rstrip("\n")


@settings(max_examples=150, deadline=None)
@given(NAMES, SUBJECTS, TEXTS, IDS)
def test_built_mail_is_read_back_by_three_parsers(name: str, subject: str, text: str, references: list[str]) -> None:
    envelope = Envelope(
        "Café Acme <Hello@acme.example>",
        "https://mail.example/u/" + "A" * 300,
        EMAIL,
        UUID(int=2),
        "set",
        AT,
        references,
    )
    raw = build(envelope, Contact(UUID(int=3), "Ann.Smith@people.example", name), Content(subject, text))

    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.isascii()
    assert all(
        len(word) <= 75 for word in re.findall(rb"=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?=", raw.partition(b"\r\n\r\n")[0])
    )
    standard = message_from_bytes(raw, policy=default)
    assert isinstance(standard, EmailMessage)
    body = standard.get_body()
    assert body is not None
    encoded = str(body["Content-Transfer-Encoding"]) in ("base64", "quoted-printable")
    if encoded:
        assert all(len(line) <= 76 for line in raw.partition(b"\r\n\r\n")[2].split(b"\r\n"))
    parsed, independent = parse(raw, CLEANER), parse_email(raw)

    assert same(body.get_content()) == same(text) == same("".join(independent.text_plain))
    assert parsed.full_text == same(text).strip()
    assert str(make_header(decode_header(str(message_from_bytes(raw)["Subject"])))) == subject
    assert parsed.subject == independent.subject == subject
    (recipient,) = standard["To"].addresses
    assert recipient.addr_spec == "Ann.Smith@people.example"
    assert parsed.recipients[0].mailbox == "Ann.Smith@people.example"
    # The standard library's newer parser keeps the space between two encoded words of a name (findings/).
    encoded_name, _ = parseaddr(str(message_from_bytes(raw)["To"]))
    assert str(make_header(decode_header(encoded_name))) == parsed.recipients[0].name == name
    assert list(parsed.references) == list(dict.fromkeys(references))
    assert parsed.in_reply_to == (references[-1] if references else None)
    assert parsed.reply_to is not None
    assert tagged_email_ids([parsed.reply_to.email]) == [EMAIL]
