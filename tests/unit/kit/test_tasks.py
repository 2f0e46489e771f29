"""Tests for task handlers: the run's tenant, permissions, recorded steps and the errors that people read."""

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict

from email_sender import errors
from email_sender.coordination.events import Event
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import DomainError
from email_sender.kit.tasks.call import TaskCall, as_list
from email_sender.kit.tasks.errors import readable_cause, state_machine_error
from email_sender.kit.tasks.handler import MAX_RESULT_BYTES, Action, task_handler
from email_sender.security.features import Feature
from email_sender.security.permissions import Permission, Role
from email_sender.workflows.model import OPEN_STATUSES, Run, RunStatus, StepRecord, StepStatus
from email_sender.workflows.ports import WorkflowUnits

TENANT, STRANGER, RUN = UUID(int=1), UUID(int=2), UUID(int=3)
AT = datetime(2026, 5, 4, tzinfo=UTC)

INTERNAL_ERROR = "An internal error occurred. See the logs for details."


class SizeArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


class TaskScenario:
    """The in-memory stores and functions around a task."""

    def __init__(self) -> None:
        self.run = Run(RUN, UUID(int=4), 1, RunStatus.RUNNING, {}, "ann", Role.USER, AT)
        self.records: list[StepRecord] = []
        self.events: list[Event] = []
        self.refusals: list[tuple[str, str, str]] = []
        self.answers: list[tuple[str, Mapping[str, Any]]] = []
        self.before: StepRecord | None = None
        self.calls: list[TaskCall] = []
        self.result: Mapping[str, Any] = {"ok": True}
        self.error: Exception | None = None
        actions = {
            "write": Action(self.work, Permission.MESSAGING_WRITE),
            "send": Action(self.work, Permission.MESSAGING_SEND),
            "wait": Action(self.work, None, waits=True),
            "flagged": Action(self.work, Permission.MESSAGING_WRITE, feature=Feature.AI_GENERATE),
        }
        self.disabled_features: list[tuple[Feature, UUID]] = []
        units = cast("WorkflowUnits", self.units)
        self.stopped: list[str] = []
        gate = ManagerGate(lambda: self.stopped, itertools.count(step=10).__next__)
        self._handler = task_handler(actions, lambda: units, lambda: gate, lambda: self, lambda: self)

    def enabled(self, feature: Feature, tenant_id: UUID) -> bool:
        return (feature, tenant_id) not in self.disabled_features

    def send_task_failure(self, *refusal: str) -> None:
        self.refusals.append((refusal[0], refusal[1], refusal[2]))

    def send_task_success(self, task_token: str, result: Mapping[str, Any]) -> None:
        self.answers.append((task_token, result))

    def work(self, call: TaskCall) -> Mapping[str, Any]:
        self.calls.append(call)
        if self.error:
            raise self.error
        return self.result

    @contextmanager
    def units(self, tenant_id: UUID) -> Iterator[SimpleNamespace]:
        runs = SimpleNamespace(
            get=lambda run_id: self.run if (tenant_id, run_id) == (TENANT, RUN) else None,
            step=lambda *_: self.before,
            record=lambda _, record: self.records.append(record),
        )
        yield SimpleNamespace(runs=runs, emit=self.events.append, commit=lambda: None)

    def __call__(self, action: str = "write", **changes: Any) -> Mapping[str, Any]:
        defaults = {"tenant_id": str(TENANT), "run_id": str(RUN), "step": "s", "action": action}
        event = {**defaults, "with": changes.pop("arguments", {}), **changes}
        context = SimpleNamespace(
            function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="r"
        )  # fmt: skip
        return self._handler(event, cast("LambdaContext", context))

    def failure_of(self, action: str = "write", **changes: Any) -> tuple[str, str]:
        try:
            self(action, **changes)
        except Exception as error:
            return type(error).__name__, str(error)
        raise AssertionError("the task did not fail")


@pytest.fixture
def scenario(monkeypatch: pytest.MonkeyPatch) -> TaskScenario:
    monkeypatch.setenv("MANAGER", "workflow-manager")
    return TaskScenario()


def test_a_task_of_a_stopped_manager_does_not_run_and_leaves_no_failed_step(scenario: TaskScenario) -> None:
    scenario.stopped.append("vectorization")
    scenario()
    scenario.stopped.append("workflow-manager")
    assert scenario.failure_of()[0] == "stopped"
    assert scenario.failure_of("wait", task_token="t")[0] == "stopped"
    # Not every engine passes the function's own error on to a waiting step.
    assert [refusal[:2] for refusal in scenario.refusals] == [("t", "stopped")]
    assert len(scenario.calls) == 1
    assert [record.status for record in scenario.records] == [StepStatus.SUCCEEDED]


def test_an_action_gets_the_runs_principal_and_its_result_is_recorded_and_published(scenario: TaskScenario) -> None:
    assert scenario(arguments={"a": 1}) == {"ok": True}
    (call,) = scenario.calls
    assert (call.tenant_id, call.run_id, call.step, call.item) == (TENANT, RUN, "s", -1)
    assert (call.arguments, call.started_by, call.role) == ({"a": 1}, "ann", Role.USER)
    (record,) = scenario.records
    assert (record.status, record.action, record.result) == (StepStatus.SUCCEEDED, "write", {"ok": True})
    assert [event.type for event in scenario.events] == ["run.step.completed"]


def test_a_feature_that_is_disabled_for_the_tenant_fails_the_step(scenario: TaskScenario) -> None:
    scenario.disabled_features.append((Feature.AI_GENERATE, STRANGER))
    scenario("flagged")
    scenario.disabled_features.append((Feature.AI_GENERATE, TENANT))
    name, message = scenario.failure_of("flagged")
    assert (name, message) == ("forbidden", "The feature ai_generate is not enabled for this tenant.")
    assert len(scenario.calls) == 1
    assert [record.status for record in scenario.records] == [StepStatus.SUCCEEDED, StepStatus.FAILED]


def test_an_action_with_a_feature_needs_a_handler_with_feature_flags(scenario: TaskScenario) -> None:
    with pytest.raises(ValueError, match="has a feature"):
        task_handler({"a": Action(scenario.work, None, feature=Feature.AI_GENERATE)}, lambda: None, lambda: None)  # type: ignore[arg-type,return-value]


def test_the_index_of_a_for_each_item_is_passed_and_recorded(scenario: TaskScenario) -> None:
    scenario(item=0)
    assert (scenario.calls[0].item, scenario.records[0].item) == (0, 0)


def test_a_call_cannot_choose_its_principal(scenario: TaskScenario) -> None:
    assert scenario.failure_of("send", role="admin", started_by="eve", arguments={"role": "admin"})[0] == "forbidden"
    assert scenario.calls == []


def test_a_missing_permission_fails_the_step_and_is_named(scenario: TaskScenario) -> None:
    name, message = scenario.failure_of("send")
    assert (name, "messaging:send" in message) == ("forbidden", True)
    assert (scenario.records[0].status, scenario.records[0].error) == (
        StepStatus.FAILED,
        {"name": "forbidden", "message": message},
    )


@pytest.mark.parametrize("changes", [{"tenant_id": str(STRANGER)}, {"run_id": str(UUID(int=9))}])
def test_a_run_of_another_tenant_is_not_found_and_nothing_is_written(
    scenario: TaskScenario, changes: dict[str, str]
) -> None:
    assert scenario.failure_of(**changes)[0] == "not_found"
    assert (scenario.calls, scenario.records, scenario.events) == ([], [], [])


@pytest.mark.parametrize("status", [run_status for run_status in RunStatus if run_status not in OPEN_STATUSES])
def test_a_task_of_an_ended_run_is_rejected(scenario: TaskScenario, status: RunStatus) -> None:
    scenario.run = Run(RUN, UUID(int=4), 1, status, {}, "ann", Role.USER, AT)
    assert scenario.failure_of()[0] == "rejected"
    assert (scenario.calls, scenario.records) == ([], [])


@pytest.mark.parametrize("changes", [{"tenant_id": "acme"}, {"run_id": None}, {"arguments": []}, {"step": None}])
def test_a_malformed_task_is_invalid(scenario: TaskScenario, changes: dict[str, Any]) -> None:
    assert scenario.failure_of(**changes)[0] == "invalid"
    assert scenario.failure_of("unknown")[0] == "invalid"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (errors.RateLimited("x"), "throttled"),
        (errors.Unavailable("x"), "unavailable"),
        (errors.ManagerStopped("x"), "stopped"),
        (errors.InvalidInput("x"), "invalid"),
        (errors.Forbidden("x"), "forbidden"),
        (errors.NotFound("x"), "not_found"),
        (errors.Conflict("x"), "rejected"),
        (DomainError("x"), "internal"),
    ],
)
def test_a_domain_error_has_the_name_that_retries_refer_to(
    scenario: TaskScenario, error: DomainError, name: str
) -> None:
    scenario.error = error
    assert scenario.failure_of() == (name, "x")
    assert type(state_machine_error(error)).__name__ == name


def test_a_waiting_step_fails_with_its_action(scenario: TaskScenario) -> None:
    scenario.error = errors.InvalidInput("no")
    assert scenario.failure_of("wait", task_token="token")[0] == "invalid"
    assert scenario.refusals == [("token", "invalid", "no")]


def test_a_waiting_step_is_not_recorded_before_it_is_answered(scenario: TaskScenario) -> None:
    scenario("wait", task_token="token")
    assert (scenario.records, scenario.events, scenario.refusals) == ([], [], [])


@pytest.mark.parametrize(("item", "limit"), [(None, 64 * 1024), (0, MAX_RESULT_BYTES)])
def test_a_result_over_the_size_limit_is_rejected(scenario: TaskScenario, item: int | None, limit: int) -> None:
    frame = len(json.dumps({"x": ""}))
    scenario.result = {"x": "a" * (limit - frame)}
    scenario(item=item)
    scenario.result = {"x": "a" * (limit - frame + 1)}
    assert scenario.failure_of(item=item)[0] == "invalid"
    assert scenario.records[-1].status is StepStatus.FAILED


def test_invalid_arguments_are_named_by_their_pointers() -> None:
    call = TaskCall(TENANT, RUN, "s", -1, {"size": "x", "more": 1}, "ann", Role.USER)
    with pytest.raises(errors.InvalidInput) as caught:
        call.parse(SizeArguments)
    assert {problem.pointer for problem in caught.value.problems} == {"/with/size", "/with/more"}


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (None, ""),
        ("", ""),
        ("States.Timeout", "States.Timeout"),
        ('"text"', '"text"'),
        ('{"errorType": "invalid", "errorMessage": "Step s: no", "stackTrace": ["secret"]}', "Step s: no"),
        (
            '{"errorType": "KeyError", "errorMessage": "secret"}',
            INTERNAL_ERROR,
        ),
        ('{"errorMessage": "secret"}', INTERNAL_ERROR),
        ("x" * 5000, "x" * 1000),
    ],
)
def test_a_person_reads_only_our_own_messages(cause: str | None, words: str) -> None:
    assert readable_cause(cause) == words


@pytest.mark.parametrize(
    ("value", "expected_list"),
    [(None, []), ([], []), ("a", ["a"]), (["a"], ["a"]), (["a", None, "b"], ["a", "b"]), ({"a": 1}, [{"a": 1}])],
)
def test_a_value_that_jsonata_unwrapped_is_a_list_again(value: object, expected_list: list[object]) -> None:
    assert as_list(value) == expected_list


def test_a_succeeded_step_returns_its_stored_result_without_running_again(scenario: TaskScenario) -> None:
    scenario.before = StepRecord("s", -1, "write", StepStatus.SUCCEEDED, AT, result={"first": True})
    assert scenario() == {"first": True}
    assert (scenario.calls, scenario.records, scenario.events) == ([], [], [])
    scenario.before = StepRecord("s", -1, "wait", StepStatus.SUCCEEDED, AT, result={"first": True})
    scenario("wait", task_token="token")
    assert (scenario.answers, scenario.calls) == ([("token", {"first": True})], [])


@pytest.mark.parametrize(
    "before",
    [
        StepRecord("s", -1, "write", StepStatus.FAILED, AT),
        StepRecord("s", -1, "write", StepStatus.WAITING, AT),
        StepRecord("s", -1, "send", StepStatus.SUCCEEDED, AT, result={"of": "another action"}),
    ],
)
def test_a_step_that_has_not_succeeded_with_this_action_runs(scenario: TaskScenario, before: StepRecord) -> None:
    scenario.before = before
    assert (scenario(), len(scenario.calls)) == ({"ok": True}, 1)
