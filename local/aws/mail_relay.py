"""Hands the mail that SES accepted to an SMTP server, and keeps it on disk until that server has it.

MiniStack relays once, in a thread, and forgets: a sink that is not up yet, or any letter outside ASCII in a header or
body, loses the mail although SES answered with a MessageId. Here the mail is a file before SES answers.
"""

import json
import logging
import re
import smtplib
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ministack.services import ses, ses_v2

from local.aws.upstream import check_sources

RETRY_SECONDS = 1.0
_RELIES_ON = {
    "ses._smtp_relay": (ses._smtp_relay, "9e7d68113c89"),
    "ses._send_raw_email": (ses._send_raw_email, "a008b1a488e8"),
}
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n|\r(?!\n)")

logger = logging.getLogger(__name__)


class MailRelay:
    """A spool directory and the thread that empties it. One file a mail; the oldest goes first."""

    def __init__(self, spool: Path, server: tuple[str, int]) -> None:
        self._spool = spool
        self._server = server
        self._wake = threading.Event()
        self._stopping = threading.Event()
        spool.mkdir(parents=True, exist_ok=True)
        self._last = max((int(path.name.partition("-")[0]) for path in spool.glob("*.json")), default=0)
        self._thread = threading.Thread(target=self._run, name="mail-relay", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._wake.set()

    def stop(self) -> None:
        """Stop after the mail in hand; what is left goes out after the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=5)

    def accept(self, source: str, recipients: Sequence[str], message: str) -> None:
        """Keep one mail. It survives a kill of this process once this returns."""
        self._last += 1
        name = f"{self._last:012}-{uuid.uuid4().hex}"
        aside = self._spool / f"{name}.partial"
        aside.write_text(json.dumps({"source": source, "recipients": list(recipients), "message": message}))
        aside.rename(self._spool / f"{name}.json")
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(RETRY_SECONDS if any(self._spool.glob("*.json")) else None)
            self._wake.clear()
            for path in sorted(self._spool.glob("*.json")):
                if self._stopping.is_set():
                    return
                try:
                    self._send(json.loads(path.read_text()))
                except (OSError, smtplib.SMTPException) as error:
                    if _is_refused(error):
                        # A later try would end the same way: put aside, for who looks for the mail.
                        logger.error("mail %s was refused: %s", path.name, error)
                        path.rename(path.with_suffix(".refused"))
                        continue
                    logger.warning("mail waits for %s:%s: %s", *self._server, error)
                    break  # the next one would wait for the same server
                path.unlink()

    def _send(self, mail: dict[str, Any]) -> None:
        raw = _BARE_NEWLINE.sub(b"\r\n", mail["message"].encode())
        options = ["BODY=8BITMIME"] if not raw.isascii() else []
        with smtplib.SMTP(*self._server, local_hostname="localhost", timeout=10) as client:
            client.sendmail(mail["source"], mail["recipients"], raw, mail_options=options)


def _is_refused(error: Exception) -> bool:
    """Whether the server's answer was final (5xx), for the mail or for all of its recipients."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def install(spool: Path, server: tuple[str, int]) -> MailRelay:
    """Give SES's mail to a relay, and start it.

    Raises:
        UpstreamChanged: MiniStack's SES is not the one that this was written for.
    """
    check_sources(_RELIES_ON)
    relay = MailRelay(spool, server)
    ses._smtp_relay = relay.accept
    ses_v2._smtp_relay = relay.accept
    relay.start()
    return relay
