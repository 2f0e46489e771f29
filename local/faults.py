"""Break parts of a running platform one after the other, and measure how soon an operator sees it.

    python -m local.faults             # `make faults`, about half an hour
    python -m local.faults database    # only the faults with this word

It runs in a stage of its own. Each fault must be in `GET /managers/status` or on a dashboard within a minute, in an
alarm within the alarm's own period plus one minute, and gone after the repair.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from rich.console import Console
from rich.table import Table

from local.aws.deploy import client_factory
from local.client import ApiClient, ApiError
from local.cloud import LocalCloud
from local.layout import ROOT, ports_above
from local.process_tree import descendants
from local.temporary_stage import temporary_stage

HOME = ROOT / ".local/faults"
PORTS = ports_above(16_000)
_POLL_SECONDS = 3.0
_SEEN_SECONDS = 75.0
_PREFIX = "email-sender-local-"


@dataclass(frozen=True, slots=True)
class Fault:
    """`manager` gets another status than before, if a manager watches it. `alarm_seconds` is the alarm's own time."""

    name: str
    alarm: str
    alarm_seconds: float
    make: Callable[["Stage"], None]
    repair: Callable[["Stage"], None]
    manager: str | None = None
    # An alarm over an hour clears within an hour, for which nobody waits here.
    is_awaited: bool = True


@dataclass(slots=True)
class Outcome:
    """Seconds after the fault, or after its repair. None: not within its time."""

    fault: Fault
    seen: float | None = None
    alarm: float | None = None
    cleared: float | None = None


@dataclass
class Stage:
    """The running platform with what faults need."""

    cloud: LocalCloud
    operator: ApiClient = field(init=False)
    admin: ApiClient = field(init=False)
    reader: ApiClient = field(init=False)

    def __post_init__(self) -> None:
        self.operator, self.admin, self.reader = (
            self.sign_in(name) for name in ("operator@platform", "admin@acme", "readonly@acme")
        )
        self.aws = client_factory(self.cloud.aws_url)

    def sign_in(self, username: str) -> ApiClient:
        user = next(user for user in self.cloud.users if user.username == username)
        return ApiClient.sign_in(f"{self.cloud.api_url}/api/v1", username, user.password)

    def sql(self, statement: Any) -> None:
        with psycopg.connect(self.cloud.database_url, autocommit=True, options="-c search_path=email_sender") as conn:
            conn.execute(statement)

    def statuses(self) -> dict[str, str]:
        """Return the status of each manager, or nothing while the platform does not answer."""
        with suppress(ApiError, httpx.HTTPError):
            return {item["name"]: item["status"] for item in self.operator.get("/managers/status")["items"]}
        return {}

    def alarm_state(self, name: str) -> str:
        found: Any = self.aws("cloudwatch").describe_alarms(
            AlarmNames=[_PREFIX + name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        alarms: list[Any] = found["MetricAlarms"] + found["CompositeAlarms"]
        return str(alarms[0]["StateValue"])

    def stop_processes(self, part: str, number: signal.Signals) -> None:
        for pid in descendants(self.cloud.pid(part)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _try(action: Callable[[], object], times: int = 1) -> None:
    """Make calls whose errors are the point."""
    for _ in range(times):
        with suppress(ApiError, httpx.HTTPError):
            action()


def _pause_engine(stage: Stage) -> None:
    stage.stop_processes("qdrant", signal.SIGSTOP)
    search = {"collection": "document_vectors", "vector": [0.1] * 768, "limit": 1}
    _try(lambda: stage.admin.post("/vectors/search", search), 25)


def _fail_event(stage: Stage) -> None:
    queue = stage.aws("cloudformation").describe_stack_resource(
        StackName="email-sender-local", LogicalResourceId="MailQueue"
    )["StackResourceDetail"]["PhysicalResourceId"]
    # Five attempts, each after this time; the template has three minutes.
    stage.aws("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
    stage.aws("sqs").send_message(QueueUrl=queue, MessageBody='{"not": "an event"}')


def _forget_sender(stage: Stage) -> None:
    ses = stage.aws("ses")
    for identity in ses.list_identities()["Identities"]:
        ses.delete_identity(Identity=identity)
    contact = stage.admin.post("/contacts", {"email": f"{uuid4().hex}@people.example", "name": "Ada"})
    template = stage.admin.post(
        "/templates", {"name": f"t-{uuid4().hex}", "subject": "Hi", "body_text": "Hi\n{{ unsubscribe_url }}\n"}
    )
    steps = [
        {"id": "draft", "uses": "template.render", "with": {"template": template["name"], "contact": contact["id"]}},
        {"id": "send", "uses": "email.send", "needs": ["draft"], "with": {"draft": "{% $steps.draft.draft_id %}"}},
    ]
    workflow = stage.admin.post("/workflows", {"definition": {"name": f"w-{uuid4().hex}", "steps": steps}})
    stage.admin.post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})


def _fail_runs(stage: Stage) -> None:
    step = {"id": "s", "uses": "transform", "with": {"value": "{% $error('broken on purpose') %}"}}
    workflow = stage.admin.post("/workflows", {"definition": {"name": f"w-{uuid4().hex}", "steps": [step]}})
    for _ in range(25):
        stage.admin.post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})


_CHANGE_AUDIT = (
    "alter table audit_log disable trigger all; update audit_log set subject = {} "
    "where sequence = 1 and tenant_id = '00000000-0000-7000-8000-000000000000'; "
    "alter table audit_log enable trigger all"
)


def _nothing(_stage: Stage) -> None:
    """The cause is over; the alarm's period has to pass."""


# Those of one group do not disturb each other, so they are made at the same time.
GROUPS: Sequence[Sequence[Fault]] = (
    (
        Fault(
            "An operator stops a manager", "ManagerDown", 240,
            lambda s: s.operator.post("/managers/error-manager/stop", {}),
            lambda s: s.operator.post("/managers/error-manager/start", {}), "error-manager",
        ),
        Fault(
            "Somebody changes an entry of the audit log",
            "AuditBroken",
            120,
            lambda s: s.sql(_CHANGE_AUDIT.format("subject || 'x'")),
            lambda s: s.sql(_CHANGE_AUDIT.format("left(subject, -1)")),
            "security-manager",
        ),
        Fault(
            "Somebody guesses passwords", "FailedSignIns", 120,
            lambda s: _try(lambda: ApiClient.sign_in(f"{s.cloud.api_url}/api/v1", uuid4().hex, "wrong-password"), 60),
            _nothing,
        ),
        Fault(
            "An application tries what its role does not permit", "Denials", 120,
            lambda s: _try(lambda: s.reader.post("/contacts", {"email": "a@people.example"}), 60), _nothing,
        ),
        Fault("Runs fail", "RunsFail", 240, _fail_runs, _nothing, is_awaited=False),
    ),
    (Fault("A message cannot be handled", "EventsFailed", 240, _fail_event, _nothing, "error-manager"),),
    (Fault("SES accepts no mail", "SendingBlocked", 180, _forget_sender, lambda s: s.cloud.sign_up_users()),),
    (
        Fault(
            "The vector engine hangs", "VectorErrors", 240, _pause_engine,
            lambda s: s.stop_processes("qdrant", signal.SIGCONT), "vectorization",
        ),
    ),
    (
        Fault(
            "The platform's role loses a right in the database", "PlatformDown", 300,
            lambda s: s.sql("revoke select on outbox from platform"),
            lambda s: s.sql("grant select on outbox to platform"), "central-coordinator",
        ),
    ),
    (
        Fault(
            "The database hangs", "PlatformDown", 300,
            lambda s: s.stop_processes("postgres", signal.SIGSTOP),
            lambda s: s.stop_processes("postgres", signal.SIGCONT), "central-coordinator",
        ),
    ),
)  # fmt: skip


def run(console: Console, part_of_name: str = "") -> list[Outcome]:
    """Make every fault whose name has this part, and return what was seen of each."""
    groups = [[fault for fault in group if part_of_name.lower() in fault.name.lower()] for group in GROUPS]
    with temporary_stage(HOME) as layout, LocalCloud(layout, console.print, PORTS, limited=False) as cloud:
        cloud.start()
        stage = Stage(cloud)
        _wait(lambda: bool(stage.statuses()) and stage.alarm_state("PlatformDown") == "OK", 480)
        return [outcome for group in groups if group for outcome in _run_group(stage, group, console)]


def _run_group(stage: Stage, group: Sequence[Fault], console: Console) -> Iterator[Outcome]:
    before = stage.statuses()
    outcomes, started = [Outcome(fault) for fault in group], time.monotonic()
    for outcome in outcomes:
        console.print(f"· {outcome.fault.name} …")
        outcome.fault.make(stage)
    deadline = started + max(fault.alarm_seconds for fault in group)
    while time.monotonic() < deadline and not all(_is_complete(outcome) for outcome in outcomes):
        _observe(stage, outcomes, before, time.monotonic() - started)
        time.sleep(_POLL_SECONDS)
    for outcome in outcomes:
        outcome.fault.repair(stage)
    repaired = time.monotonic()
    # An alarm looks back over its period, so it clears that much later.
    while time.monotonic() < repaired + 480 and any(_is_pending(outcome) for outcome in outcomes):
        for outcome in outcomes:
            if outcome.cleared is None and stage.alarm_state(outcome.fault.alarm) == "OK":
                outcome.cleared = time.monotonic() - repaired
        time.sleep(_POLL_SECONDS)
    for outcome in outcomes:
        console.print(
            f"  {outcome.fault.name}: {_text(outcome.seen)}, {_text(outcome.alarm)}, {_text(outcome.cleared)}"
        )
    yield from outcomes


def _observe(stage: Stage, outcomes: Sequence[Outcome], before: dict[str, str], elapsed: float) -> None:
    statuses = stage.statuses()
    for outcome in outcomes:
        manager = outcome.fault.manager
        if outcome.seen is None and manager in statuses and statuses[manager] != before.get(manager):
            outcome.seen = elapsed
        if outcome.alarm is None and stage.alarm_state(outcome.fault.alarm) == "ALARM":
            outcome.alarm = elapsed


def _is_pending(outcome: Outcome) -> bool:
    return outcome.alarm is not None and outcome.cleared is None and outcome.fault.is_awaited


def _is_complete(outcome: Outcome) -> bool:
    return outcome.alarm is not None and (outcome.seen is not None or outcome.fault.manager is None)


def _wait(is_done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_done():
        time.sleep(_POLL_SECONDS)


def _text(seconds: float | None) -> str:
    return "no" if seconds is None else f"{seconds:.0f} s"


def main() -> int:
    console = Console(soft_wrap=True, highlight=False)
    outcomes = run(console, sys.argv[1] if len(sys.argv) > 1 else "")
    table = Table("fault", "manager", "seen after", "alarm", "after", "cleared after")
    for outcome in outcomes:
        fault = outcome.fault
        table.add_row(
            fault.name, fault.manager or "dashboard", _text(outcome.seen), fault.alarm, _text(outcome.alarm),
            _text(outcome.cleared),
        )  # fmt: skip
    console.print(table)
    late = [
        outcome
        for outcome in outcomes
        if outcome.alarm is None
        or (outcome.fault.manager and (outcome.seen is None or outcome.seen > _SEEN_SECONDS))
        or (outcome.fault.is_awaited and outcome.cleared is None)
    ]
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
