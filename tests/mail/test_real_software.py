"""Mail that real servers, responders and clients write. data/README.md says how it was made."""

import json
from pathlib import Path
from typing import Any

import pytest

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.authorship import OwnAddresses, find_contact
from email_sender.archive.mail_kinds import MailKind
from email_sender.archive.message_parser import parse

DATA = Path(__file__).parent / "data"
CLEANER = MailTextCleaner()
SERVERS: dict[str, dict[str, Any]] = json.loads((DATA / "servers/expected.json").read_text())


def read_lines(name: str) -> dict[str, dict[str, Any]]:
    return {
        entry["name"]: entry for line in (DATA / name).read_text().splitlines() if line for entry in [json.loads(line)]
    }


REPLIES = {**read_lines("replies.ndjson"), **read_lines("outlook.ndjson")}
SENDERS = read_lines("senders.ndjson")


def without_blank_lines(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())


@pytest.mark.parametrize("name", SERVERS)
def test_what_a_server_writes_has_its_kind_and_its_recipients(name: str) -> None:
    parsed = parse((DATA / "servers" / name).read_bytes(), CLEANER)
    expected = SERVERS[name]
    assert parsed.kind == expected["kind"], parsed.kind_sign
    assert parsed.is_automatic is expected["automatic"]
    recipients = [
        [one.address, one.final_address, one.action, one.is_permanent, one.status]
        for one in (parsed.report.recipients if parsed.report else ())
    ]
    assert sorted(map(str, recipients)) == sorted(map(str, expected["recipients"]))


def test_a_good_address_that_shares_the_diagnostic_of_a_bad_one_is_not_proved_bad() -> None:
    parsed = parse((DATA / "servers/nullmailer-good-and-bad.eml").read_bytes(), CLEANER)
    assert parsed.report is not None
    assert [one.proves_bad_address for one in parsed.report.recipients] == [False, False]


@pytest.mark.parametrize("name", REPLIES)
def test_a_clients_answer_has_the_text_that_its_author_wrote(name: str) -> None:
    entry = REPLIES[name]
    parsed = parse(entry["raw"].encode("utf-8", "surrogateescape"), CLEANER)
    assert without_blank_lines(parsed.text) == without_blank_lines(entry["text"])


@pytest.mark.parametrize("name", SENDERS)
def test_the_contact_is_the_person_behind_a_message(name: str) -> None:
    entry = SENDERS[name]
    parsed = parse(entry["raw"].encode("utf-8", "surrogateescape"), CLEANER)
    contact = find_contact(parsed, OwnAddresses.of(entry.get("own", [])))
    assert parsed.kind == MailKind(entry["kind"]), parsed.kind_sign
    assert (contact.email if contact else None) == entry["author"]
