"""Managers of the deployed template: their status, and each one stopped and started under traffic."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import ApiClient, ApiError, wait_until
from local.layout import ROOT
from tests.conftest import Platform
from tests.e2e import api

DEPLOYED = json.loads((ROOT / "events" / "coordinator" / "observe.deployed.json").read_text())
# Managers that are stopped together. Their dependants stop as well, so the last round stops all.
STOP_ROUNDS = (
    (
        "workflow-manager",
        "notification-manager",
        "metrics-manager",
        "backup-manager",
        "config-manager",
        "error-manager",
        "replication-manager",
        "load-balancer",
        "tracing-manager",
        "alerting-manager",
        "dashboard-manager",
    ),
    ("orchestrator", "ai-template-manager", "vectorization", "monitoring-manager", "tenant-manager"),
    ("api-gateway", "logging-manager", "dependency-manager"),
    ("security-manager",),
    ("central-coordinator",),
)
# A user and a route that only this manager serves.
ROUTES = {
    "central-coordinator": ("user@acme", "/events"),
    "api-gateway": ("user@acme", "/templates"),
    "vectorization": ("user@acme", "/vectors/collections"),
    "workflow-manager": ("user@acme", "/workflows"),
    "orchestrator": ("admin@acme", "/approvals"),
    "ai-template-manager": ("user@acme", "/templates"),
    "notification-manager": ("user@acme", "/contacts"),
    "security-manager": ("operator@platform", "/audit"),
    "config-manager": ("operator@platform", "/config"),
    "monitoring-manager": ("operator@platform", "/status"),
    "metrics-manager": ("operator@platform", "/metrics"),
}


def statuses(platform: Platform) -> dict[str, api.Json]:
    return {manager["name"]: manager for manager in platform["operator@platform"].get("/managers/status")["items"]}


def change(platform: Platform, name: str, action: str, *, cascade: bool = False) -> api.Json:
    query = "?cascade=true" if cascade else ""
    return dict(platform["operator@platform"].post(f"/managers/{name}/{action}{query}", {}))


@pytest.fixture
def operated_platform(platform: Platform) -> Iterator[Platform]:
    """Start every stopped manager again after the test."""
    yield platform
    start_all(platform)


def start_all(platform: Platform) -> None:
    for name, manager in statuses(platform).items():
        if manager["desired"] != "running":
            change(platform, name, "start", cascade=True)


def call_route(platform: Platform, name: str) -> httpx.Response:
    username, path = ROUTES[name]
    return platform[username].http.get(path)


def wait_for_refusal(platform: Platform, name: str) -> httpx.Response:
    """Return the first refusal. Requests that start five seconds after the stop must be refused."""
    stopped_at = time.monotonic()
    while True:
        requested_at = time.monotonic()
        response = call_route(platform, name)
        if response.status_code == 503:
            return response
        assert requested_at - stopped_at < 5, response.text
        time.sleep(0.1)


def test_every_manager_is_listed_with_its_own_figures(platform: Platform) -> None:
    managers = statuses(platform)
    assert len(managers) == 21
    for name, manager in managers.items():
        assert manager["status"] in ("running", "degraded"), manager
        assert manager["status"] == "running" or manager["reason"], manager
        assert set(manager["figures"]) - {"functions"}, name
        metrics = platform["operator@platform"].get(f"/managers/{name}/metrics")
        assert metrics["series"] == {"email_sender_manager_status": 1}
    order = list(managers)
    assert all(
        order.index(need) < order.index(name) for name, entry in managers.items() for need in entry["depends_on"]
    )
    assert managers["dependency-manager"]["figures"]["deployed_functions"] > 25
    vectorization = platform["operator@platform"].get("/managers/vectorization/status")
    assert (vectorization["name"], vectorization["kind"], vectorization["depends_on"]) == (
        "vectorization",
        "core",
        ["central-coordinator"],
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/managers/nobody/stop", 404),
        ("/managers/central-coordinator/stop", 409),
        ("/managers/security-manager/restart", 409),
    ],
)
def test_an_impossible_manager_change_is_refused_and_changes_nothing(
    platform: Platform, path: str, status: int
) -> None:
    before = {name: manager["status"] for name, manager in statuses(platform).items()}
    with pytest.raises(ApiError) as error:
        platform["operator@platform"].post(path, {})
    assert error.value.status == status
    if status == 409:
        assert "api-gateway" in str(error.value)
    assert {name: manager["status"] for name, manager in statuses(platform).items()} == before


class Traffic:
    """Publish events, send mail and search without pause. Repeat refused requests."""

    def __init__(self, platform: Platform) -> None:
        self._platform, self._stop = platform, threading.Event()
        self.refused: Counter[str] = Counter()
        self.unexpected_errors: list[str] = []
        self.kind = f"Traffic{uuid4().hex[:8]}"
        self.events: list[str] = []
        self.runs: list[str] = []
        self.contacts: list[api.Json] = []
        admin = platform["admin@acme"]
        self._template = api.add_template(admin)["name"]
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,))
            for work in (self._publish_event, self._send_mail, self._search)
        ]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _repeat(self, work: Callable[[ApiClient], None]) -> None:
        token = str(self._platform["admin@acme"].http.headers["authorization"]).removeprefix("Bearer ")
        client = ApiClient(self._platform.api, token)
        while not self._stop.is_set():
            try:
                work(client)
            except Exception as error:  # the test reports it
                self.unexpected_errors.append(repr(error))
            time.sleep(0.25)
        client.close()

    def _post_until_accepted(self, client: ApiClient, path: str, body: Any) -> api.Json:
        """Repeat a request with the same idempotency key until it is accepted. A refused request has had no effect."""
        headers = {"idempotency-key": uuid4().hex}
        for _ in range(400):
            response = client.http.post(path, json=body, headers=headers)
            if response.status_code < 300:
                return dict(response.json())
            if response.status_code == 503 and response.json().get("code") == "manager_stopped":
                assert "retry-after" in response.headers
                self.refused[path.split("/")[1]] += 1
                time.sleep(0.3)
                continue
            raise AssertionError(f"{path}: {response.status_code} {response.text[:300]}")
        raise AssertionError(f"{path} was never accepted")

    def _publish_event(self, client: ApiClient) -> None:
        event = self._post_until_accepted(
            client, "/events", {"source": "crm", "type": self.kind, "data": {"n": len(self.events)}}
        )
        self.events.append(str(event["id"]))

    def _send_mail(self, client: ApiClient) -> None:
        address = f"{uuid4().hex}@people.example"
        contact = self._post_until_accepted(client, "/contacts", {"email": address, "name": "Ada Example"})
        definition = api.mail_workflow(self._template, [contact["id"]], approval=False)
        workflow = self._post_until_accepted(client, "/workflows", {"definition": definition})
        run = self._post_until_accepted(client, f"/workflows/{workflow['id']}/execute", {"inputs": {}})
        self.contacts.append({**contact, "email": address})
        self.runs.append(str(run["id"]))
        time.sleep(0.5)

    def _search(self, client: ApiClient) -> None:
        self._post_until_accepted(
            client, "/vectors/search", {"collection": "message_vectors", "text": "hello", "limit": 1}
        )


@pytest.mark.timeout(400)
def test_every_manager_is_stopped_under_traffic_and_nothing_is_lost_or_done_twice(operated_platform: Platform) -> None:
    platform = operated_platform
    stopped_managers: set[str] = set()
    with Traffic(platform) as traffic:
        for round_names in STOP_ROUNDS:
            for name in round_names:
                assert change(platform, name, "stop", cascade=True)["status"] == "stopped"
            for name in [candidate for candidate in round_names if candidate in ROUTES]:
                refusal = wait_for_refusal(platform, name)
                assert refusal.json()["code"] == "manager_stopped"
                assert refusal.headers["retry-after"] == "5"
            assert httpx.get(f"{platform.api}/version").status_code == 200
            stopped_managers |= {name for name, manager in statuses(platform).items() if manager["status"] == "stopped"}
            start_all(platform)
            for name in [candidate for candidate in round_names if candidate in ROUTES]:
                wait_until(lambda: call_route(platform, name).status_code, lambda status: status == 200, 10)  # noqa: B023
        wait_until(lambda: min(len(traffic.runs), len(traffic.events) // 4), lambda count: count >= 5, 60)
    assert stopped_managers == statuses(platform).keys()
    assert traffic.unexpected_errors == []
    assert traffic.refused["events"] > 0
    assert traffic.refused["vectors"] > 0

    admin = platform["admin@acme"]
    for run_id in traffic.runs:
        ended_run = wait_until(partial(admin.get, f"/runs/{run_id}"), lambda run: run["status"] in api.ENDED, 120)
        assert ended_run["status"] == "succeeded", ended_run["error"]
    addresses = {contact["email"] for contact in traffic.contacts}
    mails = [
        recipient
        for mail in httpx.get(platform.mail_url).json()
        for recipient in mail["recipients"]
        if recipient in addresses
    ]
    assert Counter(mails) == Counter(addresses)
    recorded_ids = wait_until(
        lambda: [
            row["id"]
            for row in platform.query("select id::text from email_sender.events where type = %s", traffic.kind)
        ],
        lambda ids: len(ids) >= len(traffic.events),
        60,
    )
    assert Counter(recorded_ids) == Counter(traffic.events)


def test_manager_changes_are_in_the_audit_log(operated_platform: Platform) -> None:
    change(operated_platform, "tracing-manager", "stop")
    change(operated_platform, "tracing-manager", "start")
    audit = operated_platform["operator@platform"].get("/audit", limit=2)
    assert [(entry["action"], entry["object"]) for entry in audit["items"]] == [
        ("manager.start", "tracing-manager"),
        ("manager.stop", "tracing-manager"),
    ]
    assert audit["items"][0]["subject"]
    assert audit["broken_at"] is None
    own_actions = {entry["action"] for entry in operated_platform["admin@acme"].get("/audit", limit=200)["items"]}
    assert own_actions.isdisjoint({"manager.start", "manager.stop"})


def test_a_disabled_schedule_is_enabled_again_and_system_ready_is_published_once(platform: Platform) -> None:
    scheduler, function = platform.aws("scheduler"), platform.function_name("ObserveFunction")
    schedule = scheduler.get_schedule(Name="email-sender-clock-local.central-coordinator.relay")
    schedule_settings = {
        name: schedule[name] for name in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    }
    for event in ("{}", json.dumps(DEPLOYED)):
        scheduler.update_schedule(**schedule_settings, State="DISABLED")
        platform.aws("lambda").invoke(FunctionName=function, Payload=event.encode())
        assert scheduler.get_schedule(Name=schedule_settings["Name"])["State"] == "ENABLED"
    (ready_event,) = wait_until(
        lambda: platform["operator@platform"].get("/events", type="system.ready")["items"], bool, 20
    )
    assert ready_event["payload"]["data"]["stage"] == "local"


@pytest.mark.parametrize(
    ("stack", "status", "is_invoked"),
    [("ours", "UPDATE_COMPLETE", True), ("ours", "UPDATE_IN_PROGRESS", False), ("another", "UPDATE_COMPLETE", False)],
)
def test_the_end_of_our_deployment_invokes_the_observer(
    platform: Platform, stack: str, status: str, *, is_invoked: bool
) -> None:
    """Test the deployed rule: the emulator publishes no deployment events and accepts none in CloudFormation's name."""
    events = platform.aws("events")
    (rule,) = [
        candidate
        for candidate in events.list_rules()["Rules"]
        if "Stack Status Change" in candidate.get("EventPattern", "")
    ]
    target = events.list_targets_by_rule(Rule=rule["Name"])["Targets"][0]["Arn"]
    assert platform.function_name("ObserveFunction") in target
    (stack_id,) = json.loads(rule["EventPattern"])["detail"]["stack-id"]
    detail = {"stack-id": stack_id if stack == "ours" else f"{stack_id}0", "status-details": {"status": status}}
    event = json.dumps({**DEPLOYED, "detail": detail})
    assert events.test_event_pattern(EventPattern=rule["EventPattern"], Event=event)["Result"] is is_invoked


def test_a_stopped_managers_schedule_is_disabled(operated_platform: Platform) -> None:
    def schedule_state() -> str:
        return str(
            operated_platform.aws("scheduler").get_schedule(Name="email-sender-clock-local.backup-manager.daily")[
                "State"
            ]
        )

    assert schedule_state() == "ENABLED"
    change(operated_platform, "backup-manager", "stop", cascade=True)
    assert schedule_state() == "DISABLED"
    change(operated_platform, "backup-manager", "start", cascade=True)
    assert schedule_state() == "ENABLED"


def test_the_observe_function_restarts_the_api_after_a_lockout(operated_platform: Platform) -> None:
    change(operated_platform, "security-manager", "stop", cascade=True)
    user = next(user for user in operated_platform.users if user.username == "operator@platform")

    def sign_in_status() -> int:
        return httpx.post(
            f"{operated_platform.api}/auth/token", json={"username": user.username, "password": user.password}
        ).status_code

    wait_until(sign_in_status, lambda status: status == 503, 5)
    function = operated_platform.function_name("ObserveFunction")
    operated_platform.aws("lambda").invoke(FunctionName=function, Payload=b'{"start": "api-gateway"}')
    wait_until(sign_in_status, lambda status: status == 200, 5)
