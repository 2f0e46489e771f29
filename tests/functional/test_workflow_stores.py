"""Workflows, runs and approvals on PostgreSQL, with an engine that can forget, and with processes that are killed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from email_sender.kit.ambient import new_id
from email_sender.security.permissions import Role
from email_sender.workflows.model import Decision, RunStatus, ShownDraft, StepStatus
from email_sender.workflows.ports import ExecutionStatus
from email_sender.workflows.runs import GRACE
from tests.database import Cluster
from tests.fakes.messaging import Killed
from tests.functional.desk import ANN, BOB, DEFINITION, INPUTS, Desk


@pytest.fixture
def desk(cluster: Cluster, app_role: Database, tenant: UUID) -> Desk:
    return Desk(cluster, PostgresWorkflowUnits(app_role, None), tenant)


def killed() -> None:
    raise Killed


def test_a_workflow_is_stored_once_for_its_id_and_registered_as_a_machine(desk: Desk) -> None:
    workflow_id = new_id()
    one, two = (desk.workflows.create(desk.tenant, workflow_id, DEFINITION, ANN) for _ in range(2))
    assert (one.id, one.version, two.version) == (workflow_id, 1, 1)
    assert list(desk.engine.machines) == [f"t-{workflow_id}-v1"]
    assert desk.told == ["workflow.created"]


def test_a_name_is_taken_once_a_tenant(desk: Desk, new_tenant: Callable[[], UUID]) -> None:
    desk.workflow()
    with pytest.raises(Conflict):
        desk.workflow()
    desk.workflows.create(new_tenant(), new_id(), DEFINITION, ANN)


def test_a_new_version_has_a_machine_of_its_own_and_the_old_one_stays(desk: Desk) -> None:
    workflow = desk.workflow()
    changed = desk.workflows.update(desk.tenant, workflow.id, {**DEFINITION, "description": "new"}, 1, ANN)
    assert changed.version == 2
    assert list(desk.engine.machines) == [f"t-{workflow.id}-v1", f"t-{workflow.id}-v2"]
    with desk.units(desk.tenant) as unit:
        assert unit.workflows.version(workflow.id, 1) == DEFINITION
    with pytest.raises(Conflict, match="at version 2, not 1"):
        desk.workflows.update(desk.tenant, workflow.id, DEFINITION, 1, ANN)


def test_of_changes_at_once_to_the_same_version_one_is_stored(desk: Desk) -> None:
    workflow, together = desk.workflow(), Barrier(3)

    def change(_: int) -> bool:
        together.wait()
        try:
            desk.workflows.update(desk.tenant, workflow.id, DEFINITION, 1, ANN)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(change, range(3))) == [False, False, True]


def test_an_archived_workflow_starts_no_run_and_takes_no_version(desk: Desk) -> None:
    workflow = desk.workflow()
    for _ in range(2):
        desk.workflows.archive(desk.tenant, workflow.id)
    with pytest.raises(Conflict):
        desk.runs.start(desk.tenant, new_id(), workflow.id, INPUTS, ANN)
    with pytest.raises(Conflict):
        desk.workflows.update(desk.tenant, workflow.id, DEFINITION, None, ANN)
    assert desk.told == ["workflow.created", "workflow.deleted"]


def test_another_tenants_workflow_run_and_approval_are_not_found(desk: Desk, new_tenant: Callable[[], UUID]) -> None:
    run = desk.run()
    approval, stranger = desk.ask(run), new_tenant()
    with pytest.raises(NotFound):
        desk.workflows.get(stranger, run.workflow_id)
    with pytest.raises(NotFound):
        desk.runs.get(stranger, run.id)
    with pytest.raises(NotFound):
        desk.runs.cancel(stranger, run.id, ANN)
    with pytest.raises(NotFound):
        desk.runs.start(stranger, new_id(), run.workflow_id, INPUTS, ANN)
    with pytest.raises(NotFound):
        desk.approvals.decide(stranger, approval.id, Decision.APPROVED, None, ANN)


def test_the_same_run_id_again_starts_nothing_more(desk: Desk) -> None:
    workflow, run_id = desk.workflow(), new_id()
    runs = [desk.runs.start(desk.tenant, run_id, workflow.id, INPUTS, ANN) for _ in range(2)]
    assert [each.status for each in runs] == [RunStatus.RUNNING, RunStatus.RUNNING]
    assert len(desk.engine.executions) == 1
    assert desk.told == ["workflow.created", "run.started"]


def test_inputs_that_are_not_as_the_schema_says_start_nothing(desk: Desk) -> None:
    workflow = desk.workflow()
    with pytest.raises(InvalidInput):
        desk.runs.start(desk.tenant, new_id(), workflow.id, {"query": 1}, ANN)
    assert desk.runs.page(desk.tenant, workflow.id, None, 10).items == []


def test_a_run_acts_for_who_starts_it(desk: Desk) -> None:
    raw = {**DEFINITION, "steps": [{"id": "send", "uses": "email.send", "with": {"draft": str(new_id())}}]}
    workflow = desk.workflows.create(desk.tenant, new_id(), raw, ANN)
    with pytest.raises(Forbidden, match="messaging:send"):
        desk.runs.start(desk.tenant, new_id(), workflow.id, INPUTS, BOB)
    with pytest.raises(Forbidden):
        desk.workflows.create(desk.tenant, new_id(), {**raw, "name": "other"}, BOB)


def test_a_run_whose_starter_was_killed_before_the_engine_knew_is_started_by_the_sweep(desk: Desk) -> None:
    desk.engine.on_start = killed
    with pytest.raises(Killed):
        desk.run()
    desk.engine.on_start = lambda: None
    assert desk.runs.sweep(desk.tenant) == 0, "it may be starting just now"
    desk.clock.pass_(GRACE * 2)
    assert desk.runs.sweep(desk.tenant) == 1
    (execution,) = desk.engine.executions
    (row,) = desk.cluster.look("select status, execution_arn from runs where tenant_id = %s", desk.tenant)
    assert row == {"status": "running", "execution_arn": execution}


def test_a_run_whose_starter_was_killed_after_the_engine_knew_is_not_started_twice(desk: Desk) -> None:
    workflow, run_id = desk.workflow(), new_id()
    desk.engine.on_start = killed
    with pytest.raises(Killed):
        desk.runs.start(desk.tenant, run_id, workflow.id, INPUTS, ANN)
    desk.engine.on_start = lambda: None
    desk.engine.start(f"t-{workflow.id}-v1", run_id, INPUTS)
    desk.clock.pass_(GRACE * 2)
    desk.runs.sweep(desk.tenant)
    assert len(desk.engine.executions) == 1


def test_a_run_that_ended_before_its_start_was_written_down_stays_ended(desk: Desk) -> None:
    workflow, run_id = desk.workflow(), new_id()
    desk.engine.on_start = lambda: (desk.runs.end(desk.tenant, run_id, RunStatus.SUCCEEDED), None)[1]
    assert desk.runs.start(desk.tenant, run_id, workflow.id, INPUTS, ANN).status is RunStatus.SUCCEEDED


def test_a_machine_that_the_engine_forgot_is_registered_again_from_the_runs_version(desk: Desk) -> None:
    workflow = desk.workflow()
    first = dict(desk.engine.machines)
    desk.engine.machines.clear()
    run = desk.runs.start(desk.tenant, new_id(), workflow.id, INPUTS, ANN)
    assert run.status is RunStatus.RUNNING
    assert desk.engine.machines == first


@pytest.mark.parametrize(
    ("engine_says", "status", "event"),
    [
        (ExecutionStatus.SUCCEEDED, RunStatus.SUCCEEDED, "run.succeeded"),
        (ExecutionStatus.FAILED, RunStatus.FAILED, "run.failed"),
        (ExecutionStatus.TIMED_OUT, RunStatus.TIMED_OUT, "run.failed"),
        (ExecutionStatus.ABORTED, RunStatus.CANCELLED, "run.cancelled"),
        (ExecutionStatus.FORGOTTEN, RunStatus.FAILED, "run.failed"),
    ],
)
def test_what_the_engine_ended_without_a_word_is_recorded_once(
    desk: Desk, engine_says: ExecutionStatus, status: RunStatus, event: str
) -> None:
    run = desk.run()
    assert run.execution_arn is not None
    if engine_says is ExecutionStatus.FORGOTTEN:
        desk.engine.executions.clear()
    else:
        desk.engine.executions[run.execution_arn] = engine_says
    desk.clock.pass_(GRACE * 2)
    assert [desk.runs.sweep(desk.tenant), desk.runs.sweep(desk.tenant)] == [1, 0]
    assert desk.status(run) is status
    assert desk.told[-1] == event


def test_a_run_still_under_way_is_left_alone_by_the_sweep(desk: Desk) -> None:
    run = desk.run()
    desk.clock.pass_(GRACE * 2)
    assert desk.runs.sweep(desk.tenant) == 0
    assert desk.status(run) is RunStatus.RUNNING


def test_the_first_end_of_a_run_stays(desk: Desk) -> None:
    run = desk.run()
    desk.runs.end(desk.tenant, run.id, RunStatus.FAILED, {"name": "invalid", "message": "no", "step": "ask"})
    desk.runs.end(desk.tenant, run.id, RunStatus.SUCCEEDED)
    desk.runs.reconcile(desk.tenant, run.id, ExecutionStatus.SUCCEEDED)
    found = desk.runs.get(desk.tenant, run.id).run
    assert (found.status, found.error) == (RunStatus.FAILED, {"name": "invalid", "message": "no", "step": "ask"})
    assert desk.told == ["workflow.created", "run.started", "run.failed"]


def test_a_cancelled_run_is_stopped_at_the_engine_and_cancelling_again_is_harmless(desk: Desk) -> None:
    run = desk.run()
    for _ in range(2):
        assert desk.runs.cancel(desk.tenant, run.id, ANN).status is RunStatus.CANCELLED
    assert list(desk.engine.executions.values()) == [ExecutionStatus.ABORTED]
    assert desk.told[-1] == "run.cancelled"
    assert desk.told.count("run.cancelled") == 1


def test_a_run_that_has_ended_cannot_be_cancelled(desk: Desk) -> None:
    run = desk.run()
    desk.runs.end(desk.tenant, run.id, RunStatus.SUCCEEDED)
    with pytest.raises(Conflict):
        desk.runs.cancel(desk.tenant, run.id, ANN)


def test_an_approval_makes_the_run_wait_and_its_decision_lets_it_go_on(desk: Desk) -> None:
    run = desk.run()
    approval = desk.ask(run)
    assert desk.status(run) is RunStatus.WAITING
    decided = desk.decide(approval)
    assert desk.status(run) is RunStatus.RUNNING
    assert (decided.decided_by, decided.decided_role, decided.comment) == ("ann", Role.ADMIN, "fine")
    assert desk.engine.answers == [
        ("token-1", {"decision": "approved", "approval_id": str(approval.id), "comment": "fine"})
    ]
    (step,) = desk.runs.get(desk.tenant, run.id).steps
    assert (step.status, step.attempts) == (StepStatus.SUCCEEDED, 1)
    assert desk.told[-2:] == ["approval.requested", "approval.decided"]


def test_the_same_decision_twice_is_told_once_and_another_conflicts(desk: Desk) -> None:
    approval = desk.ask(desk.run())
    desk.decide(approval)
    desk.decide(approval)
    with pytest.raises(Conflict):
        desk.decide(approval, Decision.DENIED)
    assert len(desk.engine.answers) == 1
    assert desk.told.count("approval.decided") == 1


def test_of_two_people_who_decide_at_once_one_is_heard(desk: Desk) -> None:
    approval, together = desk.ask(desk.run()), Barrier(2)

    def answer(decision: Decision) -> bool:
        together.wait()
        try:
            desk.decide(approval, decision)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(answer, [Decision.APPROVED, Decision.DENIED])) == [False, True]
    assert len(desk.engine.answers) == 1


@pytest.mark.parametrize("failure", [Killed(), Unavailable("The workflow engine did not answer.")])
def test_a_decision_the_engine_was_not_told_is_told_by_the_sweep(desk: Desk, failure: BaseException) -> None:
    approval = desk.ask(desk.run())

    def fail() -> None:
        raise failure

    desk.engine.on_answer = fail
    with pytest.raises(type(failure)):
        desk.decide(approval)
    assert desk.approvals.get(desk.tenant, approval.id).status is Decision.APPROVED
    desk.engine.on_answer = lambda: None
    desk.clock.pass_(timedelta(seconds=30))
    assert [desk.approvals.sweep(desk.tenant), desk.approvals.sweep(desk.tenant)] == [1, 0]
    assert [token for token, _ in desk.engine.answers] == ["token-1"]


def test_a_decision_the_engine_was_not_told_is_told_by_a_repeat(desk: Desk) -> None:
    approval = desk.ask(desk.run())
    desk.engine.on_answer = killed
    with pytest.raises(Killed):
        desk.decide(approval)
    desk.engine.on_answer = lambda: None
    assert desk.decide(approval).delivered_at is not None
    assert len(desk.engine.answers) == 1


def test_asked_again_by_a_retry_an_approval_keeps_its_id_and_answers_the_new_token(desk: Desk) -> None:
    run = desk.run()
    first, second = desk.ask(run), desk.ask(run, "token-2")
    assert first.id == second.id
    desk.decide(first)
    assert [token for token, _ in desk.engine.answers] == ["token-2"]
    desk.ask(run, "token-3")
    assert [token for token, _ in desk.engine.answers] == ["token-2", "token-3"]
    assert desk.told.count("approval.requested") == 1


def test_an_approval_nobody_answered_in_time_expires_once_and_cannot_be_answered(desk: Desk) -> None:
    run = desk.run()
    approval = desk.ask(run)
    desk.clock.pass_(timedelta(days=1, seconds=1))
    with pytest.raises(Conflict, match="run out"):
        desk.decide(approval)
    assert [desk.approvals.sweep(desk.tenant), desk.approvals.sweep(desk.tenant)] == [1, 0]
    assert desk.approvals.get(desk.tenant, approval.id).status is Decision.EXPIRED
    with pytest.raises(Conflict, match="expired"):
        desk.decide(approval)
    assert desk.engine.answers == [], "the engine has its own clock"
    assert desk.status(run) is RunStatus.RUNNING, "it waits for nobody any more"
    assert desk.told[-1] == "approval.decided"


def test_a_decision_for_a_run_that_has_ended_does_not_open_it_again(desk: Desk) -> None:
    run = desk.run()
    approval = desk.ask(run)
    desk.runs.cancel(desk.tenant, run.id, ANN)
    with pytest.raises(Conflict, match="expired already"):
        desk.decide(approval)
    assert desk.status(run) is RunStatus.CANCELLED
    assert desk.approvals.page(desk.tenant, Decision.PENDING, None, 10).items == []


def test_an_approval_of_a_draft_that_is_not_the_tenants_is_refused(desk: Desk) -> None:
    run = desk.run()
    with pytest.raises(InvalidInput):
        desk.ask(run, drafts=(ShownDraft(new_id(), "0" * 64),))
    assert desk.status(run) is RunStatus.RUNNING


def test_a_comment_has_a_limit(desk: Desk) -> None:
    approval = desk.ask(desk.run())
    with pytest.raises(InvalidInput):
        desk.approvals.decide(desk.tenant, approval.id, Decision.APPROVED, "x" * 2001, ANN)


def test_runs_and_approvals_are_paged(desk: Desk) -> None:
    workflow = desk.workflow()
    runs = [desk.runs.start(desk.tenant, new_id(), workflow.id, INPUTS, ANN) for _ in range(3)]
    asked = [desk.ask(run).id for run in runs]
    desk.approvals.decide(desk.tenant, asked[0], Decision.DENIED, None, ANN)
    first = desk.runs.page(desk.tenant, workflow.id, None, 2)
    assert first.next_cursor is not None
    rest = desk.runs.page(desk.tenant, workflow.id, UUID(first.next_cursor), 2)
    assert [each.id for each in [*first.items, *rest.items]] == [each.id for each in runs[::-1]]
    assert [each.id for each in desk.approvals.page(desk.tenant, Decision.PENDING, None, 10).items] == asked[1:]
    assert [each.id for each in desk.approvals.page(desk.tenant, None, asked[0], 1).items] == asked[1:2]
