"""The mail sink: an SMTP server that stores SES's mail and publishes the events that SES would publish.

    python -m local.mail_sink --port 2525 --http-port 2580 --dir .local/mail \
        --events-endpoint http://127.0.0.1:4566 --bus default --source local.ses

`--source` is needed because the emulator rejects sources that begin with `aws.`. `GET /messages` lists the mail, newest
first; `GET /messages/{id}` returns one raw mail.
"""

import argparse
import asyncio
import json
import signal
import sys
import threading
from email.errors import HeaderParseError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiosmtpd.smtp import SMTP, Envelope, Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.mail_store import MailStore

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

HOST = "127.0.0.1"
LARGEST_MAIL = 40 * 1024 * 1024  # SES's own limit
RETRY_SECONDS = 1.0


class SmtpHandler:
    """The handler of aiosmtpd. It responds with 250 once a mail is on disk."""

    def __init__(self, store: MailStore, mail_stored: threading.Event) -> None:
        self._store = store
        self._mail_stored = mail_stored

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        try:
            message_id = self._store.add(envelope.mail_from or "", envelope.rcpt_tos, bytes(envelope.content))
        except (OSError, HeaderParseError) as error:
            print(f"A mail could not be stored: {error}", file=sys.stderr, flush=True)
            return "451 The mail could not be stored, try again"
        self._mail_stored.set()
        return f"250 Ok {message_id}"


class SesEventPublisher:
    """Publish the events of stored mail on the bus, with retries while the bus is down."""

    def __init__(self, store: MailStore, endpoint: str, bus: str, source: str, mail_stored: threading.Event) -> None:
        self._store = store
        self._bus = bus
        self._source = source
        self._mail_stored = mail_stored
        self._endpoint = endpoint
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="announces-mail", daemon=True)

    def start(self) -> None:
        self._mail_stored.set()  # publish the events that an earlier run left
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._mail_stored.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        client = self._client()  # in the thread, because importing boto3 is slow
        has_pending = False
        while not self._stopping:
            self._mail_stored.wait(RETRY_SECONDS if has_pending else None)
            self._mail_stored.clear()
            has_pending = not self._publish_all(client)

    def _client(self) -> "EventBridgeClient":
        import boto3

        return boto3.client(
            "events",
            endpoint_url=self._endpoint,
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="test",  # noqa: S106 - the emulator's
            config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}),
        )

    def _publish_all(self, client: "EventBridgeClient") -> bool:
        for path in self._store.pending_events():
            try:
                response = client.put_events(Entries=[self._entry(*event) for event in json.loads(path.read_text())])
            except (BotoCoreError, ClientError) as error:
                print(f"Events are waiting for the bus: {error}", file=sys.stderr, flush=True)
                return False
            if response["FailedEntryCount"]:
                # Some may be published already. All are published again: EventBridge also delivers at least once.
                refusals = {entry["ErrorMessage"] for entry in response["Entries"] if "ErrorMessage" in entry}
                print(f"The bus rejected events: {'; '.join(refusals)}", file=sys.stderr, flush=True)
                return False
            path.unlink()
        return True

    def _entry(self, detail_type: str, detail: dict[str, Any]) -> Any:
        return {
            "EventBusName": self._bus,
            "Source": self._source,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
        }


def http_server(port: int, store: MailStore) -> ThreadingHTTPServer:
    """Return a server for the list of mails and for each raw mail."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            if path == "/messages":
                self._respond(200, "application/json", json.dumps(store.messages()).encode())
            elif (raw := store.raw(path.removeprefix("/messages/"))) is not None and path.startswith("/messages/"):
                self._respond(200, "message/rfc822", raw)
            else:
                self._respond(404, "application/json", b'{"message": "Not Found"}')

        def _respond(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing, because a polling client would fill the log."""

    return ThreadingHTTPServer((HOST, port), Handler)


async def serve(port: int, http_port: int, directory: Path, endpoint: str, bus: str, source: str) -> None:
    """Serve until SIGTERM or SIGINT. Prints `ready` once both ports answer."""
    store = MailStore(directory)
    mail_stored = threading.Event()
    publisher = SesEventPublisher(store, endpoint, bus, source, mail_stored)
    smtp_handler = SmtpHandler(store, mail_stored)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    smtp = await loop.create_server(
        lambda: SMTP(smtp_handler, data_size_limit=LARGEST_MAIL, enable_SMTPUTF8=True, hostname="localhost", loop=loop),
        HOST,
        port,
    )
    http = http_server(http_port, store)
    threading.Thread(target=http.serve_forever, name="http", daemon=True).start()
    publisher.start()
    print("ready", flush=True)
    try:
        await stopping.wait()
    finally:
        smtp.close()
        http.shutdown()
        http.server_close()
        publisher.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.mail_sink", description="Store the mail that SES sent.")
    parser.add_argument("--port", type=int, required=True, help="SMTP")
    parser.add_argument("--http-port", type=int, required=True, help="HTTP, for the list of mails")
    parser.add_argument("--dir", type=Path, required=True, help="directory for the mails")
    parser.add_argument("--events-endpoint", required=True, metavar="URL", help="endpoint of EventBridge")
    parser.add_argument("--bus", required=True, help="event bus for SES's events")
    parser.add_argument("--source", required=True, help="source of the events, instead of aws.ses")
    options = parser.parse_args()
    try:
        asyncio.run(
            serve(options.port, options.http_port, options.dir, options.events_endpoint, options.bus, options.source)
        )
    except OSError as error:
        sys.exit(f"local.mail_sink: {error}. Stop the other server, or choose other ports.")


if __name__ == "__main__":
    main()
