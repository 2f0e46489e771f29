"""Compiled state machines, run on two interpreters and compared with a reference."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.fakes.ministack_state_machine import ministack_machines
from tests.fakes.moto_state_machine import moto_machines
from tests.fakes.state_machine import Machines, Outcome, TaskError
from tests.fakes.workflow_reference import run_reference
from tests.unit.workflows.samples import OUTREACH, compile_raw, parse

REQUESTED_GRAPHS = os.environ.get("WORKFLOW_GRAPHS")
GRAPHS = int(REQUESTED_GRAPHS or 80)


@pytest.fixture(scope="module", params=["moto", "ministack"])
def machines(request: pytest.FixtureRequest) -> Iterator[Machines]:
    logging.getLogger(request.param).setLevel(logging.CRITICAL)
    with moto_machines() if request.param == "moto" else ministack_machines() as machines:
        yield machines


class OutreachFunctions:
    """Play the Lambda functions of the outreach example."""

    def __init__(self, machines: Machines, decision: str | None = "approved", contacts: int = 3) -> None:
        self._machines, self._decision, self._contacts = machines, decision, contacts

    def __call__(self, payload: dict[str, Any]) -> Any:
        match payload["action"]:
            case "vectors.search":
                hits = [{"id": "p1", "score": 0.9}]
                return {"groups": [{"key": f"c{n}", "score": 0.9, "hits": hits} for n in range(self._contacts)]}
            case "template.render":
                return {"draft_id": f"d{payload['item']}", "contact_id": payload["with"]["contact"], "sha256": "0"}
            case "approval" if self._decision:
                output = json.dumps({"decision": self._decision, "approval_id": "a1"})
                self._machines.answer(payload["task_token"], output)
            case "email.send":
                return {"email_id": f"e{payload['item']}", "status": "sent"}
        return None


def sent_drafts(outcome: Outcome) -> list[str]:
    return sorted(call["with"]["draft"] for call in outcome.calls if call["action"] == "email.send")


def definition_of(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"name": "sample", "steps": list(entries)}


def send_step(name: str, **extra_fields: Any) -> dict[str, Any]:
    return {"id": name, "uses": "email.send", "with": {"draft": name}} | extra_fields


def test_an_approved_outreach_run_sends_every_draft(machines: Machines) -> None:
    outcome = machines.run(compile_raw(OUTREACH), {"query": "rpm"}, OutreachFunctions(machines))
    assert outcome.status == "SUCCEEDED"
    assert sent_drafts(outcome) == ["d0", "d1", "d2"]
    assert outcome.hook["status"] == "succeeded"
    assert outcome.hook["result"] == {"steps": dict.fromkeys(("select", "draft", "review", "send"), "succeeded")}


def test_a_denied_outreach_run_sends_nothing(machines: Machines) -> None:
    outcome = machines.run(compile_raw(OUTREACH), {"query": "rpm"}, OutreachFunctions(machines, "denied"))
    assert outcome.status == "SUCCEEDED"
    assert sent_drafts(outcome) == []
    assert outcome.hook["result"]["steps"]["send"] == "skipped"


@pytest.mark.parametrize(("on_timeout", "drafts"), [("denied", []), ("approved", ["d0", "d1", "d2"])])
def test_an_unanswered_approval_takes_the_configured_decision(
    machines: Machines, on_timeout: str, drafts: list[str]
) -> None:
    raw = json.loads(json.dumps(OUTREACH))
    raw["steps"][2]["with"] |= {"timeout": "PT1S", "on_timeout": on_timeout}
    outcome = machines.run(compile_raw(raw), {"query": "rpm"}, OutreachFunctions(machines, decision=None))
    assert outcome.status == "SUCCEEDED"
    assert sent_drafts(outcome) == drafts


@pytest.mark.parametrize("contacts", [0, 1, 2])
def test_any_number_of_search_hits_is_a_list(machines: Machines, contacts: int) -> None:
    outcome = machines.run(compile_raw(OUTREACH), {"query": "rpm"}, OutreachFunctions(machines, contacts=contacts))
    assert outcome.status == "SUCCEEDED"
    assert sent_drafts(outcome) == [f"d{n}" for n in range(contacts)]
    drafts = [call["with"]["evidence"] for call in outcome.calls if call["action"] == "template.render"]
    assert drafts == [["p1"]] * contacts


def test_no_step_name_replaces_a_state_of_the_machine(machines: Machines) -> None:
    names = ["start", "succeeded", "failed", "run", "level", "report", "errors", "inputs"]
    chain = [send_step(names[0]), *(send_step(name, needs=[before]) for before, name in pairwise(names))]
    outcome = machines.run(compile_raw(definition_of(*chain)), {}, lambda _: {})
    assert (outcome.status, sent_drafts(outcome)) == ("SUCCEEDED", sorted(names))
    side_by_side = [send_step(name) for name in names]
    outcome = machines.run(compile_raw(definition_of(*side_by_side)), {}, lambda _: {})
    assert (outcome.status, sent_drafts(outcome)) == ("SUCCEEDED", sorted(names))
    assert outcome.hook["result"] == {"steps": dict.fromkeys(names, "succeeded")}


def test_a_task_receives_its_full_payload(machines: Machines) -> None:
    outcome = machines.run(compile_raw(definition_of(send_step("a"))), {}, lambda _: {})
    (payload,) = outcome.calls
    assert payload == {
        "tenant_id": "0192f0c0-0000-7000-8000-000000000001",
        "workflow_id": "0192f0c0-0000-7000-8000-000000000002",
        "version": 3,
        "run_id": outcome.run_id,
        "action": "email.send",
        "step": "a",
        "item": None,
        "attempt": 1,
        "with": {"draft": "a"},
    }


def test_a_step_fed_only_by_skipped_steps_is_skipped(machines: Machines) -> None:
    raw = definition_of(
        send_step("a", when="{% $inputs.go %}"),
        send_step("b"),
        send_step("only-a", needs=["a"]),
        send_step("both", needs=["a", "b"]),
        send_step("after", needs=["only-a"]),
    )
    outcome = machines.run(compile_raw(raw), {"go": False}, lambda _: {})
    assert outcome.output["steps"] == {
        "a": "skipped",
        "b": "succeeded",
        "only-a": "skipped",
        "both": "succeeded",
        "after": "skipped",
    }
    assert sorted(call["step"] for call in outcome.calls) == ["b", "both"]


def test_the_result_of_a_skipped_step_is_null(machines: Machines) -> None:
    raw = definition_of(
        send_step("a", when="{% false %}"),
        send_step("b"),
        {"id": "seen", "uses": "transform", "needs": ["a", "b"], "with": {"nothing": "{% $steps.a = null %}"}},
        send_step("last", needs=["seen"], **{"with": {"draft": "{% $string($steps.seen.nothing) %}"}}),
    )
    outcome = machines.run(compile_raw(raw), {}, lambda _: {})
    assert outcome.calls[-1]["with"]["draft"] == "true"


def test_a_condition_that_fails_to_evaluate_fails_the_run_and_names_the_step(machines: Machines) -> None:
    outcome = machines.run(
        compile_raw(definition_of(send_step("a", when="{% $inputs.n > 'x' %}"))), {"n": 1}, lambda _: {}
    )
    assert outcome.status == "FAILED"
    assert (outcome.hook["step"], outcome.hook["error"]) == ("a", "expression")


def failing_task(times: int, name: str = "throttled") -> Any:
    """Return a task function that fails `times` times and then succeeds."""
    lock, tries = threading.Lock(), [0]

    def respond(_: dict[str, Any]) -> Any:
        with lock:
            tries[0] += 1
            if tries[0] <= times:
                raise TaskError(name, "slow down")
        return {"email_id": "e", "status": "sent"}

    return respond


RETRY = {"max_attempts": 3, "interval": "PT1S", "backoff": 1, "on": ["throttled"]}


def test_a_throttled_task_succeeds_after_retries(machines: Machines) -> None:
    outcome = machines.run(compile_raw(definition_of(send_step("a", retry=RETRY))), {}, failing_task(2))
    assert outcome.status == "SUCCEEDED"
    assert [call["attempt"] for call in outcome.calls] == [1, 2, 3]


def test_exhausted_retries_are_reported_to_the_platform(machines: Machines) -> None:
    outcome = machines.run(compile_raw(definition_of(send_step("a", retry=RETRY))), {}, failing_task(9))
    assert (outcome.status, outcome.error) == ("FAILED", "throttled")
    assert len(outcome.calls) == 3
    assert (outcome.hook["status"], outcome.hook["step"], outcome.hook["error"]) == ("failed", "a", "throttled")
    assert json.loads(outcome.hook["cause"])["errorMessage"] == "slow down"


def test_only_the_named_errors_are_retried(machines: Machines) -> None:
    outcome = machines.run(compile_raw(definition_of(send_step("a", retry=RETRY))), {}, failing_task(1, "invalid"))
    assert len(outcome.calls) == 1
    assert outcome.error == "invalid"


def test_on_error_continue_runs_the_following_steps(machines: Machines) -> None:
    raw = definition_of(
        send_step("a", on_error="continue"),
        send_step("b", needs=["a"], **{"with": {"draft": "{% $steps.a.message %}"}}),
    )
    outcome = machines.run(compile_raw(raw), {}, failing_task(1))
    assert outcome.output["steps"] == {"a": "failed", "b": "succeeded"}
    assert outcome.calls[-1]["with"]["draft"] == "slow down"


def test_on_error_continue_keeps_the_position_of_a_failed_item(machines: Machines) -> None:
    def respond(payload: dict[str, Any]) -> Any:
        if payload["step"] == "a" and payload["item"] == 1:
            raise TaskError("rejected", "no such address")
        return {"email_id": payload["with"]["draft"], "status": "sent"}

    raw = definition_of(
        send_step("a", for_each="{% $inputs.x %}", on_error="continue", **{"with": {"draft": "{% $item %}"}}),
        send_step("b", needs=["a"], **{"with": {"draft": "{% $string($steps.a) %}"}}),
    )
    outcome = machines.run(compile_raw(raw), {"x": ["p", "q", "r"]}, respond)
    results = json.loads(outcome.calls[-1]["with"]["draft"])
    assert results == [
        {"email_id": "p", "status": "sent"},
        {"error": "rejected", "message": "no such address"},
        {"email_id": "r", "status": "sent"},
    ]


@pytest.mark.parametrize("fails", [True, False])
def test_on_error_run_runs_the_rescue_step_only_after_a_failure(machines: Machines, fails: bool) -> None:
    raw = definition_of(
        send_step("a", on_error={"run": "rescue"}),
        send_step("then", needs=["a"]),
        send_step("rescue"),
        send_step("end", needs=["then", "rescue"]),
    )
    outcome = machines.run(compile_raw(raw), {}, failing_task(1 if fails else 0))
    normal, rescue = ("skipped", "succeeded") if fails else ("succeeded", "skipped")
    statuses = {"a": "failed" if fails else "succeeded", "then": normal, "rescue": rescue, "end": "succeeded"}
    assert outcome.output["steps"] == statuses


def test_a_failure_in_a_parallel_level_names_its_step(machines: Machines) -> None:
    def respond(payload: dict[str, Any]) -> Any:
        if payload["step"] == "b":
            raise TaskError("rejected", "no")
        return {}

    outcome = machines.run(
        compile_raw(definition_of(send_step("a"), send_step("b"), send_step("c", needs=["a", "b"]))), {}, respond
    )
    assert outcome.status == "FAILED"
    assert (outcome.hook["step"], outcome.hook["error"]) == ("b", "rejected")
    assert "c" not in [call["step"] for call in outcome.calls]


def test_steps_of_one_level_run_in_parallel(machines: Machines) -> None:
    barrier = threading.Barrier(3, timeout=10)

    def respond(_: dict[str, Any]) -> Any:
        barrier.wait()
        return {}

    outcome = machines.run(compile_raw(definition_of(send_step("a"), send_step("b"), send_step("c"))), {}, respond)
    assert outcome.status == "SUCCEEDED"


def test_too_many_items_fail_the_run_before_any_call(machines: Machines) -> None:
    raw = definition_of(send_step("a", for_each="{% [1..2001] %}"))
    outcome = machines.run(compile_raw(raw), {}, lambda _: {})
    assert outcome.error == "too_many_items"
    assert outcome.calls == []


def test_wait_and_transform_steps_run(machines: Machines) -> None:
    raw = definition_of(
        {"id": "pause", "uses": "wait", "with": {"duration": "PT1H"}},
        {"id": "names", "uses": "transform", "needs": ["pause"], "with": {"list": "{% $inputs.x.name %}"}},
        send_step("send", needs=["names"], for_each="{% $steps.names.list %}", **{"with": {"draft": "{% $item %}"}}),
    )
    outcome = machines.run(compile_raw(raw), {"x": [{"name": "a"}, {"name": "b"}]}, lambda _: {})
    assert sorted(call["with"]["draft"] for call in outcome.calls) == ["a", "b"]


def test_a_text_that_looks_like_an_expression_can_be_passed(machines: Machines) -> None:
    text = "{% if it looks %} like one"
    raw = definition_of(send_step("a", **{"with": {"draft": "{% '" + text + "' %}"}}))
    outcome = machines.run(compile_raw(raw), {}, lambda _: {})
    assert outcome.calls[0]["with"]["draft"] == text


# Random graphs, compared with the reference.

ERRORS = ["throttled", "rejected"]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Draw a definition and, for each step, the errors of its first attempts (the same for every item)."""
    size = draw(st.integers(1, 6))
    names = [f"s{n}" for n in range(size)]
    entries: list[dict[str, Any]] = []
    faults: dict[str, list[str]] = {}
    for index, name in enumerate(names):
        needs: list[str] = draw(st.lists(st.sampled_from(names[:index]), unique=True, max_size=3)) if index else []
        uses = draw(st.sampled_from(["email.send", "email.send", "email.send", "transform"]))
        value = draw(st.sampled_from(["'x'", "$inputs.n", *[f"$string($steps.{need})" for need in needs]]))
        entry: dict[str, Any] = {"id": name, "uses": uses, "needs": needs, "with": {"draft": f"{{% {value} %}}"}}
        if draw(st.booleans()) and needs:
            entry["when"] = (
                f"{{% $type($steps.{needs[0]}) != '{draw(st.sampled_from(['null', 'array', 'object']))}' %}}"
            )
        elif draw(st.integers(0, 3)) == 0:
            entry["when"] = draw(st.sampled_from(["{% $inputs.yes %}", "{% $inputs.no %}", "{% $inputs.nothing %}"]))
        if draw(st.integers(0, 2)) == 0:
            lists = ["$inputs.list", "$inputs.one", "$inputs.none", *[f"$steps.{need}" for need in needs]]
            entry["for_each"] = f"{{% {draw(st.sampled_from(lists))} %}}"
        later = names[index + 1 :]
        on_error = draw(st.sampled_from(["fail", "continue", "continue", *([{"run": later[-1]}] if later else [])]))
        entry["on_error"] = on_error
        if uses == "email.send":
            if draw(st.booleans()):
                entry["retry"] = {"max_attempts": draw(st.integers(1, 3)), "on": ["throttled"]}
            faults[name] = draw(st.lists(st.sampled_from(ERRORS), max_size=3)) if draw(st.booleans()) else []
        entries.append(entry)
    return {"name": "random", "steps": entries}, faults


INPUTS = {"n": "7", "yes": True, "no": False, "list": [{"a": 1}, {"a": 2}], "one": [{"a": 1}], "none": []}


def graph_settings(count: int) -> settings:
    """Return settings with fixed examples, or with new random ones if WORKFLOW_GRAPHS is set."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=count, deadline=None, suppress_health_check=slow, derandomize=not REQUESTED_GRAPHS)


@pytest.mark.parametrize("machines", ["ministack"], indirect=True)
@pytest.mark.timeout(120 + 3 * GRAPHS)
@graph_settings(GRAPHS)
@given(graphs())
def test_random_graphs_on_the_local_cloud_agree_with_the_reference(
    machines: Machines, graph: tuple[dict[str, Any], dict[str, list[str]]]
) -> None:
    assert_engine_matches_reference(machines, graph)


# moto parses a definition in about a second, so by default it runs half as many graphs. A branch of it that goes on
# after another branch has ended the execution raises in its thread. The result of the execution is right.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("machines", ["moto"], indirect=True)
@pytest.mark.timeout(120 + 3 * GRAPHS)
@graph_settings(GRAPHS if REQUESTED_GRAPHS else GRAPHS // 2)
@given(graphs())
def test_random_graphs_on_moto_agree_with_the_reference(
    machines: Machines, graph: tuple[dict[str, Any], dict[str, list[str]]]
) -> None:
    try:
        assert_engine_matches_reference(machines, graph)
    except AssertionError:
        # moto's threads race on a busy machine; a fault of the product fails again.
        assert_engine_matches_reference(machines, graph)


def assert_engine_matches_reference(machines: Machines, graph: tuple[dict[str, Any], dict[str, list[str]]]) -> None:
    """Check that the engine and the reference make the same calls and end with the same status."""
    raw, faults = graph
    definition = parse(raw)
    expected_functions, actual_functions = FaultyFunctions(faults), FaultyFunctions(faults)
    reference = run_reference(definition, INPUTS, expected_functions, TaskError)
    outcome = machines.run(compile_raw(raw), INPUTS, actual_functions)
    event(reference.status)
    assert outcome.status == reference.status
    if reference.status == "FAILED":
        assert outcome.hook["step"] in reference.failed
    else:
        assert outcome.output["steps"] == reference.statuses
        assert sorted(actual_functions.calls) == sorted(expected_functions.calls)


class FaultyFunctions:
    """Fail the configured number of times. Attempts are counted here: MiniStack's branches share a RetryCount."""

    def __init__(self, faults: dict[str, list[str]]) -> None:
        self._faults, self._lock = faults, threading.Lock()
        self.calls: list[tuple[str, int, str]] = []

    def __call__(self, payload: dict[str, Any]) -> Any:
        step, item = payload["step"], -1 if payload["item"] is None else payload["item"]
        with self._lock:
            tries = sum(1 for call in self.calls if call[:2] == (step, item))
            self.calls.append((step, item, json.dumps(payload["with"])))
        if tries < len(self._faults[step]):
            raise TaskError(self._faults[step][tries])
        return {"step": step, "draft": payload["with"]["draft"]}
