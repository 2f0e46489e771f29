"""Tests for raw outgoing mail, parsed by the standard library."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from email_sender.errors import InvalidInput
from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import Contact, Content
from email_sender.messaging.outgoing_mail import Envelope, build

HELLO = Content("Hello", "Text\n")
LINK = "https://mail.example/api/v1/unsubscribe/v1.k1." + "A" * 254


def raw(
    sender: str = "Acme Support <support@acme.example>",
    name: str | None = "Ann",
    address: str = "ann@example.org",
    content: Content = HELLO,
) -> bytes:
    envelope = Envelope(sender, LINK, new_id(), new_id(), "set-1", datetime(2026, 5, 4, 12, tzinfo=UTC))
    return build(envelope, Contact(new_id(), address, name), content)


def parsed(*args: Any, **kwargs: Any) -> EmailMessage:
    message = message_from_bytes(raw(*args, **kwargs), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def test_the_unsubscribe_header_stays_on_one_line_for_a_long_link() -> None:
    assert len(LINK) == 300
    lines = raw().split(b"\r\n")
    assert f"List-Unsubscribe: <{LINK}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines


def test_every_line_ends_with_crlf_and_is_within_the_length_limit() -> None:
    long = Content("x " * 600, "word " * 2000 + "\n" + "y" * 5000, "<p>" + "z" * 5000 + "</p>")
    raw_mail = raw(content=long)
    assert b"\n" not in raw_mail.replace(b"\r\n", b"")
    assert max(len(line) for line in raw_mail.split(b"\r\n")) <= 998


@pytest.mark.parametrize(
    "subject",
    ["Hello", "Grüße aus Köln", "你好世界", "🎉 " * 60, "a" * 300, 'comma, <angle> "quote"', "=?utf-8?q?x?="],
)
def test_a_subject_arrives_unchanged(subject: str) -> None:
    message = parsed(content=Content(subject, "Text"))
    assert str(message["Subject"]).strip() == subject.strip()


@pytest.mark.parametrize("name", ["Ann", "Zoë Müller", "李雷", 'O"Brien, Ann <x>', "ann@example.com", ""])
def test_a_name_arrives_unchanged_and_adds_no_recipient(name: str) -> None:
    (to,) = parsed(name=name)["To"].addresses
    assert (to.display_name, to.addr_spec) == (name, "ann@example.org")


def test_a_sender_name_that_is_not_ascii_arrives_unchanged() -> None:
    (sender,) = parsed(sender="Café Zoë <cafe@acme.example>")["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Café Zoë", "cafe@acme.example")


@pytest.mark.parametrize("evil", ["x\r\nBcc: eve@example.org", "x\nBcc: eve@example.org", "x\rBcc: eve@example.org"])
def test_a_line_break_in_a_header_is_refused(evil: str) -> None:
    for bad in ({"name": evil}, {"content": Content(evil, "Text")}, {"address": f"{evil}@example.org"}):
        with pytest.raises(InvalidInput):
            raw(**bad)


@pytest.mark.parametrize("address", ["", "ann", "ann@", "ann@example.org, eve@example.org"])
def test_an_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        raw(address=address)


def test_text_and_html_are_alternatives_and_arrive_unchanged() -> None:
    message = parsed(content=Content("s", "Grüße\n.\nFrom here\n", "<p>Grüße</p>\n"))
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert message.get_content_type() == "multipart/alternative"
    assert plain.get_content().replace("\r\n", "\n") == "Grüße\n.\nFrom here\n"
    assert html.get_content().replace("\r\n", "\n") == "<p>Grüße</p>\n"
    assert parsed().get_content_type() == "text/plain"
