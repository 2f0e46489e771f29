"""Steps that wait for a reply or another run, and runs that go on from where one failed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import Conflict, InvalidInput, NotFound, Unavailable
from email_sender.kit.ambient import new_id
from email_sender.workflows.model import Run, RunStatus, StepRecord, StepStatus, WaitKind
from email_sender.workflows.runs import GRACE, MAX_DEPTH
from tests.database import Cluster
from tests.functional.desk import ANN, DEFINITION, INPUTS, Desk

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
def desk(cluster: Cluster, app_role: Database, tenant: UUID) -> Desk:
    return Desk(cluster, PostgresWorkflowUnits(app_role, None), tenant)


def step(name: str, item: int = -1, *, action: str = "x", failed: bool = False) -> StepRecord:
    at = datetime(2026, 5, 4, tzinfo=UTC)
    if failed:
        return StepRecord(name, item, action, StepStatus.FAILED, at, error={"name": "invalid", "message": "no"})
    return StepRecord(name, item, action, StepStatus.SUCCEEDED, at, result={"of": f"{name}/{item}"}, finished_at=at)


def failed_run(desk: Desk, *records: StepRecord) -> Run:
    workflow = desk.workflows.create(desk.tenant, new_id(), LONG, ANN)
    run = desk.runs.start(desk.tenant, new_id(), workflow.id, {}, ANN)
    with desk.units(desk.tenant) as unit:
        for each in records:
            unit.runs.record(run.id, each)
        unit.commit()
    return desk.runs.end(desk.tenant, run.id, RunStatus.FAILED, {"name": "invalid", "message": "no", "step": "draft"})


def kept(desk: Desk, run: Run) -> dict[tuple[str, int], Any]:
    return {(each.step, each.item): each.result for each in desk.runs.get(desk.tenant, run.id).steps}


# ---- Going on ----------------------------------------------------------------------------------------------------


def test_a_resumed_run_keeps_what_succeeded_item_by_item_and_does_not_wait_again(desk: Desk) -> None:
    run = failed_run(desk, step("find"), step("draft", 0), step("draft", 1, failed=True))
    again = desk.runs.retry(desk.tenant, new_id(), run.id, ANN, newest=False, resume=True)
    assert (again.lineage, again.passed) == ([run.id], ["pause"])
    assert desk.engine.passed[again.id] == ["pause"]
    assert kept(desk, again) == {("find", -1): {"of": "find/-1"}, ("draft", 0): {"of": "draft/0"}}
    desk.runs.end(desk.tenant, again.id, RunStatus.FAILED)
    third = desk.runs.retry(desk.tenant, new_id(), again.id, ANN, newest=False, resume=True)
    assert third.lineage == [run.id, again.id]


def test_on_the_newest_version_what_is_written_differently_is_done_again_with_all_that_follows(desk: Desk) -> None:
    run = failed_run(desk, step("find"), step("draft", 0), step("draft", 1, failed=True))
    first, *others = LONG["steps"]
    desk.workflows.update(desk.tenant, run.workflow_id, {**LONG, "steps": [first | {"with": {}}, *others]}, 1, ANN)
    again = desk.runs.retry(desk.tenant, new_id(), run.id, ANN, newest=True, resume=True)
    assert (again.version, kept(desk, again), again.passed) == (2, {}, [])


def test_on_a_version_that_mends_the_failed_step_what_came_before_is_kept(desk: Desk) -> None:
    run = failed_run(desk, step("find"), step("draft", 0), step("draft", 1, failed=True))
    find, pause, draft, ask = LONG["steps"]
    mended = {**draft, "with": {**draft["with"], "template": "other"}}
    desk.workflows.update(desk.tenant, run.workflow_id, {**LONG, "steps": [find, pause, mended, ask]}, 1, ANN)
    again = desk.runs.retry(desk.tenant, new_id(), run.id, ANN, newest=True, resume=True)
    assert (list(kept(desk, again)), again.passed) == ([("find", -1)], ["pause"])


def test_a_step_that_was_never_reached_is_not_kept_and_its_wait_is_waited_for(desk: Desk) -> None:
    run = failed_run(desk, step("find", failed=True))
    again = desk.runs.retry(desk.tenant, new_id(), run.id, ANN, newest=False, resume=True)
    assert (kept(desk, again), again.passed) == ({}, [])


def test_a_run_that_succeeded_is_not_gone_on_with(desk: Desk) -> None:
    run = desk.runs.end(desk.tenant, desk.run().id, RunStatus.SUCCEEDED)
    with pytest.raises(Conflict, match="nothing to go on"):
        desk.runs.retry(desk.tenant, new_id(), run.id, ANN, newest=False, resume=True)
    assert desk.runs.retry(desk.tenant, new_id(), run.id, ANN, newest=False).lineage == []


# ---- Calling -----------------------------------------------------------------------------------------------------


def called(desk: Desk, caller: Run, token: str = "token") -> Run:
    """As the action does it."""
    child = uuid5(caller.id, "call/-1")
    _wait(desk, caller, WaitKind.RUN, child, token)
    return desk.runs.call(desk.tenant, child, "review", INPUTS, caller.id)


def _wait(desk: Desk, run: Run, kind: WaitKind, subject: UUID, token: str) -> None:
    desk.waits.ask(
        desk.tenant,
        run_id=run.id,
        step="call",
        item=-1,
        kind=kind,
        subject=subject,
        task_token=token,
        timeout=timedelta(days=1),
    )


def test_a_called_runs_end_is_told_to_its_caller_once(desk: Desk) -> None:
    caller = desk.run()
    child = called(desk, caller)
    assert (child.called_by, child.depth, child.started_by, child.role) == (caller.id, 1, "ann", ANN.role)
    assert desk.status(caller) is RunStatus.WAITING
    assert called(desk, caller, "token-2").id == child.id, "the engine asked again"
    desk.runs.end(desk.tenant, child.id, RunStatus.SUCCEEDED)
    desk.runs.end(desk.tenant, child.id, RunStatus.SUCCEEDED)
    assert desk.waits.settle(desk.tenant) == 0
    answer = {"run_id": str(child.id), "status": "succeeded"}
    assert desk.engine.answers == [("token-2", answer)]
    assert kept(desk, caller)[("call", -1)] == answer
    assert desk.status(caller) is RunStatus.RUNNING


def test_a_called_run_that_fails_fails_the_step(desk: Desk) -> None:
    caller = desk.run()
    child = called(desk, caller)
    desk.runs.end(desk.tenant, child.id, RunStatus.FAILED, {"name": "invalid", "message": "no"})
    ((token, told),) = desk.engine.answers
    assert (token, told["error"], str(child.id) in told["message"]) == ("token", "rejected", True)
    (record,) = desk.runs.get(desk.tenant, caller.id).steps
    assert record.error is not None
    assert (record.status, record.error["name"]) == (StepStatus.FAILED, "rejected")


def test_an_end_that_the_engine_was_not_told_is_told_by_the_sweep(desk: Desk) -> None:
    caller = desk.run()
    child = called(desk, caller)

    def away() -> None:
        raise Unavailable("away")

    desk.engine.on_answer = away
    with pytest.raises(Unavailable):
        desk.runs.end(desk.tenant, child.id, RunStatus.SUCCEEDED)
    desk.engine.on_answer = lambda: None
    assert [desk.waits.settle(desk.tenant), desk.waits.settle(desk.tenant)] == [1, 0]
    assert len(desk.engine.answers) == 1


def test_an_engine_that_is_away_leaves_the_called_run_to_the_sweep(desk: Desk) -> None:
    caller = desk.run()

    def away() -> None:
        raise Unavailable("away")

    desk.engine.on_start = away
    child = called(desk, caller)
    assert child.status is RunStatus.PENDING
    desk.engine.on_start = lambda: None
    desk.clock.pass_(GRACE * 2)
    desk.runs.sweep(desk.tenant)
    assert desk.status(child) is RunStatus.RUNNING


def test_cancelling_a_run_cancels_those_it_called(desk: Desk) -> None:
    caller = desk.run()
    child = called(desk, caller)
    desk.runs.cancel(desk.tenant, caller.id, ANN)
    assert (desk.status(caller), desk.status(child)) == (RunStatus.CANCELLED, RunStatus.CANCELLED)


def test_workflows_call_each_other_so_deep_and_no_deeper(desk: Desk) -> None:
    run = desk.run()
    for number in range(MAX_DEPTH):
        run = desk.runs.call(desk.tenant, uuid5(run.id, str(number)), "review", INPUTS, run.id)
    with pytest.raises(InvalidInput, match="at most 5 deep"):
        desk.runs.call(desk.tenant, new_id(), "review", INPUTS, run.id)


def test_what_is_called_is_the_tenants_own_by_name_or_id(desk: Desk, cluster: Cluster) -> None:
    caller = desk.run()
    by_id = desk.runs.call(desk.tenant, new_id(), str(caller.workflow_id), INPUTS, caller.id)
    assert by_id.workflow_id == caller.workflow_id
    stranger = Desk(cluster, desk.units, cluster.new_tenant())
    theirs = stranger.workflows.create(stranger.tenant, new_id(), {**DEFINITION, "name": "theirs"}, ANN)
    for name in ("theirs", str(theirs.id), "nothing"):
        with pytest.raises(NotFound):
            desk.runs.call(desk.tenant, new_id(), name, INPUTS, caller.id)


# ---- Replies -----------------------------------------------------------------------------------------------------


def email(desk: Desk, run: Run, status: str = "sent") -> UUID:
    contact, draft, made = new_id(), new_id(), new_id()
    with desk.cluster.owner() as conn:
        conn.execute(
            "insert into contacts (id, tenant_id, address_hash, address_enc) values (%s, %s, %s, '')",
            [contact, desk.tenant, made.bytes],
        )
        conn.execute(
            "insert into drafts (id, tenant_id, run_id, step, item, contact_id, template_id, template_version, "
            "content_enc, sha256) values (%s, %s, %s, 'd', 0, %s, %s, 1, '', 'x')",
            [draft, desk.tenant, run.id, contact, draft],
        )
        conn.execute(
            "insert into emails (id, tenant_id, run_id, step, contact_id, draft_id, sha256, status, lease_until) "
            "values (%s, %s, %s, 's', %s, %s, 'x', %s, now())",
            [made, desk.tenant, run.id, contact, draft, status],
        )
        conn.commit()
    return made


def test_a_reply_is_told_whether_it_comes_before_the_wait_or_after(desk: Desk) -> None:
    run = desk.run()
    mail, message = email(desk, run), new_id()
    _wait(desk, run, WaitKind.REPLY, mail, "token")
    assert desk.waits.settle(desk.tenant) == 0
    with desk.cluster.owner() as conn:
        conn.execute("update emails set replied_at = now(), reply_id = %s where id = %s", [message, mail])
        conn.commit()
    assert desk.waits.settle(desk.tenant) == 1
    _wait(desk, run, WaitKind.REPLY, mail, "token-2")
    assert desk.waits.settle(desk.tenant, mail) == 1
    assert [token for token, _ in desk.engine.answers] == ["token", "token-2"]
    for _, told in desk.engine.answers:
        assert (told["replied"], told["message_id"]) == (True, str(message))


@pytest.mark.parametrize("status", ["bounced", "complained", "suppressed", "rejected"])
def test_a_mail_that_cannot_be_answered_ends_the_wait(desk: Desk, status: str) -> None:
    run = desk.run()
    _wait(desk, run, WaitKind.REPLY, email(desk, run, status), "token")
    desk.waits.settle(desk.tenant)
    assert desk.engine.answers == [("token", {"replied": False, "reason": status})]


def test_a_wait_whose_time_is_over_is_written_down_and_the_engines_own_clock_goes_on(desk: Desk) -> None:
    run = desk.run()
    _wait(desk, run, WaitKind.REPLY, email(desk, run), "token")
    desk.clock.pass_(timedelta(days=2))
    assert [desk.waits.settle(desk.tenant), desk.waits.settle(desk.tenant)] == [1, 0]
    assert desk.engine.answers == []
    assert kept(desk, run)[("call", -1)] == {"replied": False, "reason": "timeout"}


def test_a_strangers_email_is_never_answered(desk: Desk, cluster: Cluster) -> None:
    stranger = Desk(cluster, desk.units, cluster.new_tenant())
    theirs = email(stranger, stranger.run(), "bounced")
    _wait(desk, desk.run(), WaitKind.REPLY, theirs, "token")
    assert desk.waits.settle(desk.tenant) == 0
