"""Handlers of workflow steps: whose run, which permission, what is written down, what a person may read."""

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
from email_sender.coordination.gate import Gate
from email_sender.errors import DomainError
from email_sender.kit.tasks import MAX_RESULT_BYTES, Action, TaskCall, as_list, named_error, task_handler, words_of
from email_sender.security.features import Feature
from email_sender.security.permissions import Permission, Role
from email_sender.workflows.model import OPEN, Run, RunStatus, StepRecord, StepStatus
from email_sender.workflows.ports import WorkflowUnits

TENANT, STRANGER, RUN = UUID(int=1), UUID(int=2), UUID(int=3)
AT = datetime(2026, 5, 4, tzinfo=UTC)


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


class Office:
    """The stores and functions around a task, in memory."""

    def __init__(self) -> None:
        self.run = Run(RUN, UUID(int=4), 1, RunStatus.RUNNING, {}, "ann", Role.USER, AT)
        self.records: list[StepRecord] = []
        self.events: list[Event] = []
        self.refused: list[tuple[str, str, str]] = []
        self.answered: list[tuple[str, Mapping[str, Any]]] = []
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
        self.off: list[tuple[Feature, UUID]] = []
        units = cast("WorkflowUnits", self.units)
        self.stopped: list[str] = []
        gate = Gate(lambda: self.stopped, itertools.count(step=10).__next__)
        self._handler = task_handler(actions, lambda: units, lambda: gate, lambda: self, lambda: self)

    def enabled(self, feature: Feature, tenant_id: UUID) -> bool:
        return (feature, tenant_id) not in self.off

    def refuse(self, *told: str) -> None:
        self.refused.append((told[0], told[1], told[2]))

    def answer(self, task_token: str, result: Mapping[str, Any]) -> None:
        self.answered.append((task_token, result))

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
        usual = {"tenant_id": str(TENANT), "run_id": str(RUN), "step": "s", "action": action}
        event = {**usual, "with": changes.pop("arguments", {}), **changes}
        context = SimpleNamespace(
            function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="r"
        )  # fmt: skip
        return self._handler(event, cast("LambdaContext", context))

    def fails(self, action: str = "write", **changes: Any) -> tuple[str, str]:
        try:
            self(action, **changes)
        except Exception as error:
            return type(error).__name__, str(error)
        raise AssertionError("the task did not fail")


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setenv("MANAGER", "workflow-manager")
    return Office()


def test_a_stopped_managers_task_is_not_done_and_leaves_no_failed_step(office: Office) -> None:
    office.stopped.append("vectorization")
    office()
    office.stopped.append("workflow-manager")
    assert office.fails()[0] == "stopped"
    assert office.fails("wait", task_token="t")[0] == "stopped"
    # Not every engine takes the function's own error for a waiting step's.
    assert [each[:2] for each in office.refused] == [("t", "stopped")]
    assert len(office.calls) == 1
    assert [each.status for each in office.records] == [StepStatus.SUCCEEDED]


def test_an_action_gets_the_runs_principal_and_its_result_is_recorded_and_told(office: Office) -> None:
    assert office(arguments={"a": 1}) == {"ok": True}
    (call,) = office.calls
    assert (call.tenant_id, call.run_id, call.step, call.item) == (TENANT, RUN, "s", -1)
    assert (call.arguments, call.started_by, call.role) == ({"a": 1}, "ann", Role.USER)
    (record,) = office.records
    assert (record.status, record.action, record.result) == (StepStatus.SUCCEEDED, "write", {"ok": True})
    assert [event.type for event in office.events] == ["run.step.completed"]


def test_an_action_that_is_off_for_the_runs_tenant_is_refused_and_said_to_be(office: Office) -> None:
    office.off.append((Feature.AI_GENERATE, STRANGER))
    office("flagged")
    office.off.append((Feature.AI_GENERATE, TENANT))
    name, message = office.fails("flagged")
    assert (name, message) == ("forbidden", "The feature ai_generate is not enabled for this tenant.")
    assert len(office.calls) == 1
    assert [each.status for each in office.records] == [StepStatus.SUCCEEDED, StepStatus.FAILED]


def test_a_handler_that_cannot_tell_what_is_off_is_not_built(office: Office) -> None:
    with pytest.raises(ValueError, match="has a feature"):
        task_handler({"a": Action(office.work, None, feature=Feature.AI_GENERATE)}, lambda: None, lambda: None)  # type: ignore[arg-type,return-value]


def test_an_item_of_a_for_each_is_counted(office: Office) -> None:
    office(item=0)
    assert (office.calls[0].item, office.records[0].item) == (0, 0)


def test_the_principal_cannot_be_named_by_the_call(office: Office) -> None:
    assert office.fails("send", role="admin", started_by="eve", arguments={"role": "admin"})[0] == "forbidden"
    assert office.calls == []


def test_a_permission_the_principal_lacks_fails_the_step_and_says_which(office: Office) -> None:
    name, message = office.fails("send")
    assert (name, "messaging:send" in message) == ("forbidden", True)
    assert (office.records[0].status, office.records[0].error) == (
        StepStatus.FAILED,
        {"name": "forbidden", "message": message},
    )


@pytest.mark.parametrize("changes", [{"tenant_id": str(STRANGER)}, {"run_id": str(UUID(int=9))}])
def test_a_run_of_another_tenant_is_not_found_and_nothing_is_written(office: Office, changes: dict[str, str]) -> None:
    assert office.fails(**changes)[0] == "not_found"
    assert (office.calls, office.records, office.events) == ([], [], [])


@pytest.mark.parametrize("status", [each for each in RunStatus if each not in OPEN])
def test_a_run_that_has_ended_does_no_more_work(office: Office, status: RunStatus) -> None:
    office.run = Run(RUN, UUID(int=4), 1, status, {}, "ann", Role.USER, AT)
    assert office.fails()[0] == "rejected"
    assert (office.calls, office.records) == ([], [])


@pytest.mark.parametrize("changes", [{"tenant_id": "acme"}, {"run_id": None}, {"arguments": []}, {"step": None}])
def test_what_is_no_task_of_ours_is_invalid(office: Office, changes: dict[str, Any]) -> None:
    assert office.fails(**changes)[0] == "invalid"
    assert office.fails("unknown")[0] == "invalid"


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
def test_an_error_has_the_name_that_definitions_retry_by(office: Office, error: DomainError, name: str) -> None:
    office.error = error
    assert office.fails() == (name, "x")
    assert type(named_error(error)).__name__ == name


def test_a_waiting_step_is_told_that_its_action_failed(office: Office) -> None:
    office.error = errors.InvalidInput("no")
    assert office.fails("wait", task_token="token")[0] == "invalid"
    assert office.refused == [("token", "invalid", "no")]


def test_a_waiting_step_is_not_recorded_as_done_before_its_answer(office: Office) -> None:
    office("wait", task_token="token")
    assert (office.records, office.events, office.refused) == ([], [], [])


@pytest.mark.parametrize(("item", "limit"), [(None, 64 * 1024), (0, MAX_RESULT_BYTES)])
def test_a_result_is_small(office: Office, item: int | None, limit: int) -> None:
    frame = len(json.dumps({"x": ""}))
    office.result = {"x": "a" * (limit - frame)}
    office(item=item)
    office.result = {"x": "a" * (limit - frame + 1)}
    assert office.fails(item=item)[0] == "invalid"
    assert office.records[-1].status is StepStatus.FAILED


def test_arguments_that_are_not_as_asked_are_named_by_pointer() -> None:
    call = TaskCall(TENANT, RUN, "s", -1, {"size": "x", "more": 1}, "ann", Role.USER)
    with pytest.raises(errors.InvalidInput) as caught:
        call.parse(Asked)
    assert {each.pointer for each in caught.value.problems} == {"/with/size", "/with/more"}


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (None, ""),
        ("", ""),
        ("States.Timeout", "States.Timeout"),
        ('"text"', '"text"'),
        ('{"errorType": "invalid", "errorMessage": "Step s: no", "stackTrace": ["secret"]}', "Step s: no"),
        ('{"errorType": "KeyError", "errorMessage": "secret"}', "A fault of ours, whose details are in the logs."),
        ('{"errorMessage": "secret"}', "A fault of ours, whose details are in the logs."),
        ("x" * 5000, "x" * 1000),
    ],
)
def test_a_person_reads_our_words_and_no_foreign_errors(cause: str | None, words: str) -> None:
    assert words_of(cause) == words


@pytest.mark.parametrize(
    ("given", "listed"),
    [(None, []), ([], []), ("a", ["a"]), (["a"], ["a"]), (["a", None, "b"], ["a", "b"]), ({"a": 1}, [{"a": 1}])],
)
def test_what_jsonata_made_of_a_list_is_a_list_again(given: object, listed: list[object]) -> None:
    assert as_list(given) == listed


def test_what_a_step_gave_once_it_gives_again_without_doing_it(office: Office) -> None:
    office.before = StepRecord("s", -1, "write", StepStatus.SUCCEEDED, AT, result={"first": True})
    assert office() == {"first": True}
    assert (office.calls, office.records, office.events) == ([], [], [])
    office.before = StepRecord("s", -1, "wait", StepStatus.SUCCEEDED, AT, result={"first": True})
    office("wait", task_token="token")
    assert (office.answered, office.calls) == ([("token", {"first": True})], [])


@pytest.mark.parametrize(
    "before",
    [
        StepRecord("s", -1, "write", StepStatus.FAILED, AT),
        StepRecord("s", -1, "write", StepStatus.WAITING, AT),
        StepRecord("s", -1, "send", StepStatus.SUCCEEDED, AT, result={"of": "another action"}),
    ],
)
def test_what_failed_waits_or_was_another_action_is_done(office: Office, before: StepRecord) -> None:
    office.before = before
    assert (office(), len(office.calls)) == ({"ok": True}, 1)
