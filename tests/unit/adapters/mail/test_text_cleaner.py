"""Tests for the text of mails: the new text without quotes, and HTML as text."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.mbox import scan, split
from email_sender.archive.message_parser import TextCleaner, parse

CLEAN: TextCleaner = MailTextCleaner()
SAMPLE = Path(__file__).parents[4] / "examples" / "mailbox" / "lists-2002.mbox"

NEW_TEXT = {
    "reply above": ("Yes.\n\nOn Thu, 22 Aug 2002, Bo wrote:\n> Is it?\n> Well?\n", "Yes."),
    "reply below": ("On Thu, Bo Xu\n<bo@x.example> wrote:\n\n> Is it?\n\nYes.\n", "Yes."),
    "replies between": ("Bo writes:\n> One?\nYes.\n\n> Two?\nNo.\n", "Yes.\n\nNo."),
    "supercite": ('>>>>> "B" == Bo Xu <bo@x.example> writes:\n\n    B> Is it?\n    B> Well?\n\nYes.', "Yes."),
    "initials": ("Hello Bo,\n\nBX> Is it?\nBX> Well?\n\nYes.", "Hello Bo,\n\nYes."),
    "snipped": ("Hi,\n\nOn Sun, Bo wrote:\n\n[...]\n> Is it?\n\nYes.", "Hi,\n\nYes."),
    "headers and bars": ("    Date:  Wed\n    From:  Bo\n\n  | Is it?\n\nYes.", "Yes."),
    "Outlook": ("Yes.\n\n-----Original Message-----\nFrom: Bo\nSent: Thu\nSubject: x\n\nIs it?", "Yes."),
    "unquoted": ("Yes.\n\nOn 1 May 2024, at 10:00, Bo <bo@x.example> wrote:\n\nIs it?", "Yes."),
    "German": ("Ja.\n\nAm 01.05.2024 um 10:00 schrieb Bo Xu:\n> Wirklich?", "Ja."),
    "French": ("Oui.\n\nLe 1 mai 2024 à 10:00, Bo a écrit :\n> Vraiment ?", "Oui."),
    "signature": ("Yes.\n\n-- \nAda Byron\nAnalyst", "Yes."),
    "list footer": ("Yes.\n\n" + "_" * 47 + "\nTalk mailing list\nhttp://x.example\n", "Yes."),
    "hyphened list": ("Bring:\n- pen\n- paper\n\nSee you.", "Bring:\n- pen\n- paper\n\nSee you."),
    "indentation": ("Try\n\n    make all\n\nfirst.", "Try\n\n    make all\n\nfirst."),
    "tables": ("| a | b |\n| 1 | 2 |", "| a | b |\n| 1 | 2 |"),
    "prompts": ("SQL> select 1\nSQL> quit", "SQL> select 1\nSQL> quit"),
    "a forwarded message alone": (
        "--- begin forwarded text\n\nDate: x\nFrom: y\nSubject: z\n\nNews.",
        "--- begin forwarded text\n\nDate: x\nFrom: y\nSubject: z\n\nNews.",
    ),
    "a sentence that ends like an attribution": (
        "Hello,\n\nOn the whole I agree with what Anna wrote:\nthe roof can wait.\n\nPaul",
        "Hello,\n\nOn the whole I agree with what Anna wrote:\nthe roof can wait.\n\nPaul",
    ),
    "a sentence above a quotation": (
        "On the whole I agree with what Anna wrote:\n> It can wait.\n\nPaul",
        "On the whole I agree with what Anna wrote:\n\nPaul",
    ),
    "a form": (
        "The data:\n\nFrom: Berlin\nTo: Hamburg\nSubject: a removal\nDate: Monday\n\nCan you?",
        "The data:\n\nFrom: Berlin\nTo: Hamburg\nSubject: a removal\nDate: Monday\n\nCan you?",
    ),
    "a rule between two parts": ("One.\n\n---\n\nTwo.", "One.\n\n---\n\nTwo."),
    "all quoted": ("> a\n> b", ""),
}

NOISE = {
    "quotes": ">" * 200_000, "spaces": " " * 200_000, "newlines": "\n" * 200_000, "empty quotes": ">\n" * 100_000,
    "attributions": ("On " + "a " * 140 + "\n") * 700, "headers": "From: a\n" * 25_000, "dashes": "-" * 200_000,
    "underscores": ("_" * 40 + "\n\n") * 5_000, "thanks": "Thanks,\n" * 25_000, "wrote": "wrote:\n>\n" * 20_000,
    "disclaimers": ("Disclaimer:" + "a " * 100 + "\n") * 950, "bars": "| " * 100_000, "one line": "a" * 200_000,
}  # fmt: skip
MARKUP = {
    "open": "<" * 200_000, "bold": "<b>" * 200_000, "quotes": "<blockquote>" * 16_000, "comments": "<!--" * 200_000,
    "attributes": "<a x" * 200_000, "values": '<a="' * 200_000, "declarations": "<![CDATA[" * 20_000,
    "scripts": "<script>" * 25_000, "entities": "&#" + "9" * 200_000 + ";", "many": "&#99999999999;" * 14_000,
    "ends": "</" * 200_000, "closed values": '<a x=">' * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", NEW_TEXT)
def test_new_text_excludes_quotes_and_signatures(name: str) -> None:
    text, expected_text = NEW_TEXT[name]
    assert CLEAN.new_text(text) == expected_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("<head><title>No</title><style>p{}</style></head><body>Yes<script>no()</script>", "Yes"),
        ("a<!-- no --> b<!--[if mso]>no<![endif]-->", "a b"),
        ("<div style='display: none'>preview</div>Hi&nbsp;there\u200b", "Hi there"),
        ("Yes<blockquote>Is it?<blockquote>Older</blockquote></blockquote>End", "Yes\n> Is it?\n>> Older\n\nEnd"),
        ("<pre>a\nb</pre>", "a\nb"),
        ("<table><tr><td>1</td><td>2</td></tr></table>", "1 2"),
        ("1 < 2 &amp; 3", "1 < 2 & 3"),
        ("", ""),
    ],
)
def test_html_is_converted_to_text(html: str, text: str) -> None:
    assert CLEAN.from_html(html) == text


@pytest.mark.parametrize("name", NOISE)
def test_noise_is_cleaned_quickly(name: str) -> None:
    started = time.process_time()
    CLEAN.new_text(NOISE[name])
    assert time.process_time() - started < 10


@pytest.mark.parametrize("name", MARKUP)
def test_markup_is_converted_quickly(name: str) -> None:
    started = time.process_time()
    CLEAN.from_html(MARKUP[name])
    assert time.process_time() - started < 20


# No deadline: the first example also imports the libraries.
@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_cleaned(text: str) -> None:
    assert len(CLEAN.new_text(text)) <= len(text)
    CLEAN.from_html(text)


def test_libraries_are_imported_only_when_mail_is_read() -> None:
    code = (
        "import sys, email_sender.adapters.mail.text_cleaner; "
        "sys.exit(bool({'bs4', 'mailparser_reply'} & set(sys.modules)))"
    )
    path = str(Path(__file__).parents[4] / "layers/common/python")
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, check=False).returncode == 0


def test_the_sample_mailbox_is_read_completely() -> None:
    data = SAMPLE.read_bytes()
    chunks = list(scan([data], target_bytes=100_000))
    messages = [parse(raw, CLEAN) for chunk in chunks for raw in split(data[chunk.offset :][: chunk.length])]
    assert len({message.message_id for message in messages}) == len(messages) == sum(c.messages for c in chunks)
    # Some only forward a mail: those words are not their author's.
    assert all(message.text or "forwarded text" in message.full_text for message in messages)
    assert all(message.sender and message.sent_at for message in messages)
    # No address can reach a person: each host is under .example, an address literal or a bare name.
    assert all(message.sender and message.sender.email.endswith(".example") for message in messages)
    assert not any(message.is_automatic for message in messages)
    quoted = sum(line.startswith(">") for message in messages for line in message.text.split("\n"))
    assert quoted <= 25
