"""Every alarm of the deployed template goes off on a recorded fault, stays quiet on normal figures, and clears.

The definitions are evaluated by the local cloud's implementation of CloudWatch's rules.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ministack.services import cloudwatch

from local.aws.evaluation import evaluate
from local.aws.intrinsics import read_template
from local.aws.monitoring.alarm_states import ALARM, NO_DATA, OK, decide
from local.aws.monitoring.points import Point
from local.layout import ROOT
from tests.aws.cloudformation import deployed

MACHINES = evaluate(
    read_template(ROOT / "stacks/observability.yaml"),
    {"Stage": "dev", "AlarmTopic": "t", "NoticeTopic": "t", "DatabaseId": "db", "EngineMetrics": "on"},
    "email-sender-dev-observability",
)
RESOURCES = deployed("dev") | MACHINES
ALARMS = {
    name.removesuffix("Alarm"): resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
COMPOSITES = {
    name.removesuffix("Alarm"): resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::CloudWatch::CompositeAlarm"
}
NOW = 1_795_910_400.0

type Recorded = Mapping[str, Sequence[float]]
"""By metric name, with `|dimension value` where one alarm has several: values, one a minute, the last a minute ago."""


class RecordedPoints:
    """Implements points.Points. A series without values for the asked dimensions has the values of its name."""

    def __init__(self, recorded: Recorded, minutes_ago: int = 0) -> None:
        self._recorded, self._end = recorded, NOW - 60 * minutes_ago

    def of(self, _namespace: str, name: str, dimensions: Mapping[str, str], _since: float) -> Sequence[Point]:
        keys = [f"{name}|{'|'.join(dimensions.values())}", *(f"{name}|{value}" for value in dimensions.values()), name]
        values = next((self._recorded[key] for key in keys if key in self._recorded), [])
        return [Point(self._end - 30 - 60 * index, value) for index, value in enumerate(reversed(values))]

    def dimensions_of(self, _namespace: str, name: str) -> Sequence[Mapping[str, str]]:
        dimension = "manager_name" if name == STATUS else "node"
        return [{dimension: key.partition("|")[2]} for key in self._recorded if key.startswith(f"{name}|")]


LOAD, MEMORY, DISK = (f"email_sender_engine_{figure}_percent" for figure in ("load", "memory", "disk"))
STATUS = "email_sender_manager_status"
VECTORS = "email_sender_vector_operations_total"
RUNS = "email_sender_runs_total"
AGE = "ApproximateAgeOfOldestMessage"

# The fault, and normal figures.
CASES: dict[str, tuple[Recorded, Recorded]] = {
    "ManagerDown": ({f"{STATUS}|a": [0, 0], f"{STATUS}|b": [1, 1]}, {f"{STATUS}|a": [1, 0], f"{STATUS}|b": [1, 1]}),
    "ClockStopped": ({}, {STATUS: [1]}),
    "ApiErrors": ({"5xx": [2, 2, 2], "Count": [100] * 3}, {"5xx": [9, 0, 9], "Count": [100] * 3}),
    "SendingBlocked": ({"email_sender_sending_blocked_total": [1]}, {}),
    "AuditBroken": ({"email_sender_audit_broken": [1]}, {"email_sender_audit_broken": [0]}),
    "ErrorRate": ({"5xx": [1] * 10, "Count": [100] * 10}, {"5xx": [1] + [0] * 9, "Count": [200] * 10}),
    "ErrorBudgetFastShort": ({"5xx": [1] * 5, "Count": [50] * 5}, {"5xx": [0] * 5, "Count": [50] * 5}),
    "ErrorBudgetFastLong": ({"5xx": [1] * 60, "Count": [50] * 60}, {"5xx": [9] + [0] * 59, "Count": [50] * 60}),
    "ErrorBudgetSlowShort": ({"5xx": [1] * 30, "Count": [100] * 30}, {"5xx": [1] + [0] * 29, "Count": [100] * 30}),
    "ErrorBudgetSlowLong": ({"5xx": [1] * 360, "Count": [100] * 360}, {"5xx": [1] * 60, "Count": [100] * 360}),
    "ApiSlow": ({"Latency": [101] * 5, "Count": [100] * 5}, {"Latency": [9000] * 5, "Count": [99] * 5}),
    "VectorErrors": (
        {f"{VECTORS}|search|error": [2], f"{VECTORS}|search|success": [18], VECTORS: []},
        {f"{VECTORS}|search|error": [1], f"{VECTORS}|insert|success": [19], VECTORS: []},
    ),
    "FunctionErrors": (
        {"Errors": [1] * 10, "Throttles": [0] * 10},
        {"Errors": [9] + [0] * 9, "Throttles": [0] * 10},
    ),
    "EventsFailed": ({"Invocations": [1]}, {}),
    "DeadLettersLeft": ({AGE: [601] * 3}, {AGE: [601, 601, 1]}),
    "QueuesLate": ({AGE: [601] * 3}, {AGE: [601, 5, 601]}),
    "OutboxLate": (
        {"email_sender_outbox_oldest_seconds": [301, 361]},
        {"email_sender_outbox_oldest_seconds": [0, 301]},
    ),
    "RepliesLate": (
        {"email_sender_reply_handling_seconds": [1, 61]},
        {"email_sender_reply_handling_seconds": [1, 59]},
    ),
    "RunsFail": (
        {f"{RUNS}|failed": [1], f"{RUNS}|succeeded": [50]},
        {f"{RUNS}|failed": [9], f"{RUNS}|succeeded": [10]},
    ),
    "BackupMissing": ({"email_sender_backup_age_seconds": [93601]}, {"email_sender_backup_age_seconds": [93600]}),
    "Bounces": ({"Reputation.BounceRate": [0.021]}, {"Reputation.BounceRate": [0.02]}),
    "Complaints": ({"Reputation.ComplaintRate": [0.0006]}, {"Reputation.ComplaintRate": [0.0005]}),
    "DatabaseCpu": ({"CPUUtilization": [81] * 15}, {"CPUUtilization": [99] * 10 + [50] * 5}),
    "DatabaseMemory": ({"FreeableMemory": [1.5e8] * 10}, {"FreeableMemory": [1.5e8] * 5 + [3e8] * 5}),
    "DatabaseDisk": ({"FreeStorageSpace": [2e9] * 5}, {"FreeStorageSpace": [3e9] * 5}),
    "DatabaseDiskWarning": ({"FreeStorageSpace": [4e9] * 60}, {"FreeStorageSpace": [4e9] * 50 + [5e9] * 10}),
    "EngineCpu": ({f"{LOAD}|a": [81] * 15, f"{LOAD}|b": [1] * 15}, {f"{LOAD}|a": [99] * 10 + [9] * 5}),
    "EngineMemory": ({f"{MEMORY}|a": [86] * 10, f"{MEMORY}|b": [1] * 10}, {f"{MEMORY}|a": [85] * 10}),
    "EngineDisk": ({f"{DISK}|a": [91] * 5, f"{DISK}|b": [1] * 5}, {f"{DISK}|a": [90] * 5}),
    "EngineDiskWarning": ({f"{DISK}|a": [81] * 60}, {f"{DISK}|a": [81] * 50 + [80] * 10}),
    "Denials": ({"email_sender_access_denied_total": [25, 25]}, {"email_sender_access_denied_total": [49]}),
    "FailedSignIns": ({"email_sender_failed_sign_ins_total": [50]}, {"email_sender_failed_sign_ins_total": [49]}),
}
CASES |= {
    f"{area}Function": (
        {"Invocations": [50], "Errors": [3], "Throttles": [0], "Duration": [10]},
        {"Invocations": [100], "Errors": [3], "Throttles": [0], "Duration": [10]},
    )
    for area in ("Gateway", "Vectors", "Coordinator", "Workflows", "Messaging", "Console")
}


def state(name: str, recorded: Recorded, current: str = OK, minutes_ago: int = 0) -> str:
    return decide(ALARMS[name], RecordedPoints(recorded, minutes_ago), NOW, current).state


def test_every_alarm_has_a_case() -> None:
    assert set(CASES) == set(ALARMS)


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_goes_off_and_clears(name: str) -> None:
    fault, normal = CASES[name]
    assert state(name, fault) == ALARM
    assert state(name, normal, current=ALARM) == OK


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_says_nothing_wrong_if_the_figures_stop(name: str) -> None:
    """After a day without data: what must report is in alarm, a rate stays as it was, all others are quiet."""
    expected = {"breaching": ALARM, "notBreaching": OK, "ignore": ALARM, "missing": NO_DATA}[
        ALARMS[name]["TreatMissingData"]
    ]
    assert state(name, CASES[name][0], current=ALARM, minutes_ago=2000) == expected


def test_an_alarm_without_a_treatment_has_no_data() -> None:
    alarm: dict[str, Any] = {**ALARMS["Denials"]}
    del alarm["TreatMissingData"]
    assert decide(alarm, RecordedPoints({}), NOW, OK).state == NO_DATA


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_composite_alarm_refers_to_alarms_of_the_stack(name: str) -> None:
    rule = cloudwatch._parse_alarm_rule(COMPOSITES[name]["AlarmRule"])
    known = {alarm.get("AlarmName") for alarm in [*ALARMS.values(), *COMPOSITES.values()]}
    references = set(cloudwatch._rule_refs(rule))
    assert references
    assert references <= known | {f"{alarm}Alarm" for alarm in ALARMS}
