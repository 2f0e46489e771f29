"""Read reports about a mail's delivery: RFC 3464 fields where a server writes them, else the text.

Servers disagree on every field, so the action decides, not the status: exim, opensmtpd and courier write 5.0.0 for any
failure, and expired mail has 4.4.1, 4.4.7 or 5.0.0. The address that was mailed and the address that failed differ
behind an alias, and servers put either into Final-Recipient.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from email.message import Message

from email_sender.archive.addresses import normalise_address, read_addresses
from email_sender.archive.body_text import PARSER_ERRORS, Mail, content_type, source, stored_payload
from email_sender.archive.decoding import clean_line, clean_text
from email_sender.errors import InvalidInput

STATUS_TYPES = frozenset(("message/delivery-status", "message/global-delivery-status"))
FEEDBACK_TYPE = "message/feedback-report"
# The recipient says that the mail is no spam; a report about signatures (RFC 6591); a report about a virus.
_NO_COMPLAINTS = frozenset(("not-spam", "auth-failure", "virus"))
ORIGINAL_TYPES = frozenset(("message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"))
_MAX_REPORT_BYTES = 200_000
_MAX_RECIPIENTS = 100
_MAX_DIAGNOSTIC = 1_000
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60}):[ \t]*(.*)")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_CODE = re.compile(r"(?<![\d.])([45])\d\d[ -]")
_NOT_YET = re.compile(
    r"\bexpired\b|\btimed? ?out\b|retry time|too long|giving up after|connection refused|network is|unreachable|"
    r"no route to|temporar|try again|connect failed",
    re.IGNORECASE,
)
_SIEVE = re.compile(r"^Reporting-UA:.*(?:sieve|dovecot|cyrus|mail delivery)", re.IGNORECASE | re.MULTILINE)
_DELETED = re.compile(r"^Disposition:[^;\n]*automatic[^;\n]*;\s*deleted", re.IGNORECASE | re.MULTILINE)
_GENERAL_STATUSES = ("5.0.0", "4.0.0", "")
_ABOUT_CONTENT = re.compile(
    r"spam|blocked|policy|blacklist|block list|too large|too big|virus|full|quota", re.IGNORECASE
)
# The recipient paragraph of qmail and its descendants, of dma, and of servers that only write text.
_TEXT_RECIPIENT = re.compile(
    r"^[ \t]*<([^<>\s]{3,320})>:?[ \t]*(?:\((?:expanded )?from[^)]*\))?:?[ \t]*$"
    r"|delivering your mail to <([^<>\s]{3,320})>"
    r"|^[ \t]{0,8}<([^<>\s]{3,320})>:[ \t]*\S",
    re.MULTILINE,
)
_RETURNED_ID = re.compile(r"^Message-I[dD]:\s*<([^<>\s]{3,998})>", re.MULTILINE | re.IGNORECASE)
_FINAL_SUBJECT = re.compile(r"\s*(?:returned mail|undeliver|(?:mail )?delivery failed)", re.IGNORECASE)
_FINAL_TEXT = re.compile(r"envelope expired|giving up|given up", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """One recipient of a report.

    `address` is what was mailed, `final_address` where it failed behind an alias. `action` is one of RFC 3464:
    failed, delayed, delivered, relayed, expanded. `status` is the most exact enhanced status code that the server
    wrote. `is_permanent`: the servers will not try again. `is_shared`: several recipients have this same diagnostic, so
    it may belong to another of them.
    """

    address: str
    final_address: str
    action: str
    status: str | None = None
    diagnostic: str | None = None
    is_permanent: bool = False
    is_shared: bool = False

    @property
    def proves_bad_address(self) -> bool:
        """Whether mail to this address is useless: not for a full mailbox, a refused text or a refused sender."""
        is_about_address = self.status is None or self.status.startswith(("5.0.", "5.1.")) or self.status == "5.2.1"
        is_refusal = bool(self.diagnostic and _ABOUT_CONTENT.search(self.diagnostic))
        return self.is_permanent and not self.is_shared and is_about_address and not is_refusal


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a report says. `message_ids` are those of the mail it is about, if the report returns its headers."""

    recipients: tuple[ReportedRecipient, ...]
    message_ids: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        """Return the worst action: failed before delayed before the successes."""
        actions = {recipient.action for recipient in self.recipients}
        return next(
            (action for action in ("failed", "delayed", "delivered", "relayed", "expanded") if action in actions), ""
        )


def read_report(message: Mail, parts: Sequence[Mail], text: str, subject: str) -> DeliveryReport | None:
    """Return the delivery report in a message, or None if it is none.

    `parts` are the message's parts without the insides of attached messages, `text` is its readable text. Bounces
    without fields are read with flufl.bounce, which knows many servers' wording; this is slow, so callers ask only for
    mail that looks like a bounce.
    """
    status_text = "\n\n".join(_status_text(part) for part in parts if content_type(part) in STATUS_TYPES)[
        :_MAX_REPORT_BYTES
    ]
    originals = [headers for part in parts if (headers := _original_headers(part))]
    returned_ids = [found for headers in originals for found in _RETURNED_ID.findall(headers)]
    if not originals:
        returned_ids = _RETURNED_ID.findall(text)
    mailed = _mailed_addresses(originals[0] if originals else text)
    is_final = bool(_FINAL_TEXT.search(text) or _FINAL_SUBJECT.match(subject))
    recipients = list(_from_fields(status_text, text, is_final=is_final)) if status_text else []
    recipients = recipients or list(_from_refusal(message, parts)) or list(_from_text(message, text))
    if not recipients:
        return None
    failed = [one for one in recipients if one.action == "failed"]
    if len(mailed) == 1 and all(one.address not in mailed for one in recipients):
        recipients = [replace(one, address=mailed[0]) for one in recipients]
    shared = {one.diagnostic for one in failed if [other.diagnostic for other in failed].count(one.diagnostic) > 1}
    recipients = [replace(one, is_shared=one.action == "failed" and one.diagnostic in shared) for one in recipients]
    return DeliveryReport(tuple(recipients[:_MAX_RECIPIENTS]), tuple(dict.fromkeys(returned_ids[:5])))


def read_complaint(parts: Sequence[Mail]) -> DeliveryReport | None:
    """Return which mail a report of RFC 5965 complains about, or None if nobody complains in it.

    Providers black out the recipient, so the report names none.
    """
    fields = _fields("\n".join(_status_text(part) for part in parts if content_type(part) == FEEDBACK_TYPE))
    if fields.get("feedback-type", "").strip().lower() in _NO_COMPLAINTS:
        return None
    headers = "\n".join(map(_original_headers, parts))
    return DeliveryReport((), tuple(dict.fromkeys(_RETURNED_ID.findall(headers)))[:5])


def _from_fields(status_text: str, text: str, *, is_final: bool) -> Iterator[ReportedRecipient]:
    for block in re.split(r"\n[ \t]*\n", status_text):
        fields = _fields(block)
        final = _address(fields.get("final-recipient", ""))
        original = _address(fields.get("original-recipient", ""))
        if not final and not original:
            continue
        action = next(iter(fields.get("action", "").lower().split()), "failed")
        action = {"undeliverable": "failed", "deliverable": "delivered", "transferred": "relayed"}.get(action, action)
        diagnostic = fields.get("diagnostic-code") or _text_about(text, final or original)
        if action == "delayed" and is_final:
            action = "failed"  # opensmtpd and nullmailer give up with the action of a delay
        status = _exact_status(fields.get("status", ""), diagnostic)
        mailed, target = original or final, final or original
        actual = _address(fields.get("x-actual-recipient", ""))
        if actual and not original:
            mailed, target = final, actual
        yield ReportedRecipient(
            mailed, target, action, status or None, diagnostic[:_MAX_DIAGNOSTIC] or None,
            action == "failed" and _is_permanent(status, diagnostic),
        )  # fmt: skip


def is_refusal(message: Mail, part: Mail) -> bool:
    """Return whether this read receipt is a recipient's filter refusing the mail (sieve's `reject`, RFC 5429).

    A mail program writes the same when its user deletes a mail without reading it.
    """
    if content_type(part) != "message/disposition-notification":
        return False
    fields = _status_text(part)
    is_server = "reject" in str(message.get("Auto-Submitted", "")).lower() or bool(_SIEVE.search(fields))
    return is_server and bool(_DELETED.search(fields))


def _from_refusal(message: Mail, parts: Sequence[Mail]) -> Iterator[ReportedRecipient]:
    for part in parts:
        if is_refusal(message, part):
            fields = _fields(_status_text(part).strip())
            final = _address(fields.get("final-recipient", ""))
            mailed = _address(fields.get("original-recipient", "")) or final
            if mailed:
                yield ReportedRecipient(
                    mailed, final or mailed, "failed", "5.7.1", "refused by the recipient's filter", True
                )


def _from_text(message: Mail, text: str) -> Iterator[ReportedRecipient]:
    from flufl.bounce import all_failures

    failed_header = clean_line(str(message.get("X-Failed-Recipients", "")))
    addresses = [address.email for address in read_addresses(failed_header)] if failed_header else []
    head = re.split(
        r"^-{3,} (?:Below this line|This is a copy)|^(?:Message|Original) headers follow", text, maxsplit=1, flags=re.M
    )[0]
    addresses = addresses or [found for groups in _TEXT_RECIPIENT.findall(head) for found in groups if found]
    temporary: set[str] = set()
    if not addresses:
        failures: tuple[frozenset[bytes], frozenset[bytes]] = (frozenset(), frozenset())
        with suppress(*PARSER_ERRORS):
            failures = all_failures(message)
        soft, hard = failures
        temporary = {one.decode("utf-8", "replace") for one in soft}
        addresses = sorted(temporary | {one.decode("utf-8", "replace") for one in hard})
    for address in dict.fromkeys(filter(None, map(_address, addresses))):
        diagnostic = _text_about(head, address) or clean_line(head)[:_MAX_DIAGNOSTIC]
        status = _exact_status("", diagnostic)
        is_permanent = address not in temporary and _is_permanent(status, diagnostic)
        yield ReportedRecipient(address, address, "failed", status or None, diagnostic or None, is_permanent)


def _is_permanent(status: str, diagnostic: str) -> bool:
    if status and status not in _GENERAL_STATUSES:
        return status.startswith("5")
    code = _REPLY_CODE.search(diagnostic)
    if code:
        return code.group(1) == "5"
    return not _NOT_YET.search(diagnostic) and not status.startswith("4")


def _exact_status(status: str, diagnostic: str) -> str:
    found = _STATUS.search(status)
    written = found.group(1) if found else ""
    if written in _GENERAL_STATUSES:
        exact = _STATUS.search(diagnostic)
        return exact.group(1) if exact else written
    return written


def _text_about(text: str, address: str) -> str:
    """Return the lines of the report that follow the address, up to an empty line or, if it has no code, the next."""
    position = text.lower().find(address.lower()) if address else -1
    if position < 0:
        return ""
    start = text.rfind("\n", 0, position) + 1
    paragraph, _, rest = text[start : start + _MAX_DIAGNOSTIC].partition("\n\n")
    following = rest.partition("\n\n")[0]
    if not _REPLY_CODE.search(paragraph) and _REPLY_CODE.search(following):
        paragraph = f"{paragraph} {following}"
    return clean_line(paragraph)


def _fields(block: str) -> dict[str, str]:
    """Return the fields of a block. A line that is no field continues the one above, folded or not."""
    fields: dict[str, str] = {}
    name = ""
    for line in block.split("\n"):
        match = _FIELD.match(line)
        if match and not (name == "diagnostic-code" and match.group(1).lower() not in _KNOWN_FIELDS):
            name = match.group(1).lower()
            fields.setdefault(name, match.group(2).strip())
        elif name:
            fields[name] = f"{fields[name]} {line.strip()}".strip()
    return fields


_KNOWN_FIELDS = frozenset((
    "final-recipient", "original-recipient", "action", "status", "remote-mta", "last-attempt-date", "will-retry-until",
    "final-log-id", "reporting-mta", "arrival-date", "x-actual-recipient", "diagnostic-code", "localized-recipient",
))  # fmt: skip


def _address(value: str) -> str:
    """Return the normalised address of `rfc822; user@host`, or empty."""
    text = value.rpartition(";")[2].strip().strip("<>")
    if text.count("@") > 1 and "<" in text:
        text = text[text.rfind("<") + 1 :].rstrip(">")
    try:
        return normalise_address(text)
    except InvalidInput:
        return ""


def _status_text(part: Mail) -> str:
    payload = stored_payload(part)
    blocks = payload if isinstance(payload, list) else [payload]
    raw = b"\n\n".join(
        source(block) if isinstance(block, Message) else str(block).encode("utf-8", "surrogateescape")
        for block in blocks
    )
    return clean_text(raw.decode("utf-8", "replace"))


def _original_headers(part: Mail) -> str:
    """Return the headers of the returned mail, as text."""
    if content_type(part) not in ORIGINAL_TYPES:
        return ""
    payload = stored_payload(part)
    if isinstance(payload, list):
        inner = payload[0] if payload and isinstance(payload[0], Message) else None
        return "\n".join(f"{name}: {value}" for name, value in inner.items()) if inner is not None else ""
    return clean_text(str(payload))[:_MAX_REPORT_BYTES]


def _mailed_addresses(headers: str) -> list[str]:
    unfolded = re.sub(r"\n[ \t]+", " ", headers)
    values = re.findall(r"^(?:To|Cc):[ \t]*(.{1,2000})", unfolded, re.MULTILINE | re.IGNORECASE)
    return [address.email for value in values[:2] for address in read_addresses(clean_line(value))]
