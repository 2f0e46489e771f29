"""Where SES's mail ends locally: an SMTP server that keeps every mail, and says on the bus what SES would say.

    python -m local.mail_sink --port 2525 --http-port 2580 --dir .local/mail \
        --events-endpoint http://127.0.0.1:4566 --bus default --source local.ses

The emulator refuses sources that begin with `aws.`, hence `--source`. `GET /messages` lists the mail, newest first;
`GET /messages/{id}` answers one as it left.
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


class Inbox:
    """aiosmtpd's handler: a mail is answered with 250 once it is on disk."""

    def __init__(self, store: MailStore, stored: threading.Event) -> None:
        self._store = store
        self._stored = stored

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        try:
            message_id = self._store.add(envelope.mail_from or "", envelope.rcpt_tos, bytes(envelope.content))
        except (OSError, HeaderParseError) as error:
            print(f"a mail could not be kept: {error}", file=sys.stderr, flush=True)
            return "451 It could not be kept, try again"
        self._stored.set()
        return f"250 Ok {message_id}"


class Announcer:
    """Puts the events of stored mail on the bus, and keeps trying while the bus is down."""

    def __init__(self, store: MailStore, endpoint: str, bus: str, source: str, stored: threading.Event) -> None:
        self._store = store
        self._bus = bus
        self._source = source
        self._stored = stored
        self._endpoint = endpoint
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="announces-mail", daemon=True)

    def start(self) -> None:
        self._stored.set()  # for what an earlier run left
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._stored.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        client = self._client()  # here, because loading boto3 takes longer than everything else
        left = False
        while not self._stopping:
            self._stored.wait(RETRY_SECONDS if left else None)
            self._stored.clear()
            left = not self._announce_all(client)

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

    def _announce_all(self, client: "EventBridgeClient") -> bool:
        for path in self._store.pending_events():
            try:
                answer = client.put_events(Entries=[self._entry(*event) for event in json.loads(path.read_text())])
            except (BotoCoreError, ClientError) as error:
                print(f"events wait for the bus: {error}", file=sys.stderr, flush=True)
                return False
            if answer["FailedEntryCount"]:
                # Some may be on the bus: all are put again, as EventBridge itself gives an event at least once.
                refusals = {entry["ErrorMessage"] for entry in answer["Entries"] if "ErrorMessage" in entry}
                print(f"the bus refuses events: {'; '.join(refusals)}", file=sys.stderr, flush=True)
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
    """The list of mails and each one's bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            if path == "/messages":
                self._answer(200, "application/json", json.dumps(store.messages()).encode())
            elif (raw := store.raw(path.removeprefix("/messages/"))) is not None and path.startswith("/messages/"):
                self._answer(200, "message/rfc822", raw)
            else:
                self._answer(404, "application/json", b'{"message": "Not Found"}')

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a page that polls would fill the log."""

    return ThreadingHTTPServer((HOST, port), Handler)


async def serve(port: int, http_port: int, directory: Path, endpoint: str, bus: str, source: str) -> None:
    """Serve until SIGTERM or SIGINT. Prints `ready` once both ports answer."""
    store = MailStore(directory)
    stored = threading.Event()
    announcer = Announcer(store, endpoint, bus, source, stored)
    inbox = Inbox(store, stored)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    smtp = await loop.create_server(
        lambda: SMTP(inbox, data_size_limit=LARGEST_MAIL, enable_SMTPUTF8=True, hostname="localhost", loop=loop),
        HOST,
        port,
    )
    http = http_server(http_port, store)
    threading.Thread(target=http.serve_forever, name="http", daemon=True).start()
    announcer.start()
    print("ready", flush=True)
    try:
        await stopping.wait()
    finally:
        smtp.close()
        http.shutdown()
        http.server_close()
        announcer.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.mail_sink", description="Keeps the mail that SES sent.")
    parser.add_argument("--port", type=int, required=True, help="SMTP")
    parser.add_argument("--http-port", type=int, required=True, help="the list of mails")
    parser.add_argument("--dir", type=Path, required=True, help="the mails lie here")
    parser.add_argument("--events-endpoint", required=True, metavar="URL", help="EventBridge")
    parser.add_argument("--bus", required=True, help="the bus that gets SES's events")
    parser.add_argument("--source", required=True, help="the events' source, in place of aws.ses")
    options = parser.parse_args()
    try:
        asyncio.run(
            serve(options.port, options.http_port, options.dir, options.events_endpoint, options.bus, options.source)
        )
    except OSError as error:
        sys.exit(f"local.mail_sink: {error}. Is another one running? Choose other ports.")


if __name__ == "__main__":
    main()
