"""Compiled machines, run on an interpreter."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.fakes.machine import Machines, Outcome, TaskError
from tests.fakes.ministack_machine import ministack_machines
from tests.fakes.moto_machine import moto_machines
from tests.fakes.workflow_reference import tell
from tests.unit.workflow_samples import OUTREACH, compiled, parse

ASKED = os.environ.get("WORKFLOW_GRAPHS")
GRAPHS = int(ASKED or 200)


@pytest.fixture(scope="module", params=["moto", "ministack"])
def machines(request: pytest.FixtureRequest) -> Iterator[Machines]:
    logging.getLogger(request.param).setLevel(logging.CRITICAL)
    with moto_machines() if request.param == "moto" else ministack_machines() as machines:
        yield machines


class Platform:
    """Plays the functions of the outreach example."""

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
                answer = json.dumps({"decision": self._decision, "approval_id": "a1"})
                self._machines.answer(payload["task_token"], answer)
            case "email.send":
                return {"email_id": f"e{payload['item']}", "status": "sent"}
        return None


def sent(outcome: Outcome) -> list[str]:
    return sorted(call["with"]["draft"] for call in outcome.calls if call["action"] == "email.send")


def steps(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"name": "sample", "steps": list(entries)}


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "uses": "email.send", "with": {"draft": name}} | more


def test_outreach_approved(machines: Machines) -> None:
    outcome = machines.run(compiled(OUTREACH), {"query": "rpm"}, Platform(machines))
    assert outcome.status == "SUCCEEDED"
    assert sent(outcome) == ["d0", "d1", "d2"]
    assert outcome.hook["status"] == "succeeded"
    assert outcome.hook["result"] == {"steps": dict.fromkeys(("select", "draft", "review", "send"), "succeeded")}


def test_outreach_denied_sends_nothing(machines: Machines) -> None:
    outcome = machines.run(compiled(OUTREACH), {"query": "rpm"}, Platform(machines, "denied"))
    assert outcome.status == "SUCCEEDED"
    assert sent(outcome) == []
    assert outcome.hook["result"]["steps"]["send"] == "skipped"


@pytest.mark.parametrize(("on_timeout", "drafts"), [("denied", []), ("approved", ["d0", "d1", "d2"])])
def test_an_approval_that_nobody_gives(machines: Machines, on_timeout: str, drafts: list[str]) -> None:
    raw = json.loads(json.dumps(OUTREACH))
    raw["steps"][2]["with"] |= {"timeout": "PT1S", "on_timeout": on_timeout}
    outcome = machines.run(compiled(raw), {"query": "rpm"}, Platform(machines, decision=None))
    assert outcome.status == "SUCCEEDED"
    assert sent(outcome) == drafts


@pytest.mark.parametrize("contacts", [0, 1, 2])
def test_every_number_of_hits_is_a_list(machines: Machines, contacts: int) -> None:
    outcome = machines.run(compiled(OUTREACH), {"query": "rpm"}, Platform(machines, contacts=contacts))
    assert outcome.status == "SUCCEEDED"
    assert sent(outcome) == [f"d{n}" for n in range(contacts)]
    drafts = [call["with"]["evidence"] for call in outcome.calls if call["action"] == "template.render"]
    assert drafts == [["p1"]] * contacts


def test_the_payload_of_a_task(machines: Machines) -> None:
    outcome = machines.run(compiled(steps(call("a"))), {}, lambda _: {})
    (payload,) = outcome.calls
    assert payload == {
        "tenant_id": "0192f0c0-0000-7000-8000-000000000001",
        "workflow_id": "0192f0c0-0000-7000-8000-000000000002",
        "version": 3,
        "run_id": "run-1",
        "action": "email.send",
        "step": "a",
        "item": None,
        "attempt": 1,
        "with": {"draft": "a"},
    }


def test_what_only_a_skipped_step_feeds_is_skipped(machines: Machines) -> None:
    raw = steps(
        call("a", when="{% $inputs.go %}"),
        call("b"),
        call("only-a", needs=["a"]),
        call("both", needs=["a", "b"]),
        call("after", needs=["only-a"]),
    )
    outcome = machines.run(compiled(raw), {"go": False}, lambda _: {})
    assert outcome.output["steps"] == {
        "a": "skipped",
        "b": "succeeded",
        "only-a": "skipped",
        "both": "succeeded",
        "after": "skipped",
    }
    assert sorted(call["step"] for call in outcome.calls) == ["b", "both"]


def test_a_skipped_result_is_null(machines: Machines) -> None:
    raw = steps(
        call("a", when="{% false %}"),
        call("b"),
        {"id": "seen", "uses": "transform", "needs": ["a", "b"], "with": {"nothing": "{% $steps.a = null %}"}},
        call("last", needs=["seen"], **{"with": {"draft": "{% $string($steps.seen.nothing) %}"}}),
    )
    outcome = machines.run(compiled(raw), {}, lambda _: {})
    assert outcome.calls[-1]["with"]["draft"] == "true"


def test_a_condition_that_cannot_be_computed_fails_the_run_by_name(machines: Machines) -> None:
    outcome = machines.run(compiled(steps(call("a", when="{% $inputs.n > 'x' %}"))), {"n": 1}, lambda _: {})
    assert outcome.status == "FAILED"
    assert (outcome.hook["step"], outcome.hook["error"]) == ("a", "expression")


def failing(times: int, name: str = "throttled") -> Any:
    """A function whose first `times` answers are an error."""
    lock, tries = threading.Lock(), [0]

    def answer(_: dict[str, Any]) -> Any:
        with lock:
            tries[0] += 1
            if tries[0] <= times:
                raise TaskError(name, "slow down")
        return {"email_id": "e", "status": "sent"}

    return answer


RETRY = {"max_attempts": 3, "interval": "PT1S", "backoff": 1, "on": ["throttled"]}


def test_a_retry_succeeds(machines: Machines) -> None:
    outcome = machines.run(compiled(steps(call("a", retry=RETRY))), {}, failing(2))
    assert outcome.status == "SUCCEEDED"
    assert [call["attempt"] for call in outcome.calls] == [1, 2, 3]


def test_retries_end_and_the_platform_hears_of_it(machines: Machines) -> None:
    outcome = machines.run(compiled(steps(call("a", retry=RETRY))), {}, failing(9))
    assert (outcome.status, outcome.error) == ("FAILED", "throttled")
    assert len(outcome.calls) == 3
    assert (outcome.hook["status"], outcome.hook["step"], outcome.hook["error"]) == ("failed", "a", "throttled")
    assert json.loads(outcome.hook["cause"])["errorMessage"] == "slow down"


def test_only_the_named_errors_are_retried(machines: Machines) -> None:
    outcome = machines.run(compiled(steps(call("a", retry=RETRY))), {}, failing(1, "invalid"))
    assert len(outcome.calls) == 1
    assert outcome.error == "invalid"


def test_on_error_continue(machines: Machines) -> None:
    raw = steps(call("a", on_error="continue"), call("b", needs=["a"], **{"with": {"draft": "{% $steps.a.message %}"}}))
    outcome = machines.run(compiled(raw), {}, failing(1))
    assert outcome.output["steps"] == {"a": "failed", "b": "succeeded"}
    assert outcome.calls[-1]["with"]["draft"] == "slow down"


def test_on_error_continue_keeps_the_place_of_a_failed_item(machines: Machines) -> None:
    def answer(payload: dict[str, Any]) -> Any:
        if payload["step"] == "a" and payload["item"] == 1:
            raise TaskError("rejected", "no such address")
        return {"email_id": payload["with"]["draft"], "status": "sent"}

    raw = steps(
        call("a", for_each="{% $inputs.x %}", on_error="continue", **{"with": {"draft": "{% $item %}"}}),
        call("b", needs=["a"], **{"with": {"draft": "{% $string($steps.a) %}"}}),
    )
    outcome = machines.run(compiled(raw), {"x": ["p", "q", "r"]}, answer)
    seen = json.loads(outcome.calls[-1]["with"]["draft"])
    assert seen == [
        {"email_id": "p", "status": "sent"},
        {"error": "rejected", "message": "no such address"},
        {"email_id": "r", "status": "sent"},
    ]


@pytest.mark.parametrize("fails", [True, False])
def test_on_error_run(machines: Machines, fails: bool) -> None:
    raw = steps(
        call("a", on_error={"run": "rescue"}),
        call("then", needs=["a"]),
        call("rescue"),
        call("end", needs=["then", "rescue"]),
    )
    outcome = machines.run(compiled(raw), {}, failing(1 if fails else 0))
    normal, rescue = ("skipped", "succeeded") if fails else ("succeeded", "skipped")
    statuses = {"a": "failed" if fails else "succeeded", "then": normal, "rescue": rescue, "end": "succeeded"}
    assert outcome.output["steps"] == statuses


def test_a_failure_in_a_level_names_its_step(machines: Machines) -> None:
    def answer(payload: dict[str, Any]) -> Any:
        if payload["step"] == "b":
            raise TaskError("rejected", "no")
        return {}

    outcome = machines.run(compiled(steps(call("a"), call("b"), call("c", needs=["a", "b"]))), {}, answer)
    assert outcome.status == "FAILED"
    assert (outcome.hook["step"], outcome.hook["error"]) == ("b", "rejected")
    assert "c" not in [call["step"] for call in outcome.calls]


def test_steps_of_a_level_run_side_by_side(machines: Machines) -> None:
    together = threading.Barrier(3, timeout=10)

    def answer(_: dict[str, Any]) -> Any:
        together.wait()
        return {}

    outcome = machines.run(compiled(steps(call("a"), call("b"), call("c"))), {}, answer)
    assert outcome.status == "SUCCEEDED"


def test_too_many_items(machines: Machines) -> None:
    raw = steps(call("a", for_each="{% [1..2001] %}"))
    outcome = machines.run(compiled(raw), {}, lambda _: {})
    assert outcome.error == "too_many_items"
    assert outcome.calls == []


def test_waits_and_transforms(machines: Machines) -> None:
    raw = steps(
        {"id": "pause", "uses": "wait", "with": {"duration": "PT1H"}},
        {"id": "names", "uses": "transform", "needs": ["pause"], "with": {"list": "{% $inputs.x.name %}"}},
        call("send", needs=["names"], for_each="{% $steps.names.list %}", **{"with": {"draft": "{% $item %}"}}),
    )
    outcome = machines.run(compiled(raw), {"x": [{"name": "a"}, {"name": "b"}]}, lambda _: {})
    assert sorted(call["with"]["draft"] for call in outcome.calls) == ["a", "b"]


def test_what_looks_like_an_expression_can_be_said(machines: Machines) -> None:
    text = "{% if it looks %} like one"
    raw = steps(call("a", **{"with": {"draft": "{% '" + text + "' %}"}}))
    outcome = machines.run(compiled(raw), {}, lambda _: {})
    assert outcome.calls[0]["with"]["draft"] == text


# Random graphs, compared with the reference.

ERRORS = ["throttled", "rejected"]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """A definition, and for each step the errors of its first tries (the same for every item)."""
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


def some(graphs: int) -> settings:
    """Always the same ones by default, new ones where a number is asked for."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=graphs, deadline=None, suppress_health_check=slow, derandomize=not ASKED)


@pytest.mark.parametrize("machines", ["ministack"], indirect=True)
@pytest.mark.timeout(120 + 3 * GRAPHS)
@some(GRAPHS)
@given(graphs())
def test_random_graphs_on_the_local_cloud(
    machines: Machines, graph: tuple[dict[str, Any], dict[str, list[str]]]
) -> None:
    agree(machines, graph)


# moto parses a definition in about a second: half of them, unless more are asked for.
@pytest.mark.parametrize("machines", ["moto"], indirect=True)
@pytest.mark.timeout(120 + 3 * GRAPHS)
@some(GRAPHS if ASKED else GRAPHS // 2)
@given(graphs())
def test_random_graphs_on_moto(machines: Machines, graph: tuple[dict[str, Any], dict[str, list[str]]]) -> None:
    try:
        agree(machines, graph)
    except AssertionError:
        # Its threads race where the machine is busy; a fault of ours comes again.
        agree(machines, graph)


def agree(machines: Machines, graph: tuple[dict[str, Any], dict[str, list[str]]]) -> None:
    """The engine and the reference do the same calls and end the same way."""
    raw, faults = graph
    definition = parse(raw)
    expected, happened = Functions(faults), Functions(faults)
    told = tell(definition, INPUTS, expected, TaskError)
    outcome = machines.run(compiled(raw), INPUTS, happened)
    event(told.status)
    assert outcome.status == told.status
    if told.status == "FAILED":
        assert outcome.hook["step"] in told.failed
    else:
        assert outcome.output["steps"] == told.statuses
        assert sorted(happened.calls) == sorted(expected.calls)


class Functions:
    """Fails as often as it should. It counts for itself: MiniStack's branches share their RetryCount."""

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
