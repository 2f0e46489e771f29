"""The local end of SES: mail is kept as it left, and the bus hears what SES would say. No emulator: a fake bus."""

import json
import os
import signal
import smtplib
import sys
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.ports import pick
from local.processes import Spec, Supervisor


class FakeBus:
    """Answers PutEvents and remembers the entries. `refusing` makes it fail as a bus that is down does."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.refusing = False
        bus = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = 200, {"FailedEntryCount": 0, "Entries": [{"EventId": "x"} for _ in body["Entries"]]}
                if bus.refusing:
                    status, answer = 503, {}
                else:
                    bus.entries += body["Entries"]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, count: int, message_id: str) -> list[tuple[str, dict[str, Any]]]:
        """(detail type, detail) of what was said about one mail, once that is `count` events or after 15 s."""
        deadline = time.monotonic() + 15
        while True:
            said = [(entry["DetailType"], json.loads(entry["Detail"])) for entry in list(self.entries)]
            about = [(kind, detail) for kind, detail in said if detail["mail"]["messageId"] == message_id]
            if len(about) >= count or time.monotonic() > deadline:
                return about
            time.sleep(0.02)


class Sink:
    def __init__(self, supervisor: Supervisor, directory: Path, bus: str) -> None:
        self.port = pick("smtp", 52525, print)
        self.http_port = pick("mail list", 52580, print, [self.port])
        argv = [
            sys.executable, "-m", "local.mail_sink", "--port", str(self.port), "--http-port", str(self.http_port),
            "--dir", str(directory / "mail"), "--events-endpoint", bus, "--bus", "default", "--source", "local.ses",
        ]  # fmt: skip
        self.child = supervisor.start(Spec("mail sink", argv, directory / "log"))

    def send(self, raw: bytes, *recipients: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            client.sendmail("sender@example.com", recipients, raw, ["BODY=8BITMIME"])

    def messages(self) -> Any:
        return httpx.get(f"http://127.0.0.1:{self.http_port}/messages").json()

    def raw(self, message_id: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.http_port}/messages/{message_id}")


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def shared(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sink, FakeBus]]:
    bus = FakeBus()
    yield Sink(supervisor, tmp_path_factory.mktemp("sink"), bus.url), bus
    bus.close()


@pytest.fixture
def bus(shared: tuple[Sink, FakeBus]) -> FakeBus:
    shared[1].entries.clear()
    shared[1].refusing = False
    return shared[1]


@pytest.fixture
def sink(shared: tuple[Sink, FakeBus], bus: FakeBus) -> Sink:
    return shared[0]


def mail(message_id: str, **headers: str) -> bytes:
    message = EmailMessage()
    message["Message-ID"] = f"<{message_id}>"
    message["From"] = "Sender <sender@example.com>"
    message["To"] = "reader@example.com"
    message["Subject"] = "Grüße"
    message["List-Unsubscribe"] = "<https://example.com/unsubscribe/t>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Größe\n.\n..two dots\n", cte="8bit")
    return message.as_bytes().replace(b"\n", b"\r\n")


def test_a_mail_is_kept_byte_for_byte_without_the_headers_that_ses_reads(sink: Sink, bus: FakeBus) -> None:
    left = mail("one@email.amazonses.com")
    marked = mail(
        "one@email.amazonses.com", X_SES_MESSAGE_TAGS="email_id=42, tenant=t1", X_SES_CONFIGURATION_SET="events"
    )
    sink.send(marked, "reader@example.com")
    listed = sink.messages()[0]
    assert listed["id"] == "one@email.amazonses.com"
    assert listed["recipients"] == ["reader@example.com"]
    assert listed["tags"] == {"email_id": "42", "tenant": "t1"}
    assert listed["configuration_set"] == "events"
    assert sink.raw("one@email.amazonses.com").content == left


def test_the_bus_hears_what_ses_would_say(sink: Sink, bus: FakeBus) -> None:
    sink.send(mail("two@email.amazonses.com", X_SES_MESSAGE_TAGS="email_id=7"), "reader@example.com")
    (sent_type, sent), (delivered_type, delivered) = bus.wait_for(2, "two@email.amazonses.com")
    assert (sent_type, sent["eventType"]) == ("Email Sent", "Send")
    assert (delivered_type, delivered["eventType"]) == ("Email Delivered", "Delivery")
    assert sent["mail"]["messageId"] == "two@email.amazonses.com"
    assert sent["mail"]["tags"]["email_id"] == ["7"]
    assert sent["mail"]["destination"] == ["reader@example.com"]
    assert sent["mail"]["commonHeaders"]["subject"] == "Grüße"
    assert delivered["delivery"]["recipients"] == ["reader@example.com"]
    assert {entry["Source"] for entry in bus.entries} == {"local.ses"}


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("success@simulator.amazonses.com", ["Email Sent", "Email Delivered"]),
        ("bounce@simulator.amazonses.com", ["Email Sent", "Email Bounced"]),
        ("bounce+label@simulator.amazonses.com", ["Email Sent", "Email Bounced"]),
        ("complaint@simulator.amazonses.com", ["Email Sent", "Email Delivered", "Email Complaint Received"]),
    ],
)
def test_the_mailbox_simulator(sink: Sink, bus: FakeBus, recipient: str, expected: list[str]) -> None:
    message_id = f"{time.monotonic_ns()}@email.amazonses.com"
    sink.send(mail(message_id), recipient)
    heard = bus.wait_for(len(expected), message_id)
    assert [kind for kind, _ in heard] == expected
    for kind, detail in heard:
        if kind == "Email Bounced":
            assert (detail["bounce"]["bounceType"], detail["bounce"]["bounceSubType"]) == ("Permanent", "General")
            assert detail["bounce"]["bouncedRecipients"][0]["emailAddress"] == recipient


def test_a_mail_that_is_relayed_twice_is_one_mail(sink: Sink, bus: FakeBus) -> None:
    for _ in range(2):
        sink.send(mail("twice@email.amazonses.com"), "reader@example.com")
    bus.wait_for(2, "twice@email.amazonses.com")
    time.sleep(0.3)
    assert len(bus.wait_for(2, "twice@email.amazonses.com")) == 2
    assert [m["id"] for m in sink.messages()].count("twice@email.amazonses.com") == 1


def test_a_message_id_is_made_where_there_is_none(sink: Sink, bus: FakeBus) -> None:
    sink.send(b"Subject: bare\r\n\r\nbody\r\n", "reader@example.com")
    listed = sink.messages()[0]
    assert listed["id"].endswith("@email.amazonses.com")
    assert sink.raw(listed["id"]).text.startswith(f"Message-ID: <{listed['id']}>\r\n")


@pytest.mark.parametrize("path", ["", "nothing@here", "../log", "%2e%2e%2flog", ".."])
def test_only_mails_are_served(sink: Sink, path: str) -> None:
    assert sink.raw(path).status_code == 404


def test_events_outlive_a_bus_that_is_down_and_a_kill(supervisor: Supervisor, tmp_path: Path, bus: FakeBus) -> None:
    bus.refusing = True
    sink = Sink(supervisor, tmp_path, bus.url)
    sink.send(mail("kept@email.amazonses.com"), "reader@example.com")
    killed = sink.child.process.pid
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while sink.child.process.pid == killed:  # refused until then: what the killed one was sending must not count
        assert time.monotonic() < deadline
        time.sleep(0.02)
    bus.refusing = False
    heard = bus.wait_for(2, "kept@email.amazonses.com")
    assert [kind for kind, _ in heard] == ["Email Sent", "Email Delivered"]
    deadline = time.monotonic() + 5
    while list((tmp_path / "mail" / "events").iterdir()):  # each is removed after the bus has it
        assert time.monotonic() < deadline
        time.sleep(0.02)
