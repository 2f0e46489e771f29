"""Managers of the deployed template: what is said of them, and every one stopped and started under traffic."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import ApiClient, ApiError, wait_until
from local.layout import ROOT
from tests.conftest import Platform
from tests.e2e import steps

DEPLOYED = json.loads((ROOT / "events" / "coordinator" / "observe.deployed.json").read_text())
LATER = {"tracing-manager", "alerting-manager", "dashboard-manager", "replication-manager", "load-balancer"}
# Who is stopped together, and with them who needs them: the last are all.
ROUNDS = (
    (
        "workflow-manager",
        "notification-manager",
        "metrics-manager",
        "backup-manager",
        "config-manager",
        "error-manager",
    ),
    ("orchestrator", "ai-template-manager", "vectorization", "monitoring-manager", "tenant-manager"),
    ("api-gateway", "logging-manager", "dependency-manager"),
    ("security-manager",),
    ("central-coordinator",),
)
# A question that only this manager's own routes answer, and who asks it.
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


def statuses(platform: Platform) -> dict[str, steps.Json]:
    return {each["name"]: each for each in platform["operator@platform"].get("/managers/status")["items"]}


def change(platform: Platform, name: str, what: str, *, cascade: bool = False) -> steps.Json:
    query = "?cascade=true" if cascade else ""
    return dict(platform["operator@platform"].post(f"/managers/{name}/{what}{query}", {}))


@pytest.fixture
def operated(platform: Platform) -> Iterator[Platform]:
    """Whatever a test stopped runs again after it."""
    yield platform
    start_all(platform)


def start_all(platform: Platform) -> None:
    for name, each in statuses(platform).items():
        if each["desired"] != "running":
            change(platform, name, "start", cascade=True)


def answer(platform: Platform, name: str) -> httpx.Response:
    username, path = ROUTES[name]
    return platform[username].http.get(path)


def first_refusal(platform: Platform, name: str) -> httpx.Response:
    """Whoever asks five seconds after the stop is refused, however long the answer takes."""
    stopped = time.monotonic()
    while True:
        asked = time.monotonic()
        found = answer(platform, name)
        if found.status_code == 503:
            return found
        assert asked - stopped < 5, found.text
        time.sleep(0.1)


def test_every_manager_is_shown_with_a_figure_of_its_own(platform: Platform) -> None:
    seen = statuses(platform)
    assert len(seen) == 21
    for name, each in seen.items():
        if name in LATER:
            assert each["status"] == "not_configured", each
            continue
        assert each["status"] in ("running", "degraded"), each
        assert each["status"] == "running" or each["reason"], each
        assert set(each["figures"]) - {"functions"}, name
        metrics = platform["operator@platform"].get(f"/managers/{name}/metrics")
        assert metrics["series"] == {"email_sender_manager_status": 1}
    order = list(seen)
    assert all(order.index(need) < order.index(name) for name, each in seen.items() for need in each["depends_on"])
    assert seen["dependency-manager"]["figures"]["deployed_functions"] > 25
    one = platform["operator@platform"].get("/managers/vectorization/status")
    assert (one["name"], one["kind"], one["depends_on"]) == ("vectorization", "core", ["central-coordinator"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/managers/nobody/stop", 404),
        ("/managers/tracing-manager/start", 409),
        ("/managers/tracing-manager/stop", 409),
        ("/managers/central-coordinator/stop", 409),
        ("/managers/security-manager/restart", 409),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(platform: Platform, path: str, status: int) -> None:
    before = {name: each["status"] for name, each in statuses(platform).items()}
    with pytest.raises(ApiError) as refused:
        platform["operator@platform"].post(path, {})
    assert refused.value.status == status
    if status == 409 and "tracing" not in path:
        assert "api-gateway" in str(refused.value)
    assert {name: each["status"] for name, each in statuses(platform).items()} == before


class Traffic:
    """Three kinds of work that never stop: events, mail, and searches. What is refused is asked again."""

    def __init__(self, platform: Platform) -> None:
        self._platform, self._over = platform, threading.Event()
        self.refused: Counter[str] = Counter()
        self.surprises: list[str] = []
        self.kind = f"Traffic{uuid4().hex[:8]}"
        self.events: list[str] = []
        self.runs: list[str] = []
        self.contacts: list[steps.Json] = []
        admin = platform["admin@acme"]
        self._template = steps.add_template(admin)["name"]
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,)) for work in (self._tell, self._write, self._read)
        ]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _repeat(self, work: Callable[[ApiClient], None]) -> None:
        token = str(self._platform["admin@acme"].http.headers["authorization"]).removeprefix("Bearer ")
        client = ApiClient(self._platform.api, token)
        while not self._over.is_set():
            try:
                work(client)
            except Exception as error:  # shown by the test
                self.surprises.append(repr(error))
            time.sleep(0.25)
        client.close()

    def _asked(self, client: ApiClient, path: str, body: Any) -> steps.Json:
        """Until it is taken, with the same key: a refusal is clean, so asking again is safe."""
        headers = {"idempotency-key": uuid4().hex}
        for _ in range(400):
            answer = client.http.post(path, json=body, headers=headers)
            if answer.status_code < 300:
                return dict(answer.json())
            if answer.status_code == 503 and answer.json().get("code") == "manager_stopped":
                assert "retry-after" in answer.headers
                self.refused[path.split("/")[1]] += 1
                time.sleep(0.3)
                continue
            raise AssertionError(f"{path}: {answer.status_code} {answer.text[:300]}")
        raise AssertionError(f"{path} was never taken")

    def _tell(self, client: ApiClient) -> None:
        told = self._asked(client, "/events", {"source": "crm", "type": self.kind, "data": {"n": len(self.events)}})
        self.events.append(str(told["id"]))

    def _write(self, client: ApiClient) -> None:
        address = f"{uuid4().hex}@people.example"
        contact = self._asked(client, "/contacts", {"email": address, "name": "Ada Example"})
        definition = steps.letter(self._template, [contact["id"]], approval=False)
        workflow = self._asked(client, "/workflows", {"definition": definition})
        run = self._asked(client, f"/workflows/{workflow['id']}/execute", {"inputs": {}})
        self.contacts.append({**contact, "email": address})
        self.runs.append(str(run["id"]))
        time.sleep(0.5)

    def _read(self, client: ApiClient) -> None:
        self._asked(client, "/vectors/search", {"collection": "message_vectors", "text": "hello", "limit": 1})


@pytest.mark.timeout(400)
def test_each_is_stopped_under_traffic_and_nothing_is_lost_or_done_twice(operated: Platform) -> None:
    platform = operated
    stopped: set[str] = set()
    with Traffic(platform) as traffic:
        for together in ROUNDS:
            for name in together:
                assert change(platform, name, "stop", cascade=True)["status"] == "stopped"
            for name in [each for each in together if each in ROUTES]:
                refusal = first_refusal(platform, name)
                assert refusal.json()["code"] == "manager_stopped"
                assert refusal.headers["retry-after"] == "5"
            assert httpx.get(f"{platform.api}/version").status_code == 200
            stopped |= {name for name, each in statuses(platform).items() if each["status"] == "stopped"}
            start_all(platform)
            for name in [each for each in together if each in ROUTES]:
                wait_until(lambda: answer(platform, name).status_code, lambda seen: seen == 200, 10)  # noqa: B023
        wait_until(lambda: min(len(traffic.runs), len(traffic.events) // 4), lambda seen: seen >= 5, 60)
    assert stopped == statuses(platform).keys() - LATER
    assert traffic.surprises == []
    assert traffic.refused["events"] > 0
    assert traffic.refused["vectors"] > 0

    admin = platform["admin@acme"]
    for run in traffic.runs:
        ended = wait_until(lambda: dict(admin.get(f"/runs/{run}")), lambda seen: seen["status"] in steps.ENDED, 120)  # noqa: B023
        assert ended["status"] == "succeeded", ended["error"]
    addresses = {contact["email"] for contact in traffic.contacts}
    mails = [to for each in httpx.get(platform.mail).json() for to in each["recipients"] if to in addresses]
    assert Counter(mails) == Counter(addresses)
    recorded = wait_until(
        lambda: [
            row["id"] for row in platform.look("select id::text from email_sender.events where type = %s", traffic.kind)
        ],
        lambda seen: len(seen) >= len(traffic.events),
        60,
    )
    assert Counter(recorded) == Counter(traffic.events)


def test_what_operators_do_is_in_the_audit_log(operated: Platform) -> None:
    change(operated, "logging-manager", "stop")
    change(operated, "logging-manager", "start")
    audit = operated["operator@platform"].get("/audit", limit=2)
    assert [(each["action"], each["object"]) for each in audit["items"]] == [
        ("manager.start", "logging-manager"),
        ("manager.stop", "logging-manager"),
    ]
    assert audit["items"][0]["subject"]
    assert audit["broken_at"] is None
    assert operated["admin@acme"].get("/audit")["items"] == []


def test_a_clock_that_was_switched_off_otherwise_rings_again_and_a_version_is_ready_once(platform: Platform) -> None:
    scheduler, function = platform.aws("scheduler"), platform.function("ObserveFunction")
    whole = scheduler.get_schedule(Name="email-sender-clock-local.central-coordinator.relay")
    given = {name: whole[name] for name in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    for event in ("{}", json.dumps(DEPLOYED)):
        scheduler.update_schedule(**given, State="DISABLED")
        platform.aws("lambda").invoke(FunctionName=function, Payload=event.encode())
        assert scheduler.get_schedule(Name=given["Name"])["State"] == "ENABLED"
    (ready,) = wait_until(lambda: platform["operator@platform"].get("/events", type="system.ready")["items"], bool, 20)
    assert ready["payload"]["data"]["stage"] == "local"


@pytest.mark.parametrize(
    ("stack", "status", "rings"),
    [("ours", "UPDATE_COMPLETE", True), ("ours", "UPDATE_IN_PROGRESS", False), ("another", "UPDATE_COMPLETE", False)],
)
def test_the_end_of_our_deployment_calls_the_observer(
    platform: Platform, stack: str, status: str, *, rings: bool
) -> None:
    """By the deployed rule. The emulator tells of no deployment itself, and takes no event in CloudFormation's name."""
    events = platform.aws("events")
    (rule,) = [each for each in events.list_rules()["Rules"] if "Stack Status Change" in each.get("EventPattern", "")]
    target = events.list_targets_by_rule(Rule=rule["Name"])["Targets"][0]["Arn"]
    assert platform.function("ObserveFunction") in target
    (ours,) = json.loads(rule["EventPattern"])["detail"]["stack-id"]
    detail = {"stack-id": ours if stack == "ours" else f"{ours}0", "status-details": {"status": status}}
    event = json.dumps({**DEPLOYED, "detail": detail})
    assert events.test_event_pattern(EventPattern=rule["EventPattern"], Event=event)["Result"] is rings


def test_a_stopped_managers_machine_is_not_rung_for(operated: Platform) -> None:
    def clock() -> str:
        return str(
            operated.aws("scheduler").get_schedule(Name="email-sender-clock-local.backup-manager.daily")["State"]
        )

    assert clock() == "ENABLED"
    change(operated, "backup-manager", "stop", cascade=True)
    assert clock() == "DISABLED"
    change(operated, "backup-manager", "start", cascade=True)
    assert clock() == "ENABLED"


def test_who_locked_everybody_out_comes_back_by_the_function_itself(operated: Platform) -> None:
    change(operated, "security-manager", "stop", cascade=True)
    user = next(user for user in operated.users if user.username == "operator@platform")

    def signs_in() -> int:
        return httpx.post(
            f"{operated.api}/auth/token", json={"username": user.username, "password": user.password}
        ).status_code

    wait_until(signs_in, lambda status: status == 503, 5)
    function = operated.function("ObserveFunction")
    operated.aws("lambda").invoke(FunctionName=function, Payload=b'{"start": "api-gateway"}')
    wait_until(signs_in, lambda status: status == 200, 5)
