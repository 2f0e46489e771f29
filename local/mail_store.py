"""The mail that left, on disk: each as the bytes that left, and beside it what is known about it."""

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
    """`<id>.eml`, `<id>.json` and, until the bus has them, `events/<id>.json`. One writer."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pending = directory / "events"
        self._pending.mkdir(parents=True, exist_ok=True)

    def add(self, sender: str, recipients: Sequence[str], raw: bytes) -> str:
        """Keep a mail and what SES would say about it; answers its message id.

        Once this returns, nothing of it is lost by a kill. The same message id a second time changes nothing: a relay
        that did not hear the answer sends again.
        """
        raw, removed = _without_ses_headers(raw)
        headers = _headers(raw)
        message_id = str(headers.get("Message-ID", "")).strip("<> \t")
        if not _SAFE_ID.fullmatch(message_id):
            message_id = f"{uuid.uuid4()}@{_SES_DOMAIN}"
            if "Message-ID" not in headers:
                raw = f"Message-ID: <{message_id}>\r\n".encode() + raw
                headers = _headers(raw)
        if (self._directory / f"{message_id}.json").exists():
            return message_id

        tags = _tags(removed.get("x-ses-message-tags", ""))
        configuration_set = removed.get("x-ses-configuration-set")
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
        _write(self._pending / f"{message_id}.json", json.dumps(list(events(mail))).encode())
        _write(self._directory / f"{message_id}.json", json.dumps(facts).encode())  # last: now it is there
        return message_id

    def messages(self) -> list[dict[str, Any]]:
        """What is known about each mail, newest first."""
        known = [json.loads(path.read_text()) for path in self._directory.glob("*.json")]
        return sorted(known, key=lambda facts: str(facts["received"]), reverse=True)

    def raw(self, message_id: str) -> bytes | None:
        """The mail as it left, or None."""
        path = self._directory / f"{message_id}.eml"
        return path.read_bytes() if _SAFE_ID.fullmatch(message_id) and path.exists() else None

    def pending_events(self) -> list[Path]:
        """Files of events that the bus does not have yet, oldest first; each is a list of [detail type, detail]."""
        return sorted(self._pending.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)


def _headers(raw: bytes) -> EmailMessage:
    headers: EmailMessage = BytesHeaderParser(policy=policy.default).parsebytes(raw)
    return headers


def _without_ses_headers(raw: bytes) -> tuple[bytes, dict[str, str]]:
    """The mail without the X-SES-… headers, which SES reads and removes, and their values by lower-case name."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    fields: list[bytes] = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += b"\r\n" + line
        else:
            fields.append(line)
    removed = {}
    kept = []
    for field in fields:
        name, _, value = field.partition(b":")
        if name.strip().lower().startswith(b"x-ses-"):
            removed[name.strip().lower().decode()] = b" ".join(value.split()).decode(errors="replace")
        else:
            kept.append(field)
    return b"\r\n".join(kept) + separator + body, removed


def _tags(header: str) -> dict[str, str]:
    """`a=b, c=d` as a dict; what SES would refuse is left out."""
    return {match[1]: match[2] for part in header.split(",") if (match := _TAG.fullmatch(part))}


def _write(path: Path, content: bytes) -> None:
    """All of the file or nothing of it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    aside.write_bytes(content)
    aside.rename(path)
