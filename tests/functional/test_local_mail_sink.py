"""The local end of SES: mail is stored as sent, and a fake bus receives the events that SES would publish."""

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

from local.ports import pick_port
from local.processes import Spec, Supervisor

pytestmark = [pytest.mark.kills]


class FakeBus:
    """Answer PutEvents and record the entries. With `is_refusing` set, fail like a bus that is down."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.is_refusing = False
        bus = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, response_body = (
                    200,
                    {"FailedEntryCount": 0, "Entries": [{"EventId": "x"} for _ in body["Entries"]]},
                )
                if bus.is_refusing:
                    status, response_body = 503, {}
                else:
                    bus.entries += body["Entries"]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(response_body).encode())

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for_events(self, count: int, message_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Wait up to 15 s for `count` events about one mail, and return their (detail type, detail) pairs."""
        deadline = time.monotonic() + 15
        while True:
            events = [(entry["DetailType"], json.loads(entry["Detail"])) for entry in list(self.entries)]
            mail_events = [(kind, detail) for kind, detail in events if detail["mail"]["messageId"] == message_id]
            if len(mail_events) >= count or time.monotonic() > deadline:
                return mail_events
            time.sleep(0.02)


class MailSink:
    def __init__(self, supervisor: Supervisor, directory: Path, bus: str) -> None:
        self.port = pick_port("smtp", 31120, print)
        self.http_port = pick_port("mail list", 31180, print, [self.port])
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
def sink_and_bus(
    supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MailSink, FakeBus]]:
    bus = FakeBus()
    yield MailSink(supervisor, tmp_path_factory.mktemp("sink"), bus.url), bus
    bus.close()


@pytest.fixture
def bus(sink_and_bus: tuple[MailSink, FakeBus]) -> FakeBus:
    sink_and_bus[1].entries.clear()
    sink_and_bus[1].is_refusing = False
    return sink_and_bus[1]


@pytest.fixture
def sink(sink_and_bus: tuple[MailSink, FakeBus], bus: FakeBus) -> MailSink:
    return sink_and_bus[0]


def build_mail(message_id: str, **headers: str) -> bytes:
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


def test_a_mail_is_stored_byte_for_byte_without_the_headers_for_ses(sink: MailSink, bus: FakeBus) -> None:
    expected_mail = build_mail("one@email.amazonses.com")
    sent_mail = build_mail(
        "one@email.amazonses.com", X_SES_MESSAGE_TAGS="email_id=42, tenant=t1", X_SES_CONFIGURATION_SET="events"
    )
    sink.send(sent_mail, "reader@example.com")
    listed_mail = sink.messages()[0]
    assert listed_mail["id"] == "one@email.amazonses.com"
    assert listed_mail["recipients"] == ["reader@example.com"]
    assert listed_mail["tags"] == {"email_id": "42", "tenant": "t1"}
    assert listed_mail["configuration_set"] == "events"
    assert sink.raw("one@email.amazonses.com").content == expected_mail


def test_the_bus_receives_the_events_that_ses_would_publish(sink: MailSink, bus: FakeBus) -> None:
    sink.send(build_mail("two@email.amazonses.com", X_SES_MESSAGE_TAGS="email_id=7"), "reader@example.com")
    (sent_type, sent_event), (delivered_type, delivered_event) = bus.wait_for_events(2, "two@email.amazonses.com")
    assert (sent_type, sent_event["eventType"]) == ("Email Sent", "Send")
    assert (delivered_type, delivered_event["eventType"]) == ("Email Delivered", "Delivery")
    assert sent_event["mail"]["messageId"] == "two@email.amazonses.com"
    assert sent_event["mail"]["tags"]["email_id"] == ["7"]
    assert sent_event["mail"]["destination"] == ["reader@example.com"]
    assert sent_event["mail"]["commonHeaders"]["subject"] == "Grüße"
    assert delivered_event["delivery"]["recipients"] == ["reader@example.com"]
    assert {entry["Source"] for entry in bus.entries} == {"local.ses"}


@pytest.mark.parametrize(
    ("recipient", "expected_types"),
    [
        ("success@simulator.amazonses.com", ["Email Sent", "Email Delivered"]),
        ("bounce@simulator.amazonses.com", ["Email Sent", "Email Bounced"]),
        ("bounce+label@simulator.amazonses.com", ["Email Sent", "Email Bounced"]),
        ("complaint@simulator.amazonses.com", ["Email Sent", "Email Delivered", "Email Complaint Received"]),
    ],
)
def test_simulator_addresses_produce_their_events(
    sink: MailSink, bus: FakeBus, recipient: str, expected_types: list[str]
) -> None:
    message_id = f"{time.monotonic_ns()}@email.amazonses.com"
    sink.send(build_mail(message_id), recipient)
    events = bus.wait_for_events(len(expected_types), message_id)
    assert [kind for kind, _ in events] == expected_types
    for kind, detail in events:
        if kind == "Email Bounced":
            assert (detail["bounce"]["bounceType"], detail["bounce"]["bounceSubType"]) == ("Permanent", "General")
            assert detail["bounce"]["bouncedRecipients"][0]["emailAddress"] == recipient


def test_a_mail_relayed_twice_is_stored_once(sink: MailSink, bus: FakeBus) -> None:
    for _ in range(2):
        sink.send(build_mail("twice@email.amazonses.com"), "reader@example.com")
    bus.wait_for_events(2, "twice@email.amazonses.com")
    time.sleep(0.3)
    assert len(bus.wait_for_events(2, "twice@email.amazonses.com")) == 2
    assert [message["id"] for message in sink.messages()].count("twice@email.amazonses.com") == 1


def test_a_missing_message_id_is_generated(sink: MailSink, bus: FakeBus) -> None:
    sink.send(b"Subject: bare\r\n\r\nbody\r\n", "reader@example.com")
    listed_mail = sink.messages()[0]
    assert listed_mail["id"].endswith("@email.amazonses.com")
    assert sink.raw(listed_mail["id"]).text.startswith(f"Message-ID: <{listed_mail['id']}>\r\n")


@pytest.mark.parametrize("path", ["", "nothing@here", "../log", "%2e%2e%2flog", ".."])
def test_the_http_server_serves_only_mail(sink: MailSink, path: str) -> None:
    assert sink.raw(path).status_code == 404


def test_events_survive_an_unavailable_bus_and_a_kill(supervisor: Supervisor, tmp_path: Path, bus: FakeBus) -> None:
    bus.is_refusing = True
    sink = MailSink(supervisor, tmp_path, bus.url)
    sink.send(build_mail("kept@email.amazonses.com"), "reader@example.com")
    killed_pid = sink.child.process.pid
    os.kill(killed_pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while sink.child.process.pid == killed_pid:  # refuse until then: events of the killed process must not count
        assert time.monotonic() < deadline
        time.sleep(0.02)
    bus.is_refusing = False
    events = bus.wait_for_events(2, "kept@email.amazonses.com")
    assert [kind for kind, _ in events] == ["Email Sent", "Email Delivered"]
    deadline = time.monotonic() + 5
    while list((tmp_path / "mail" / "events").iterdir()):  # an event file is removed once the bus has the event
        assert time.monotonic() < deadline
        time.sleep(0.02)
