"""Steps that wait for a reply or for another run, and runs that resume after a failure."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any
from uuid import UUID, uuid5

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import Conflict, InvalidInput, NotFound, Unavailable
from email_sender.kit.system_clock import new_id
from email_sender.workflows.model import Decision, Run, RunStatus, StepRecord, StepStatus, WaitKind
from email_sender.workflows.runs.service import GRACE, MAX_DEPTH
from tests.database import Cluster
from tests.functional.workflow_scenario import ANN, DEFINITION, INPUTS, WorkflowScenario

LONG: dict[str, Any] = {
    "name": "long",
    "steps": [
        {"id": "find", "uses": "contacts.select", "with": {"limit": 3}},
        {"id": "pause", "uses": "wait", "needs": ["find"], "with": {"duration": "PT1H"}},
        {
            "id": "draft",
            "uses": "template.render",
            "needs": ["pause"],
            "for_each": "{% $steps.find.contacts %}",
            "with": {"template": "t", "contact": "{% $item %}"},
        },
        {"id": "ask", "uses": "approval", "needs": ["draft"], "with": {"title": "May they go?"}},
    ],
}


@pytest.fixture
def scenario(cluster: Cluster, app_role: Database, tenant: UUID) -> WorkflowScenario:
    scenario = WorkflowScenario(cluster, PostgresWorkflowUnits(app_role, None, cluster.vault(app_role)), tenant)
    scenario.add_templates("t", "other")
    return scenario


def step_record(name: str, item: int = -1, *, action: str = "x", failed: bool = False) -> StepRecord:
    at = datetime(2026, 5, 4, tzinfo=UTC)
    if failed:
        return StepRecord(name, item, action, StepStatus.FAILED, at, error={"name": "invalid", "message": "no"})
    return StepRecord(name, item, action, StepStatus.SUCCEEDED, at, result={"of": f"{name}/{item}"}, finished_at=at)


def create_failed_run(scenario: WorkflowScenario, *records: StepRecord) -> Run:
    workflow = scenario.workflows.create(scenario.tenant, new_id(), LONG, ANN)
    run = scenario.runs.start(scenario.tenant, new_id(), workflow.id, {}, ANN)
    with scenario.units(scenario.tenant) as unit:
        for record in records:
            unit.runs.record(run.id, record)
        unit.commit()
    return scenario.runs.end(
        scenario.tenant, run.id, RunStatus.FAILED, {"name": "invalid", "message": "no", "step": "draft"}
    )


def step_results(scenario: WorkflowScenario, run: Run) -> dict[tuple[str, int], Any]:
    return {(record.step, record.item): record.result for record in scenario.runs.get(scenario.tenant, run.id).steps}


# ---- Resuming ----------------------------------------------------------------------------------------------------


def test_a_resumed_run_keeps_succeeded_items_and_skips_finished_waits(scenario: WorkflowScenario) -> None:
    run = create_failed_run(
        scenario, step_record("find"), step_record("draft", 0), step_record("draft", 1, failed=True)
    )
    resumed_run = scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=False, resume=True)
    assert (resumed_run.lineage, resumed_run.passed) == ([run.id], ["pause"])
    assert scenario.engine.passed[resumed_run.id] == ["pause"]
    assert step_results(scenario, resumed_run) == {("find", -1): {"of": "find/-1"}, ("draft", 0): {"of": "draft/0"}}
    scenario.runs.end(scenario.tenant, resumed_run.id, RunStatus.FAILED)
    third = scenario.runs.retry(scenario.tenant, new_id(), resumed_run.id, ANN, newest=False, resume=True)
    assert third.lineage == [run.id, resumed_run.id]


def test_on_the_newest_version_a_changed_step_and_all_its_successors_run_again(scenario: WorkflowScenario) -> None:
    run = create_failed_run(
        scenario, step_record("find"), step_record("draft", 0), step_record("draft", 1, failed=True)
    )
    first_step, *other_steps = LONG["steps"]
    scenario.workflows.update(
        scenario.tenant, run.workflow_id, {**LONG, "steps": [first_step | {"with": {}}, *other_steps]}, 1, ANN
    )
    resumed_run = scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=True, resume=True)
    assert (resumed_run.version, step_results(scenario, resumed_run), resumed_run.passed) == (2, {}, [])


def test_on_a_version_that_fixes_the_failed_step_earlier_results_are_kept(scenario: WorkflowScenario) -> None:
    run = create_failed_run(
        scenario, step_record("find"), step_record("draft", 0), step_record("draft", 1, failed=True)
    )
    find, pause, draft, ask = LONG["steps"]
    fixed_draft = {**draft, "with": {**draft["with"], "template": "other"}}
    scenario.workflows.update(
        scenario.tenant, run.workflow_id, {**LONG, "steps": [find, pause, fixed_draft, ask]}, 1, ANN
    )
    resumed_run = scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=True, resume=True)
    assert (list(step_results(scenario, resumed_run)), resumed_run.passed) == ([("find", -1)], ["pause"])


def test_a_wait_that_was_never_reached_is_not_skipped(scenario: WorkflowScenario) -> None:
    run = create_failed_run(scenario, step_record("find", failed=True))
    resumed_run = scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=False, resume=True)
    assert (step_results(scenario, resumed_run), resumed_run.passed) == ({}, [])


def test_a_succeeded_run_cannot_be_resumed(scenario: WorkflowScenario) -> None:
    run = scenario.runs.end(scenario.tenant, scenario.start_run().id, RunStatus.SUCCEEDED)
    with pytest.raises(Conflict, match="no failed step to resume from"):
        scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=False, resume=True)
    assert scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=False).lineage == []


# ---- Calling -----------------------------------------------------------------------------------------------------


def call_workflow(scenario: WorkflowScenario, caller: Run, token: str = "token") -> Run:
    """Call the workflow `review` as the workflow.call action does."""
    child = uuid5(caller.id, "call/-1")
    _request_wait(scenario, caller, WaitKind.RUN, child, token)
    return scenario.runs.call(scenario.tenant, child, "review", INPUTS, caller.id)


def _request_wait(
    scenario: WorkflowScenario,
    run: Run,
    kind: WaitKind,
    subject: UUID,
    token: str,
    step: str = "call",
    *,
    accepts_others: bool = False,
) -> None:
    scenario.waits.register_wait(
        scenario.tenant,
        run_id=run.id,
        step=step,
        item=-1,
        kind=kind,
        subject=subject,
        task_token=token,
        timeout=timedelta(days=1),
        accepts_others=accepts_others,
    )


def test_the_end_of_a_called_run_reaches_its_caller_once(scenario: WorkflowScenario) -> None:
    caller = scenario.start_run()
    child = call_workflow(scenario, caller)
    assert (child.called_by, child.depth, child.started_by, child.role) == (caller.id, 1, "ann", ANN.role)
    assert scenario.run_status(caller) is RunStatus.WAITING
    assert call_workflow(scenario, caller, "token-2").id == child.id, "the engine repeated the task"
    scenario.runs.end(scenario.tenant, child.id, RunStatus.SUCCEEDED)
    scenario.runs.end(scenario.tenant, child.id, RunStatus.SUCCEEDED)
    assert scenario.waits.settle(scenario.tenant) == 0
    result = {"run_id": str(child.id), "status": "succeeded"}
    assert scenario.engine.answers == [("token-2", result)]
    assert step_results(scenario, caller)[("call", -1)] == result
    assert scenario.run_status(caller) is RunStatus.RUNNING


def test_a_wait_that_cannot_be_delivered_does_not_stop_the_others(scenario: WorkflowScenario) -> None:
    caller = scenario.start_run()
    subjects = [new_id(), new_id()]
    for step, subject in zip(("first", "second"), subjects, strict=True):
        _request_wait(scenario, caller, WaitKind.CALLBACK, subject, f"token of {step}", step)
        with scenario.units(scenario.tenant) as unit:
            unit.waits.answer(subject, {"result": step}, scenario.clock())
            unit.commit()
    failures = [Unavailable("too large")]

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    scenario.engine.on_answer = fail_once
    with pytest.raises(Unavailable):
        scenario.waits.settle(scenario.tenant)
    assert scenario.engine.answers == [("token of second", {"result": "second"})]
    assert scenario.waits.settle(scenario.tenant) == 1
    assert len(scenario.engine.answers) == 2


def test_a_failed_called_run_fails_the_calling_step(scenario: WorkflowScenario) -> None:
    caller = scenario.start_run()
    child = call_workflow(scenario, caller)
    scenario.runs.end(scenario.tenant, child.id, RunStatus.FAILED, {"name": "invalid", "message": "no"})
    ((token, response),) = scenario.engine.answers
    assert (token, response["error"], str(child.id) in response["message"]) == ("token", "rejected", True)
    (record,) = scenario.runs.get(scenario.tenant, caller.id).steps
    assert record.error is not None
    assert (record.status, record.error["name"]) == (StepStatus.FAILED, "rejected")


def test_the_sweep_delivers_an_end_that_did_not_reach_the_engine(scenario: WorkflowScenario) -> None:
    caller = scenario.start_run()
    child = call_workflow(scenario, caller)

    def raise_unavailable() -> None:
        raise Unavailable("away")

    scenario.engine.on_answer = raise_unavailable
    with pytest.raises(Unavailable):
        scenario.runs.end(scenario.tenant, child.id, RunStatus.SUCCEEDED)
    scenario.engine.on_answer = lambda: None
    assert [scenario.waits.settle(scenario.tenant), scenario.waits.settle(scenario.tenant)] == [1, 0]
    assert len(scenario.engine.answers) == 1


def test_the_sweep_starts_a_called_run_while_the_engine_was_unavailable(scenario: WorkflowScenario) -> None:
    caller = scenario.start_run()

    def raise_unavailable() -> None:
        raise Unavailable("away")

    scenario.engine.on_start = raise_unavailable
    child = call_workflow(scenario, caller)
    assert child.status is RunStatus.PENDING
    scenario.engine.on_start = lambda: None
    scenario.clock.advance(GRACE * 2)
    scenario.runs.sweep(scenario.tenant)
    assert scenario.run_status(child) is RunStatus.RUNNING


def test_cancelling_a_run_cancels_the_runs_it_called(scenario: WorkflowScenario) -> None:
    caller = scenario.start_run()
    child = call_workflow(scenario, caller)
    scenario.runs.cancel(scenario.tenant, caller.id, ANN)
    assert (scenario.run_status(caller), scenario.run_status(child)) == (RunStatus.CANCELLED, RunStatus.CANCELLED)


def test_workflow_calls_are_limited_in_depth(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    for number in range(MAX_DEPTH):
        run = scenario.runs.call(scenario.tenant, uuid5(run.id, str(number)), "review", INPUTS, run.id)
    with pytest.raises(InvalidInput, match="at most 5 levels deep"):
        scenario.runs.call(scenario.tenant, new_id(), "review", INPUTS, run.id)


def test_a_called_workflow_belongs_to_the_tenant_and_is_found_by_name_or_id(
    scenario: WorkflowScenario, cluster: Cluster
) -> None:
    caller = scenario.start_run()
    by_id = scenario.runs.call(scenario.tenant, new_id(), str(caller.workflow_id), INPUTS, caller.id)
    assert by_id.workflow_id == caller.workflow_id
    other_scenario = WorkflowScenario(cluster, scenario.units, cluster.new_tenant())
    other_workflow = other_scenario.workflows.create(
        other_scenario.tenant, new_id(), {**DEFINITION, "name": "theirs"}, ANN
    )
    for name in ("theirs", str(other_workflow.id), "nothing"):
        with pytest.raises(NotFound):
            scenario.runs.call(scenario.tenant, new_id(), name, INPUTS, caller.id)


# ---- Replies -----------------------------------------------------------------------------------------------------


def add_email(scenario: WorkflowScenario, run: Run, status: str = "sent") -> UUID:
    contact, draft, email_id = new_id(), new_id(), new_id()
    with scenario.cluster.connect_as_owner() as conn:
        conn.execute(
            "insert into contacts (id, tenant_id, address_hash, address_enc) values (%s, %s, %s, '')",
            [contact, scenario.tenant, email_id.bytes],
        )
        conn.execute(
            "insert into drafts (id, tenant_id, run_id, step, item, contact_id, template_id, template_version, "
            "content_enc, sha256) values (%s, %s, %s, 'd', 0, %s, %s, 1, '', 'x')",
            [draft, scenario.tenant, run.id, contact, draft],
        )
        conn.execute(
            "insert into emails (id, tenant_id, run_id, step, contact_id, draft_id, sha256, status, lease_until) "
            "values (%s, %s, %s, 's', %s, %s, 'x', %s, now())",
            [email_id, scenario.tenant, run.id, contact, draft, status],
        )
        conn.commit()
    return email_id


def test_a_reply_ends_the_wait_whether_it_arrives_before_or_after(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    email_id, message = add_email(scenario, run), new_id()
    _request_wait(scenario, run, WaitKind.REPLY, email_id, "token")
    assert scenario.waits.settle(scenario.tenant) == 0
    with scenario.cluster.connect_as_owner() as conn:
        conn.execute("update emails set replied_at = now(), reply_id = %s where id = %s", [message, email_id])
        conn.commit()
    assert scenario.waits.settle(scenario.tenant) == 1
    _request_wait(scenario, run, WaitKind.REPLY, email_id, "token-2")
    assert scenario.waits.settle(scenario.tenant, email_id) == 1
    assert [token for token, _ in scenario.engine.answers] == ["token", "token-2"]
    for _, response in scenario.engine.answers:
        assert (response["replied"], response["message_id"]) == (True, str(message))


def contact_of(scenario: WorkflowScenario, email_id: UUID) -> str:
    (row,) = scenario.cluster.query("select contact_id from emails where id = %s", email_id)
    return str(row["contact_id"])


def reply_to(scenario: WorkflowScenario, email_id: UUID) -> None:
    with scenario.cluster.connect_as_owner() as conn:
        conn.execute("update emails set replied_at = now(), reply_id = %s where id = %s", [new_id(), email_id])
        conn.commit()


def test_an_answered_wait_is_recorded_even_if_the_run_ends_at_once(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    email_id = add_email(scenario, run)
    _request_wait(scenario, run, WaitKind.REPLY, email_id, "token")
    reply_to(scenario, email_id)

    def end_run_and_die() -> None:
        scenario.runs.end(scenario.tenant, run.id, RunStatus.SUCCEEDED)
        raise Unavailable("killed")

    scenario.engine.on_answer = end_run_and_die
    with pytest.raises(Unavailable):
        scenario.waits.settle(scenario.tenant)
    assert step_results(scenario, run)[("call", -1)]["replied"] is True
    assert scenario.run_status(run) is RunStatus.SUCCEEDED


def test_waits_and_approvals_settle_while_their_run_ends(scenario: WorkflowScenario) -> None:
    """Transactions that lock a run and its waits or approvals in different orders would end in a deadlock."""
    workflow = scenario.create_workflow()
    for _ in range(20):
        run = scenario.runs.start(scenario.tenant, new_id(), workflow.id, INPUTS, ANN)
        email_id = add_email(scenario, run)
        _request_wait(scenario, run, WaitKind.REPLY, email_id, "token")
        approval = scenario.request_approval(run)
        reply_to(scenario, email_id)
        actions: list[Callable[[], object]] = [
            partial(scenario.waits.settle, scenario.tenant),
            partial(scenario.runs.end, scenario.tenant, run.id, RunStatus.FAILED),
            partial(scenario.decide, approval, Decision.APPROVED),
            partial(scenario.approvals.sweep, scenario.tenant),
        ]
        barrier = Barrier(len(actions))

        def run_together(action: Callable[[], object], barrier: Barrier = barrier) -> None:
            barrier.wait()
            with suppress(Conflict):  # the run ended first, and its approval expired
                action()

        with ThreadPoolExecutor(len(actions)) as pool:
            list(pool.map(run_together, actions))
        assert scenario.run_status(run) is RunStatus.FAILED


@pytest.mark.parametrize("status", ["bounced", "complained", "suppressed", "rejected"])
def test_a_mail_that_cannot_be_answered_ends_the_wait_for_a_reply(scenario: WorkflowScenario, status: str) -> None:
    run = scenario.start_run()
    email_id = add_email(scenario, run, status)
    _request_wait(scenario, run, WaitKind.REPLY, email_id, "token")
    scenario.waits.settle(scenario.tenant)
    contact_id = contact_of(scenario, email_id)
    assert scenario.engine.answers == [("token", {"replied": False, "reason": status, "contact_id": contact_id})]


def test_an_expired_wait_ends_with_its_contact(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    email_id = add_email(scenario, run)
    _request_wait(scenario, run, WaitKind.REPLY, email_id, "token")
    scenario.clock.advance(timedelta(days=2))
    assert [scenario.waits.settle(scenario.tenant), scenario.waits.settle(scenario.tenant)] == [1, 0]
    result = {"replied": False, "reason": "timeout", "contact_id": contact_of(scenario, email_id)}
    assert scenario.engine.answers == [("token", result)]
    assert step_results(scenario, run)[("call", -1)] == result


def test_the_answer_of_somebody_else_ends_only_a_wait_that_accepts_anyone(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    email_id, message = add_email(scenario, run), new_id()
    with scenario.cluster.connect_as_owner() as conn:
        conn.execute(
            "update emails set other_replied_at = now(), other_reply_id = %s where id = %s", [message, email_id]
        )
        conn.commit()
    _request_wait(scenario, run, WaitKind.REPLY, email_id, "token")
    assert scenario.waits.settle(scenario.tenant) == 0
    _request_wait(scenario, run, WaitKind.REPLY, email_id, "token-2", step="other", accepts_others=True)
    assert scenario.waits.settle(scenario.tenant) == 1
    ((token, result),) = scenario.engine.answers
    assert (token, result["replied"], result["message_id"]) == ("token-2", True, str(message))


@pytest.mark.parametrize(
    ("passed", "result"),
    [
        (timedelta(days=1), {"replied": False, "reason": "timeout"}),
        (timedelta(hours=23), None),
    ],
)
def test_a_wait_that_timed_out_before_its_run_failed_is_not_repeated(
    scenario: WorkflowScenario, passed: timedelta, result: dict[str, Any] | None
) -> None:
    run = scenario.start_run()
    _request_wait(scenario, run, WaitKind.REPLY, add_email(scenario, run), "token")
    scenario.clock.advance(passed)
    scenario.runs.end(scenario.tenant, run.id, RunStatus.FAILED, {"step": "next", "name": "invalid", "message": "no"})
    (record,) = scenario.runs.get(scenario.tenant, run.id).steps
    assert record.result == result
    assert record.status is (StepStatus.SUCCEEDED if result else StepStatus.FAILED)


def test_an_email_of_another_tenant_ends_no_wait(scenario: WorkflowScenario, cluster: Cluster) -> None:
    other_scenario = WorkflowScenario(cluster, scenario.units, cluster.new_tenant())
    other_email_id = add_email(other_scenario, other_scenario.start_run(), "bounced")
    _request_wait(scenario, scenario.start_run(), WaitKind.REPLY, other_email_id, "token")
    assert scenario.waits.settle(scenario.tenant) == 0
