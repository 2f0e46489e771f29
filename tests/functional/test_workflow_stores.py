"""Workflows, runs and approvals on PostgreSQL, with an engine that loses state and processes that are killed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from email_sender.kit.system_clock import new_id
from email_sender.security.permissions import Role
from email_sender.workflows.model import Decision, RunStatus, ShownDraft, StepStatus
from email_sender.workflows.ports import ExecutionStatus
from email_sender.workflows.runs.service import GRACE
from tests.database import Cluster
from tests.fakes.messaging import Killed
from tests.functional.workflow_scenario import ANN, BOB, DEFINITION, INPUTS, WorkflowScenario


@pytest.fixture
def scenario(cluster: Cluster, app_role: Database, tenant: UUID) -> WorkflowScenario:
    return WorkflowScenario(cluster, PostgresWorkflowUnits(app_role, None, cluster.vault(app_role)), tenant)


def raise_killed() -> None:
    raise Killed


def test_a_workflow_is_stored_once_for_its_id_and_registered_as_a_state_machine(scenario: WorkflowScenario) -> None:
    workflow_id = new_id()
    first, second = (scenario.workflows.create(scenario.tenant, workflow_id, DEFINITION, ANN) for _ in range(2))
    assert (first.id, first.version, second.version) == (workflow_id, 1, 1)
    assert list(scenario.engine.machines) == [f"t-{workflow_id}-v1"]
    assert scenario.event_types == ["workflow.created"]


def test_a_workflow_name_is_unique_within_a_tenant(scenario: WorkflowScenario, new_tenant: Callable[[], UUID]) -> None:
    scenario.create_workflow()
    with pytest.raises(Conflict):
        scenario.create_workflow()
    scenario.workflows.create(new_tenant(), new_id(), DEFINITION, ANN)


def test_a_new_version_has_its_own_state_machine_and_the_old_one_stays(scenario: WorkflowScenario) -> None:
    workflow = scenario.create_workflow()
    new_version = scenario.workflows.update(scenario.tenant, workflow.id, {**DEFINITION, "description": "new"}, 1, ANN)
    assert new_version.version == 2
    assert list(scenario.engine.machines) == [f"t-{workflow.id}-v1", f"t-{workflow.id}-v2"]
    with scenario.units(scenario.tenant) as unit:
        stored_version = unit.workflows.version(workflow.id, 1)
    assert stored_version is not None
    assert (stored_version.definition, stored_version.published_role) == (DEFINITION, Role.ADMIN)
    with pytest.raises(Conflict, match="at version 2, not 1"):
        scenario.workflows.update(scenario.tenant, workflow.id, DEFINITION, 1, ANN)


def test_one_of_several_concurrent_changes_of_a_version_is_stored(scenario: WorkflowScenario) -> None:
    workflow, barrier = scenario.create_workflow(), Barrier(3)

    def change(_: int) -> bool:
        barrier.wait()
        try:
            scenario.workflows.update(scenario.tenant, workflow.id, DEFINITION, 1, ANN)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(change, range(3))) == [False, False, True]


def test_an_archived_workflow_starts_no_run_and_accepts_no_version(scenario: WorkflowScenario) -> None:
    workflow = scenario.create_workflow()
    for _ in range(2):
        scenario.workflows.archive(scenario.tenant, workflow.id)
    with pytest.raises(Conflict):
        scenario.runs.start(scenario.tenant, new_id(), workflow.id, INPUTS, ANN)
    with pytest.raises(Conflict):
        scenario.workflows.update(scenario.tenant, workflow.id, DEFINITION, None, ANN)
    assert scenario.event_types == ["workflow.created", "workflow.deleted"]


def test_workflows_runs_and_approvals_of_another_tenant_are_not_found(
    scenario: WorkflowScenario, new_tenant: Callable[[], UUID]
) -> None:
    run = scenario.start_run()
    approval, stranger = scenario.request_approval(run), new_tenant()
    with pytest.raises(NotFound):
        scenario.workflows.get(stranger, run.workflow_id)
    with pytest.raises(NotFound):
        scenario.runs.get(stranger, run.id)
    with pytest.raises(NotFound):
        scenario.runs.cancel(stranger, run.id, ANN)
    with pytest.raises(NotFound):
        scenario.runs.start(stranger, new_id(), run.workflow_id, INPUTS, ANN)
    with pytest.raises(NotFound):
        scenario.approvals.decide(stranger, approval.id, Decision.APPROVED, None, ANN)


def test_starting_the_same_run_id_again_starts_nothing(scenario: WorkflowScenario) -> None:
    workflow, run_id = scenario.create_workflow(), new_id()
    runs = [scenario.runs.start(scenario.tenant, run_id, workflow.id, INPUTS, ANN) for _ in range(2)]
    assert [run.status for run in runs] == [RunStatus.RUNNING, RunStatus.RUNNING]
    assert len(scenario.engine.executions) == 1
    assert scenario.event_types == ["workflow.created", "run.started"]


def test_inputs_that_violate_the_schema_start_nothing(scenario: WorkflowScenario) -> None:
    workflow = scenario.create_workflow()
    with pytest.raises(InvalidInput):
        scenario.runs.start(scenario.tenant, new_id(), workflow.id, {"query": 1}, ANN)
    assert scenario.runs.page(scenario.tenant, workflow.id, None, 10).items == []


def test_a_run_has_the_permissions_of_the_user_who_starts_it(scenario: WorkflowScenario) -> None:
    raw = {**DEFINITION, "steps": [{"id": "send", "uses": "email.send", "with": {"draft": str(new_id())}}]}
    workflow = scenario.workflows.create(scenario.tenant, new_id(), raw, ANN)
    with pytest.raises(Forbidden, match="messaging:send"):
        scenario.runs.start(scenario.tenant, new_id(), workflow.id, INPUTS, BOB)
    with pytest.raises(Forbidden):
        scenario.workflows.create(scenario.tenant, new_id(), {**raw, "name": "other"}, BOB)


def test_the_sweep_starts_a_run_whose_starter_was_killed_before_the_engine_knew(scenario: WorkflowScenario) -> None:
    scenario.engine.on_start = raise_killed
    with pytest.raises(Killed):
        scenario.start_run()
    scenario.engine.on_start = lambda: None
    assert scenario.runs.sweep(scenario.tenant) == 0, "the run may still be starting"
    scenario.clock.advance(GRACE * 2)
    assert scenario.runs.sweep(scenario.tenant) == 1
    (execution,) = scenario.engine.executions
    (row,) = scenario.cluster.query("select status, execution_arn from runs where tenant_id = %s", scenario.tenant)
    assert row == {"status": "running", "execution_arn": execution}


def test_a_run_whose_starter_was_killed_after_the_engine_knew_is_not_started_twice(scenario: WorkflowScenario) -> None:
    workflow, run_id = scenario.create_workflow(), new_id()
    scenario.engine.on_start = raise_killed
    with pytest.raises(Killed):
        scenario.runs.start(scenario.tenant, run_id, workflow.id, INPUTS, ANN)
    scenario.engine.on_start = lambda: None
    scenario.engine.start(f"t-{workflow.id}-v1", scenario.runs.get(scenario.tenant, run_id).run)
    scenario.clock.advance(GRACE * 2)
    scenario.runs.sweep(scenario.tenant)
    assert len(scenario.engine.executions) == 1


def test_a_run_that_ended_before_its_start_was_recorded_stays_ended(scenario: WorkflowScenario) -> None:
    workflow, run_id = scenario.create_workflow(), new_id()
    scenario.engine.on_start = lambda: (scenario.runs.end(scenario.tenant, run_id, RunStatus.SUCCEEDED), None)[1]
    assert scenario.runs.start(scenario.tenant, run_id, workflow.id, INPUTS, ANN).status is RunStatus.SUCCEEDED


def test_a_state_machine_forgotten_by_the_engine_is_registered_again(scenario: WorkflowScenario) -> None:
    workflow = scenario.create_workflow()
    first = dict(scenario.engine.machines)
    scenario.engine.machines.clear()
    run = scenario.runs.start(scenario.tenant, new_id(), workflow.id, INPUTS, ANN)
    assert run.status is RunStatus.RUNNING
    assert scenario.engine.machines == first


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
def test_an_execution_that_ended_unreported_is_recorded_once(
    scenario: WorkflowScenario, engine_says: ExecutionStatus, status: RunStatus, event: str
) -> None:
    run = scenario.start_run()
    assert run.execution_arn is not None
    if engine_says is ExecutionStatus.FORGOTTEN:
        scenario.engine.executions.clear()
    else:
        scenario.engine.executions[run.execution_arn] = engine_says
    scenario.clock.advance(GRACE * 2)
    assert [scenario.runs.sweep(scenario.tenant), scenario.runs.sweep(scenario.tenant)] == [1, 0]
    assert scenario.run_status(run) is status
    assert scenario.event_types[-1] == event


def test_the_sweep_leaves_a_running_run_alone(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    scenario.clock.advance(GRACE * 2)
    assert scenario.runs.sweep(scenario.tenant) == 0
    assert scenario.run_status(run) is RunStatus.RUNNING


def test_the_first_end_of_a_run_is_kept(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    scenario.runs.end(scenario.tenant, run.id, RunStatus.FAILED, {"name": "invalid", "message": "no", "step": "ask"})
    scenario.runs.end(scenario.tenant, run.id, RunStatus.SUCCEEDED)
    scenario.runs.reconcile(scenario.tenant, run.id, ExecutionStatus.SUCCEEDED)
    stored_run = scenario.runs.get(scenario.tenant, run.id).run
    assert (stored_run.status, stored_run.error) == (
        RunStatus.FAILED,
        {"name": "invalid", "message": "no", "step": "ask"},
    )
    assert scenario.event_types == ["workflow.created", "run.started", "run.failed"]


def test_an_expression_error_names_the_step_and_the_field(scenario: WorkflowScenario) -> None:
    definition = {"name": "n", "steps": [{"id": "ask", "uses": "approval", "with": {"title": "{% $inputs.title %}"}}]}
    workflow = scenario.workflows.create(scenario.tenant, new_id(), definition, ANN)
    run = scenario.runs.start(scenario.tenant, new_id(), workflow.id, {}, ANN)
    engine_text = "JSONata expression did not return a result: $inputs.title"
    scenario.runs.end(
        scenario.tenant, run.id, RunStatus.FAILED, {"step": "ask", "name": "expression", "message": engine_text}
    )
    assert scenario.runs.get(scenario.tenant, run.id).run.error == {
        "step": "ask",
        "name": "expression",
        "message": "Step ask, with.title: $inputs.title is empty.",
    }


def test_a_run_ends_even_if_its_definition_is_no_longer_valid(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    with scenario.cluster.connect_as_owner() as conn:
        conn.execute("update workflow_versions set definition = '{}' where workflow_id = %s", [run.workflow_id])
        conn.commit()
    error = {"step": "ask", "name": "expression", "message": "JSONata expression did not return a result: $x"}
    scenario.runs.end(scenario.tenant, run.id, RunStatus.FAILED, error)
    stored_run = scenario.runs.get(scenario.tenant, run.id).run
    assert (stored_run.status, stored_run.error) == (RunStatus.FAILED, error)


def test_a_failed_execution_is_recorded_with_its_cause(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    scenario.runs.reconcile(
        scenario.tenant, run.id, ExecutionStatus.FAILED, "States.DataLimitExceeded: The output is too large."
    )
    error = scenario.runs.get(scenario.tenant, run.id).run.error
    assert error is not None
    assert error["message"].endswith("The error was: States.DataLimitExceeded: The output is too large.")


def test_a_cancelled_run_is_stopped_at_the_engine_and_may_be_cancelled_again(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    for _ in range(2):
        assert scenario.runs.cancel(scenario.tenant, run.id, ANN).status is RunStatus.CANCELLED
    assert list(scenario.engine.executions.values()) == [ExecutionStatus.ABORTED]
    assert scenario.event_types[-1] == "run.cancelled"
    assert scenario.event_types.count("run.cancelled") == 1


def test_a_run_that_has_ended_cannot_be_cancelled(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    scenario.runs.end(scenario.tenant, run.id, RunStatus.SUCCEEDED)
    with pytest.raises(Conflict):
        scenario.runs.cancel(scenario.tenant, run.id, ANN)


def test_an_approval_makes_the_run_wait_and_its_decision_resumes_it(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    approval = scenario.request_approval(run)
    assert scenario.run_status(run) is RunStatus.WAITING
    decided_approval = scenario.decide(approval)
    assert scenario.run_status(run) is RunStatus.RUNNING
    assert (decided_approval.decided_by, decided_approval.decided_role, decided_approval.comment) == (
        "ann",
        Role.ADMIN,
        "fine",
    )
    assert scenario.engine.answers == [
        ("token-1", {"decision": "approved", "approval_id": str(approval.id), "comment": "fine"})
    ]
    (step,) = scenario.runs.get(scenario.tenant, run.id).steps
    assert (step.status, step.attempts) == (StepStatus.SUCCEEDED, 1)
    assert scenario.event_types[-2:] == ["approval.requested", "approval.decided"]


def test_a_repeated_decision_is_delivered_once_and_another_decision_conflicts(scenario: WorkflowScenario) -> None:
    approval = scenario.request_approval(scenario.start_run())
    scenario.decide(approval)
    scenario.decide(approval)
    with pytest.raises(Conflict):
        scenario.decide(approval, Decision.DENIED)
    assert len(scenario.engine.answers) == 1
    assert scenario.event_types.count("approval.decided") == 1


def test_one_of_two_concurrent_decisions_wins(scenario: WorkflowScenario) -> None:
    approval, barrier = scenario.request_approval(scenario.start_run()), Barrier(2)

    def try_decide(decision: Decision) -> bool:
        barrier.wait()
        try:
            scenario.decide(approval, decision)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(try_decide, [Decision.APPROVED, Decision.DENIED])) == [False, True]
    assert len(scenario.engine.answers) == 1


@pytest.mark.parametrize("failure", [Killed(), Unavailable("The workflow engine did not answer.")])
def test_the_sweep_delivers_a_decision_that_did_not_reach_the_engine(
    scenario: WorkflowScenario, failure: BaseException
) -> None:
    approval = scenario.request_approval(scenario.start_run())

    def fail() -> None:
        raise failure

    scenario.engine.on_answer = fail
    with pytest.raises(type(failure)):
        scenario.decide(approval)
    (stored_approval,) = scenario.approvals.page(scenario.tenant, Decision.APPROVED, None, 10).items
    assert stored_approval.id == approval.id
    scenario.engine.on_answer = lambda: None
    scenario.clock.advance(timedelta(seconds=30))
    assert [scenario.approvals.sweep(scenario.tenant), scenario.approvals.sweep(scenario.tenant)] == [1, 0]
    assert [token for token, _ in scenario.engine.answers] == ["token-1"]


def test_repeating_a_decision_delivers_it_if_the_engine_missed_it(scenario: WorkflowScenario) -> None:
    approval = scenario.request_approval(scenario.start_run())
    scenario.engine.on_answer = raise_killed
    with pytest.raises(Killed):
        scenario.decide(approval)
    scenario.engine.on_answer = lambda: None
    assert scenario.decide(approval).delivered_at is not None
    assert len(scenario.engine.answers) == 1


def test_an_approval_requested_again_keeps_its_id_and_answers_the_new_token(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    first, second = scenario.request_approval(run), scenario.request_approval(run, "token-2")
    assert first.id == second.id
    scenario.decide(first)
    assert [token for token, _ in scenario.engine.answers] == ["token-2"]
    scenario.request_approval(run, "token-3")
    assert [token for token, _ in scenario.engine.answers] == ["token-2", "token-3"]
    assert scenario.event_types.count("approval.requested") == 1


def test_an_unanswered_approval_expires_once_and_cannot_be_answered(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    approval = scenario.request_approval(run)
    scenario.clock.advance(timedelta(days=1, seconds=1))
    with pytest.raises(Conflict, match="has expired"):
        scenario.decide(approval)
    assert [scenario.approvals.sweep(scenario.tenant), scenario.approvals.sweep(scenario.tenant)] == [1, 0]
    (stored_approval,) = scenario.approvals.page(scenario.tenant, Decision.EXPIRED, None, 10).items
    assert stored_approval.id == approval.id
    with pytest.raises(Conflict, match="expired"):
        scenario.decide(approval)
    assert scenario.engine.answers == [], "the engine has its own timeout"
    assert scenario.run_status(run) is RunStatus.RUNNING, "the run no longer waits"
    assert scenario.event_types[-1] == "approval.decided"


def test_a_decision_does_not_reopen_a_run_that_has_ended(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    approval = scenario.request_approval(run)
    scenario.runs.cancel(scenario.tenant, run.id, ANN)
    with pytest.raises(Conflict, match="already expired"):
        scenario.decide(approval)
    assert scenario.run_status(run) is RunStatus.CANCELLED
    assert scenario.approvals.page(scenario.tenant, Decision.PENDING, None, 10).items == []


def test_an_approval_of_another_tenants_draft_is_refused(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    with pytest.raises(InvalidInput):
        scenario.request_approval(run, drafts=(ShownDraft(new_id(), "0" * 64),))
    assert scenario.run_status(run) is RunStatus.RUNNING


def test_a_too_long_comment_is_refused(scenario: WorkflowScenario) -> None:
    approval = scenario.request_approval(scenario.start_run())
    with pytest.raises(InvalidInput):
        scenario.approvals.decide(scenario.tenant, approval.id, Decision.APPROVED, "x" * 2001, ANN)


def test_runs_and_approvals_are_paged(scenario: WorkflowScenario) -> None:
    workflow = scenario.create_workflow()
    runs = [scenario.runs.start(scenario.tenant, new_id(), workflow.id, INPUTS, ANN) for _ in range(3)]
    approval_ids = [scenario.request_approval(run).id for run in runs]
    scenario.approvals.decide(scenario.tenant, approval_ids[0], Decision.DENIED, None, ANN)
    first_page = scenario.runs.page(scenario.tenant, workflow.id, None, 2)
    assert first_page.next_cursor is not None
    second_page = scenario.runs.page(scenario.tenant, workflow.id, UUID(first_page.next_cursor), 2)
    assert [run.id for run in [*first_page.items, *second_page.items]] == [run.id for run in runs[::-1]]
    assert [
        approval.id for approval in scenario.approvals.page(scenario.tenant, Decision.PENDING, None, 10).items
    ] == approval_ids[1:]
    assert [
        approval.id for approval in scenario.approvals.page(scenario.tenant, None, approval_ids[0], 1).items
    ] == approval_ids[1:2]


def test_a_workflow_that_names_a_missing_template_is_refused_with_its_place(scenario: WorkflowScenario) -> None:
    draft = {"id": "draft", "uses": "template.render", "with": {"template": "welcome", "contact": "{% $inputs.c %}"}}
    definition = {"name": "missing", "steps": [draft]}
    with pytest.raises(InvalidInput, match="There is no template 'welcome'") as caught:
        scenario.workflows.create(scenario.tenant, new_id(), definition, ANN)
    assert [problem.pointer for problem in caught.value.problems] == ["/steps/0/with/template"]
    scenario.add_templates("welcome")
    assert scenario.workflows.create(scenario.tenant, new_id(), definition, ANN).version == 1
