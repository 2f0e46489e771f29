"""Webhooks on PostgreSQL with a real HTTP receiver: signatures, retries for a day, crashes, replays, other tenants."""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from email_sender.adapters.postgres.webhooks import tenants_to_sweep, webhook_units
from email_sender.adapters.web.webhook_posts import WebhookPosts
from email_sender.adapters.web.webhook_signatures import StandardWebhooks
from email_sender.coordination.events import StoredEvent
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from email_sender.kit.system_clock import new_id
from email_sender.messaging.webhooks import (
    KEPT,
    MAX_WEBHOOKS,
    DeliveryState,
    Webhook,
    WebhookDelivery,
    WebhookSender,
    WebhookService,
    check_types,
)
from tests.database import Cluster
from tests.fakes.messaging import Killed

START = datetime.now(UTC)


class Receiver:
    """A server that answers with the status that the test wants, and keeps what it got."""

    def __init__(self) -> None:
        self.status = 204
        self.requests: list[tuple[Mapping[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class DirectRequests:
    """Sends requests without the check of private addresses, which tests of the real function cover."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def send_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.error is not None:
            raise self.error
        assert request["any_status"] is True
        body = base64.b64decode(request["body"])
        response = httpx.post(request["url"], headers=dict(request["headers"]), content=body, timeout=5)
        return {"status": response.status_code}


class Scenario:
    def __init__(self, cluster: Cluster, receiver: Receiver) -> None:
        self.cluster, self.receiver, self.tenant, self.now = cluster, receiver, cluster.new_tenant(), START
        database = cluster.database("app")
        self.requests = DirectRequests()
        units = webhook_units(database, cluster.vault(database))
        self.units = units
        self.service = WebhookService(units, StandardWebhooks().new_secret, lambda: self.now, new_id)
        posts = WebhookPosts(self.requests, StandardWebhooks(), lambda: self.now)
        self.sender = WebhookSender(units, posts, lambda: self.now)

    def add(self, *types: str, url: str = "") -> Webhook:
        return self.service.add(self.tenant, new_id(), url or self.receiver.url, types or ("*",), "ann")

    def event(self, kind: str = "email.replied", **data: object) -> StoredEvent:
        return StoredEvent(
            new_id(), kind, "email_sender.messaging", self.tenant, START, {"data": data or {"a": 1}},
            correlation_id=str(uuid4()),
        )  # fmt: skip

    def log(self, webhook: Webhook) -> list[WebhookDelivery]:
        return list(self.service.deliveries(self.tenant, webhook.id, None, None, 100).items)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.stop()


@pytest.fixture
def scenario(cluster: Cluster, receiver: Receiver) -> Scenario:
    return Scenario(cluster, receiver)


def test_an_event_is_posted_once_and_its_signature_is_that_of_the_standards_library(scenario: Scenario) -> None:
    # The library refuses timestamps of other times than now.
    scenario.now = datetime.now(UTC)
    webhook, event = scenario.add("email.*"), scenario.event(email_id="1")
    assert (scenario.sender.accept(event), scenario.sender.accept(event)) == (1, 0)
    assert (scenario.sender.deliver(scenario.tenant), scenario.sender.deliver(scenario.tenant)) == (1, 0)
    ((headers, body),) = scenario.receiver.requests
    Verifier(webhook.secrets[0]).verify(body, {name.lower(): value for name, value in headers.items()})
    payload = json.loads(body)
    assert payload == {
        "type": "email.replied",
        "timestamp": START.isoformat(),
        "data": {"email_id": "1"},
        "id": str(event.id),
        "source": "email_sender.messaging",
        "correlation_id": event.correlation_id,
    }
    (delivery,) = scenario.log(webhook)
    assert (delivery.state, delivery.attempts, delivery.status, delivery.error) == ("delivered", 1, 204, None)


@pytest.mark.parametrize(
    ("types", "wanted"),
    [
        (["email.replied"], ["email.replied"]),
        (["email.*"], ["email.replied", "email.sent"]),
        (["email.*", "LeadCreated"], ["email.replied", "email.sent", "LeadCreated"]),
        (["*"], ["email.replied", "email.sent", "emails", "LeadCreated"]),
        (["nothing"], []),
    ],
)
def test_only_the_wanted_types_are_posted(scenario: Scenario, types: list[str], wanted: list[str]) -> None:
    webhook = scenario.add(*types)
    for kind in ("email.replied", "email.sent", "emails", "LeadCreated"):
        scenario.sender.accept(scenario.event(kind))
    assert sorted(delivery.event_type for delivery in scenario.log(webhook)) == sorted(wanted)


@pytest.mark.parametrize("types", [[], ["*"] * 51, [""], ["email *"], [".*"], ["a" * 129], ["*.email"], ["é"]])
def test_what_is_no_type_is_refused(types: list[str]) -> None:
    with pytest.raises(InvalidInput):
        check_types(types)


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_a_receiver_that_does_not_take_it_is_asked_again_for_a_day(scenario: Scenario, status: int) -> None:
    webhook = scenario.add()
    scenario.receiver.status = status
    scenario.sender.accept(scenario.event())
    waits, last = [], scenario.now
    while (delivery := scenario.log(webhook)[0]).state is DeliveryState.DUE:
        if delivery.next_attempt_at is not None:
            scenario.now = max(scenario.now, delivery.next_attempt_at)
        waits.append(scenario.now - last)
        last = scenario.now
        assert scenario.sender.deliver(scenario.tenant) == 0
    assert delivery.state is DeliveryState.FAILED
    assert delivery.error == f"The receiver answered with status {status}."
    assert delivery.attempts == len(scenario.receiver.requests) == 9
    assert timedelta(hours=23) < scenario.now - START < timedelta(hours=24)
    assert waits == sorted(waits)
    # Every attempt has the same id, by which a receiver recognises a repetition.
    assert len({headers["webhook-id"] for headers, _body in scenario.receiver.requests}) == 1


def test_nobody_answers_and_then_somebody_does(scenario: Scenario) -> None:
    webhook = scenario.add()
    scenario.requests.error = Unavailable("No answer.")
    scenario.sender.accept(scenario.event())
    assert scenario.sender.deliver(scenario.tenant) == 0
    assert scenario.log(webhook)[0].error == "unavailable: No answer."
    assert scenario.sender.deliver(scenario.tenant) == 0
    scenario.requests.error = None
    scenario.now += timedelta(minutes=1)
    assert scenario.sender.deliver(scenario.tenant) == 1
    assert (scenario.log(webhook)[0].state, scenario.log(webhook)[0].attempts) == ("delivered", 2)


def test_a_private_address_is_never_asked_again(scenario: Scenario) -> None:
    webhook = scenario.add()
    scenario.requests.error = Forbidden("The address is private.")
    scenario.sender.accept(scenario.event())
    scenario.sender.deliver(scenario.tenant)
    (delivery,) = scenario.log(webhook)
    assert (delivery.state, delivery.error) == ("failed", "forbidden: The address is private.")


def test_a_receiver_that_is_gone_stops_its_webhook_until_it_is_changed(scenario: Scenario) -> None:
    webhook = scenario.add()
    scenario.receiver.status = 410
    for _ in range(2):
        scenario.sender.accept(scenario.event())
    scenario.sender.deliver(scenario.tenant)
    stopped = scenario.service.get(scenario.tenant, webhook.id)
    assert stopped.stopped_reason is not None
    assert scenario.sender.accept(scenario.event()) == 0
    scenario.receiver.status = 200
    started = scenario.service.change(scenario.tenant, webhook.id, webhook.url, ["email.*"])
    assert (started.stopped_reason, started.types, started.secrets) == (None, ("email.*",), webhook.secrets)
    assert scenario.service.replay(scenario.tenant, webhook.id, None) == 2
    assert scenario.sender.deliver(scenario.tenant) == 2


def test_a_stopped_webhooks_deliveries_are_deleted_by_age_too(scenario: Scenario) -> None:
    webhook = scenario.add()
    scenario.receiver.status = 410
    scenario.sender.accept(scenario.event())
    scenario.sender.deliver(scenario.tenant)
    with scenario.units(scenario.tenant) as unit:
        unit.renew(webhook.id, None, scenario.now)
        unit.commit()
    scenario.now += KEPT + timedelta(seconds=1)
    assert scenario.sender.sweep(scenario.tenant) == 0
    assert scenario.log(webhook) == []


@pytest.mark.parametrize("sent", [False, True])
def test_a_sender_that_dies_loses_nothing(scenario: Scenario, sent: bool) -> None:
    """It dies before the request, or after it and before the outcome is stored: then the receiver gets it twice."""
    webhook = scenario.add()
    scenario.sender.accept(scenario.event())
    direct = scenario.requests.send_request

    def die(request: Mapping[str, Any]) -> Mapping[str, Any]:
        if sent:
            direct(request)
        raise Killed

    scenario.requests.send_request = die  # type: ignore[method-assign]
    with suppress(Killed):
        scenario.sender.deliver(scenario.tenant)
    scenario.requests.send_request = direct  # type: ignore[method-assign]
    assert scenario.sender.deliver(scenario.tenant) == 0
    scenario.now += timedelta(minutes=2, seconds=1)
    assert scenario.sender.deliver(scenario.tenant) == 1
    assert scenario.log(webhook)[0].state is DeliveryState.DELIVERED
    assert len({headers["webhook-id"] for headers, _body in scenario.receiver.requests}) == 1
    assert len(scenario.receiver.requests) == (2 if sent else 1)


def test_an_outcome_that_comes_late_does_not_replace_a_newer_one(scenario: Scenario) -> None:
    webhook = scenario.add()
    scenario.sender.accept(scenario.event())
    with scenario.units(scenario.tenant) as unit:
        (first,) = unit.claim(scenario.now, scenario.now + timedelta(minutes=2), 20)
        unit.commit()
    scenario.now += timedelta(minutes=3)
    assert scenario.sender.deliver(scenario.tenant) == 1
    with scenario.units(scenario.tenant) as unit:
        unit.settle(replace(first, state=DeliveryState.FAILED, error="late"))
        unit.commit()
    assert scenario.log(webhook)[0].state is DeliveryState.DELIVERED


def test_two_senders_share_the_work(scenario: Scenario) -> None:
    scenario.add()
    for _ in range(30):
        scenario.sender.accept(scenario.event())
    threads = [threading.Thread(target=scenario.sender.deliver, args=(scenario.tenant,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [headers["webhook-id"] for headers, _body in scenario.receiver.requests]
    assert (len(ids), len(set(ids))) == (30, 30)


def test_a_slow_receiver_delays_its_own_tenant_by_a_bounded_time(scenario: Scenario) -> None:
    webhook = scenario.add()
    for _ in range(5):
        scenario.sender.accept(scenario.event())
    times = iter([0.0, 1.0, 14.0, 16.0])
    sender = WebhookSender(
        scenario.units, WebhookPosts(scenario.requests, StandardWebhooks(), lambda: scenario.now),
        lambda: scenario.now, lambda: next(times),
    )  # fmt: skip
    assert sender.deliver(scenario.tenant) == 2
    states = [(delivery.state, delivery.attempts) for delivery in scenario.log(webhook)]
    assert states.count((DeliveryState.DUE, 0)) == 3
    assert scenario.sender.deliver(scenario.tenant) == 3


def test_a_new_secret_signs_at_once_and_the_old_one_for_a_day(scenario: Scenario) -> None:
    webhook = scenario.add()
    old = webhook.secrets[0]
    new = scenario.service.rotate_secret(scenario.tenant, webhook.id).secrets[0]
    for at, known in ((timedelta(hours=1), [new, old]), (timedelta(hours=25), [new])):
        scenario.now = START + at
        scenario.sender.accept(scenario.event())
        scenario.sender.deliver(scenario.tenant)
        headers, body = scenario.receiver.requests[-1]
        signatures = headers["webhook-signature"].split()
        expected = [Verifier(secret).sign(headers["webhook-id"], scenario.now, body.decode()) for secret in known]
        assert signatures == expected
    third = scenario.service.rotate_secret(scenario.tenant, webhook.id)
    assert third.secrets[1] == new
    # Again within a day, as if the answer was lost: the secret that the receiver has signs on.
    assert scenario.service.rotate_secret(scenario.tenant, webhook.id).secrets[1] == new


def test_a_test_event_and_a_replay_of_one_delivery(scenario: Scenario) -> None:
    webhook = scenario.add("email.sent")
    delivery_id = scenario.service.add_test(scenario.tenant, webhook.id)
    assert scenario.sender.deliver(scenario.tenant) == 1
    assert scenario.service.replay(scenario.tenant, webhook.id, [delivery_id, new_id()]) == 1
    assert scenario.sender.deliver(scenario.tenant) == 1
    bodies = [json.loads(body) for _headers, body in scenario.receiver.requests]
    assert [body["type"] for body in bodies] == ["webhook.test"] * 2
    assert bodies[0] == bodies[1]


def test_the_log_is_paged_and_old_deliveries_are_deleted(scenario: Scenario) -> None:
    webhook = scenario.add()
    for number in range(3):
        scenario.now = START + timedelta(seconds=number)
        scenario.sender.accept(scenario.event())
    page = scenario.service.deliveries(scenario.tenant, webhook.id, None, None, 2)
    rest = scenario.service.deliveries(scenario.tenant, webhook.id, None, UUID(page.next_cursor or ""), 2)
    ids = [delivery.id for delivery in (*page.items, *rest.items)]
    assert (len(set(ids)), rest.next_cursor) == (3, None)
    assert scenario.service.deliveries(scenario.tenant, webhook.id, DeliveryState.FAILED, None, 2).items == []
    scenario.now += timedelta(seconds=1)
    assert scenario.tenant in tenants_to_sweep(scenario.cluster.database("platform"))
    assert scenario.sender.sweep(scenario.tenant) == 3
    assert len(scenario.log(webhook)) == 3
    assert scenario.tenant not in tenants_to_sweep(scenario.cluster.database("platform"))
    scenario.now += KEPT
    scenario.sender.sweep(scenario.tenant)
    assert scenario.log(webhook) == []


def test_webhooks_are_stored_once_encrypted_and_at_most_twenty(scenario: Scenario) -> None:
    first_id = new_id()
    first = scenario.service.add(scenario.tenant, first_id, scenario.receiver.url, ["*"], "ann")
    assert scenario.service.add(scenario.tenant, first_id, "https://other.example", ["*"], "bob") == first
    (row,) = scenario.cluster.query("select * from webhooks where id = %s", first_id)
    assert first.url.encode() not in bytes(row["url_enc"])
    assert first.secrets[0].encode() not in bytes(row["secret_enc"])
    for _ in range(MAX_WEBHOOKS - 1):
        scenario.add()
    with pytest.raises(Conflict):
        scenario.add()
    scenario.service.delete(scenario.tenant, first_id)
    assert len(scenario.service.list_all(scenario.tenant)) == MAX_WEBHOOKS - 1
    with pytest.raises(NotFound):
        scenario.service.delete(scenario.tenant, first_id)
    actions = scenario.cluster.query("select action from audit_log where tenant_id = %s", scenario.tenant)
    assert [row["action"] for row in actions].count("webhook.created") == MAX_WEBHOOKS


def test_another_tenants_webhook_is_not_found_and_gets_no_event(scenario: Scenario, cluster: Cluster) -> None:
    webhook, stranger = scenario.add(), cluster.new_tenant()
    service = scenario.service
    for operation in (
        lambda: service.get(stranger, webhook.id),
        lambda: service.change(stranger, webhook.id, "https://evil.example", ["*"]),
        lambda: service.rotate_secret(stranger, webhook.id),
        lambda: service.add_test(stranger, webhook.id),
        lambda: service.deliveries(stranger, webhook.id, None, None, 10),
        lambda: service.replay(stranger, webhook.id, None),
    ):
        with pytest.raises(NotFound):
            operation()
    with pytest.raises(NotFound):
        service.delete(stranger, webhook.id)
    assert scenario.sender.accept(replace(scenario.event(), tenant_id=stranger)) == 0
