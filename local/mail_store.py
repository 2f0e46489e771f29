"""Sent mail on disk: the raw bytes of each mail, and a JSON file with its metadata."""

import json
import os
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from local.ses_events import Mail, events

_SES_DOMAIN = "email.amazonses.com"
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}")
_TAG = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*([A-Za-z0-9_.@-]*)\s*")


class MailStore:
    """A directory with `<id>.eml`, `<id>.json` and, until they are published, `events/<id>.json`. One writer."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._events_directory = directory / "events"
        self._events_directory.mkdir(parents=True, exist_ok=True)

    def add(self, sender: str, recipients: Sequence[str], raw: bytes) -> str:
        """Store a mail and the events that SES would publish. Return its message id.

        Once this returns, a kill loses nothing. A second call with the same message id changes nothing, because a relay
        that missed the response sends the mail again.
        """
        raw, ses_headers = _without_ses_headers(raw)
        headers = _headers(raw)
        message_id = str(headers.get("Message-ID", "")).strip("<> \t")
        if not _SAFE_ID.fullmatch(message_id):
            message_id = f"{uuid.uuid4()}@{_SES_DOMAIN}"
            if "Message-ID" not in headers:
                raw = f"Message-ID: <{message_id}>\r\n".encode() + raw
                headers = _headers(raw)
        if (self._directory / f"{message_id}.json").exists():
            return message_id

        tags = _tags(ses_headers.get("x-ses-message-tags", ""))
        configuration_set = ses_headers.get("x-ses-configuration-set")
        mail = Mail(message_id, sender, recipients, datetime.now(UTC), headers, tags, configuration_set)
        facts = {
            "id": message_id,
            "received": mail.received.isoformat(),
            "sender": sender,
            "recipients": list(recipients),
            "subject": str(headers.get("Subject", "")),
            "tags": tags,
            "configuration_set": configuration_set,
            "size": len(raw),
        }
        _write(self._directory / f"{message_id}.eml", raw)
        _write(self._events_directory / f"{message_id}.json", json.dumps(list(events(mail))).encode())
        _write(self._directory / f"{message_id}.json", json.dumps(facts).encode())  # last: now the mail is visible
        return message_id

    def messages(self) -> list[dict[str, Any]]:
        """Return the metadata of each mail, newest first."""
        all_facts = [json.loads(path.read_text()) for path in self._directory.glob("*.json")]
        return sorted(all_facts, key=lambda facts: str(facts["received"]), reverse=True)

    def raw(self, message_id: str) -> bytes | None:
        """Return the raw mail, or None if there is no mail with this id."""
        path = self._directory / f"{message_id}.eml"
        return path.read_bytes() if _SAFE_ID.fullmatch(message_id) and path.exists() else None

    def pending_events(self) -> list[Path]:
        """Return the files of unpublished events, oldest first. Each holds a list of [detail type, detail]."""
        return sorted(self._events_directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)


def _headers(raw: bytes) -> EmailMessage:
    headers: EmailMessage = BytesHeaderParser(policy=policy.default).parsebytes(raw)
    return headers


def _without_ses_headers(raw: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the mail without its X-SES-… headers, as SES sends it, and their values by lower-case name."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    fields: list[bytes] = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += b"\r\n" + line
        else:
            fields.append(line)
    ses_headers = {}
    remaining_fields = []
    for field in fields:
        name, _, value = field.partition(b":")
        if name.strip().lower().startswith(b"x-ses-"):
            ses_headers[name.strip().lower().decode()] = b" ".join(value.split()).decode(errors="replace")
        else:
            remaining_fields.append(field)
    return b"\r\n".join(remaining_fields) + separator + body, ses_headers


def _tags(header: str) -> dict[str, str]:
    """Parse `a=b, c=d`. Tags that SES would reject are left out."""
    return {match[1]: match[2] for part in header.split(",") if (match := _TAG.fullmatch(part))}


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    partial_path = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial_path.write_bytes(content)
    partial_path.rename(path)
