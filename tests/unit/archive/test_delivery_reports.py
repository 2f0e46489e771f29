"""Tests for delivery reports that no server of the collection in tests/mail writes."""

import pytest

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.delivery_reports import DeliveryReport
from email_sender.archive.message_parser import parse

EXCHANGE = b"""From: System Administrator <postmaster@dest.example>
To: anna@client.example
Subject: Undeliverable: Offer for a new roof
Content-Type: text/plain

Your message

  To:      Paul
  Subject: Offer for a new roof

did not reach the following recipient(s):

c=DE;a= ;p=DEST;o=HQ;dda:SMTP=paul@dest.example; on Thu, 1 Feb 2024 10:11:15 +0100
    The recipient name is not recognized
    MSEXCH:IMS:DEST:HQ:MAIL1 0 (000C05A6) Unknown Recipient
"""

COMPLAINT = b"""From: abuse@isp.example
To: hello@acme.example
Subject: FW: Offer for a new roof
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is a report about a message.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Reporter/1.0
Version: 1

--b
Content-Type: message/rfc822

From: hello@acme.example
To: redacted@people.example
Subject: Offer for a new roof
Message-ID: <0102018f-1@email.amazonses.com>

Hello.
--b--
"""


def report_of(raw: bytes) -> DeliveryReport:
    report = parse(raw, MailTextCleaner()).report
    assert report is not None
    return report


@pytest.mark.parametrize("others", [(), ("bertha@dest.example",), ("bertha@dest.example", "carl@dest.example")])
def test_every_recipient_of_a_report_without_fields_is_read(others: tuple[str, ...]) -> None:
    """The wording is known to flufl.bounce only."""
    line = b"c=DE;a= ;p=DEST;o=HQ;dda:SMTP=%s; on Thu, 1 Feb 2024 10:11:15 +0100\n    Unknown\n"
    more = b"".join(line % address.encode() for address in others)
    report = report_of(EXCHANGE.replace(b"    MSEXCH", more + b"    MSEXCH"))
    assert sorted(recipient.address for recipient in report.recipients) == sorted(["paul@dest.example", *others])
    assert {(recipient.action, recipient.is_permanent) for recipient in report.recipients} == {("failed", True)}


@pytest.mark.parametrize("kind", [b"abuse", b"fraud", b"opt-out", b"something new"])
def test_a_complaint_names_the_mail_it_is_about(kind: bytes) -> None:
    report = report_of(COMPLAINT.replace(b"abuse\nUser", kind + b"\nUser"))
    assert report == DeliveryReport((), ("0102018f-1@email.amazonses.com",))


@pytest.mark.parametrize("kind", [b"not-spam", b"auth-failure", b"Virus"])
def test_a_report_in_which_nobody_complains_has_no_consequence(kind: bytes) -> None:
    assert parse(COMPLAINT.replace(b"abuse\nUser", kind + b"\nUser"), MailTextCleaner()).report is None
