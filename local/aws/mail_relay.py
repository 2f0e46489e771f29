"""Send the mail that SES accepted to an SMTP server, and store it on disk until that server has accepted it.

MiniStack tries only once, in a thread. If the server is not up yet, or the mail has a non-ASCII character, the mail is
lost although SES returned a MessageId. Here the mail is written to a file before SES responds.
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
    """A spool directory with one file for each mail, and the thread that sends them, oldest first."""

    def __init__(self, spool: Path, server: tuple[str, int]) -> None:
        self._spool = spool
        self._server = server
        self._wake = threading.Event()
        self._stopping = threading.Event()
        spool.mkdir(parents=True, exist_ok=True)
        self._last_number = max((int(path.name.partition("-")[0]) for path in spool.glob("*.json")), default=0)
        self._thread = threading.Thread(target=self._run, name="mail-relay", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._wake.set()

    def stop(self) -> None:
        """Stop after the current mail. The remaining mail is sent after the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=5)

    def accept(self, source: str, recipients: Sequence[str], message: str) -> None:
        """Store one mail. Once this returns, the mail survives a kill of this process."""
        self._last_number += 1
        name = f"{self._last_number:012}-{uuid.uuid4().hex}"
        partial_path = self._spool / f"{name}.partial"
        partial_path.write_text(json.dumps({"source": source, "recipients": list(recipients), "message": message}))
        partial_path.rename(self._spool / f"{name}.json")
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
                        # A retry would fail the same way. The file is kept under another name for inspection.
                        logger.error("the SMTP server rejected mail %s: %s", path.name, error)
                        path.rename(path.with_suffix(".refused"))
                        continue
                    logger.warning("mail is waiting for the SMTP server %s:%s: %s", *self._server, error)
                    break  # the server would not accept the next mail either
                path.unlink()

    def _send(self, mail: dict[str, Any]) -> None:
        raw = _BARE_NEWLINE.sub(b"\r\n", mail["message"].encode())
        options = ["BODY=8BITMIME"] if not raw.isascii() else []
        with smtplib.SMTP(*self._server, local_hostname="localhost", timeout=10) as client:
            client.sendmail(mail["source"], mail["recipients"], raw, mail_options=options)


def _is_refused(error: Exception) -> bool:
    """Return whether the server rejected the mail, or all of its recipients, permanently (5xx)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def install(spool: Path, server: tuple[str, int]) -> MailRelay:
    """Make MiniStack's SES send its mail through a relay, and start the relay.

    Raises:
        UpstreamChanged: MiniStack's SES differs from the version for which this module was written.
    """
    check_sources(_RELIES_ON)
    relay = MailRelay(spool, server)
    ses._smtp_relay = relay.accept
    ses_v2._smtp_relay = relay.accept
    relay.start()
    return relay
