"""Workflow versions, the differences between them, and retried runs."""

from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import Conflict, Forbidden, NotFound
from email_sender.kit.system_clock import new_id
from email_sender.security.permissions import Role
from email_sender.workflows.model import Actor, RunStatus, StepRecord, StepStatus
from tests.database import Cluster
from tests.functional.workflow_scenario import ANN, DEFINITION, INPUTS, WorkflowScenario

LATER: dict[str, Any] = {
    **DEFINITION,
    "description": "with a pause",
    "steps": [
        {"id": "pause", "uses": "wait", "with": {"duration": "PT1S"}},
        {**DEFINITION["steps"][0], "needs": ["pause"]},
    ],
}


@pytest.fixture
def scenario(cluster: Cluster, app_role: Database, tenant: UUID) -> WorkflowScenario:
    return WorkflowScenario(cluster, PostgresWorkflowUnits(app_role, None, cluster.vault(app_role)), tenant)


def test_versions_are_listed_newest_first_by_pages(scenario: WorkflowScenario) -> None:
    workflow = scenario.create_workflow()
    scenario.workflows.update(scenario.tenant, workflow.id, LATER, 1, ANN)
    scenario.workflows.update(scenario.tenant, workflow.id, DEFINITION, 2, Actor("bob", Role.ADMIN))
    first = scenario.workflows.versions(scenario.tenant, workflow.id, None, 2)
    assert [(version.version, version.published_by) for version in first.items] == [(3, "bob"), (2, "ann")]
    assert first.items[1].definition == LATER
    second = scenario.workflows.versions(scenario.tenant, workflow.id, int(first.next_cursor or 0), 2)
    assert ([version.version for version in second.items], second.next_cursor) == ([1], None)


def test_the_difference_between_two_versions_works_in_both_directions(scenario: WorkflowScenario) -> None:
    workflow = scenario.create_workflow()
    scenario.workflows.update(scenario.tenant, workflow.id, LATER, 1, ANN)
    difference = scenario.workflows.compare_versions(scenario.tenant, workflow.id, 1, 2)
    assert (difference.added, difference.removed, difference.changed) == (["pause"], [], {"ask": ["needs"]})
    assert difference.fields == ["description"]
    reverse_difference = scenario.workflows.compare_versions(scenario.tenant, workflow.id, 2, 1)
    assert (reverse_difference.added, reverse_difference.removed) == ([], ["pause"])
    with pytest.raises(NotFound, match="no version 7"):
        scenario.workflows.compare_versions(scenario.tenant, workflow.id, 1, 7)
    assert scenario.workflows.get_definition(scenario.tenant, workflow.id, 1).levels == (("ask",),)
    assert scenario.workflows.get_definition(scenario.tenant, workflow.id).levels == (("pause",), ("ask",))


def test_versions_belong_to_one_tenant(scenario: WorkflowScenario, cluster: Cluster) -> None:
    workflow, other_tenant = scenario.create_workflow(), cluster.new_tenant()
    for call in (
        lambda: scenario.workflows.versions(other_tenant, workflow.id, None, 9),
        lambda: scenario.workflows.compare_versions(other_tenant, workflow.id, 1, 1),
        lambda: scenario.workflows.get_definition(other_tenant, workflow.id),
        lambda: scenario.workflows.get_definition(other_tenant, workflow.id, 1),
    ):
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize(("newest", "version"), [(False, 1), (True, 2)])
def test_a_run_is_retried_on_its_version_or_the_newest(scenario: WorkflowScenario, newest: bool, version: int) -> None:
    run = scenario.start_run()
    with pytest.raises(Conflict, match="after it has ended"):
        scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=newest)
    scenario.runs.end(scenario.tenant, run.id, RunStatus.FAILED, {"name": "rejected", "message": "no"})
    scenario.workflows.update(scenario.tenant, run.workflow_id, LATER, 1, ANN)
    again_id = new_id()
    retried_run = scenario.runs.retry(scenario.tenant, again_id, run.id, ANN, newest=newest)
    assert (retried_run.id, retried_run.version, retried_run.inputs, retried_run.status) == (
        again_id,
        version,
        INPUTS,
        RunStatus.RUNNING,
    )
    assert scenario.run_status(run) is RunStatus.FAILED
    # Repeating the request returns the same run.
    assert scenario.runs.retry(scenario.tenant, again_id, run.id, ANN, newest=newest).id == again_id
    assert scenario.event_types.count("run.started") == 2


def test_a_retried_run_has_the_permissions_of_the_user_who_retries_it(scenario: WorkflowScenario) -> None:
    definition = {"name": "mail", "steps": [{"id": "send", "uses": "email.send", "with": {"draft": "d"}}]}
    workflow = scenario.workflows.create(scenario.tenant, new_id(), definition, ANN)
    run = scenario.runs.start(scenario.tenant, new_id(), workflow.id, {}, ANN)
    scenario.runs.end(scenario.tenant, run.id, RunStatus.FAILED)
    with pytest.raises(Forbidden, match="messaging:send"):
        scenario.runs.retry(scenario.tenant, new_id(), run.id, Actor("bob", Role.USER), newest=False)


def test_a_run_of_another_tenant_cannot_be_retried(scenario: WorkflowScenario, cluster: Cluster) -> None:
    run = scenario.start_run()
    scenario.runs.end(scenario.tenant, run.id, RunStatus.FAILED)
    with pytest.raises(NotFound):
        scenario.runs.retry(cluster.new_tenant(), new_id(), run.id, ANN, newest=False)


def test_a_run_of_an_archived_workflow_cannot_be_retried(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    record = StepRecord("ask", -1, "approval", StepStatus.FAILED, scenario.clock(), finished_at=scenario.clock())
    with scenario.units(scenario.tenant) as unit:
        unit.runs.record(run.id, record)
        unit.commit()
    scenario.runs.end(scenario.tenant, run.id, RunStatus.FAILED)
    scenario.workflows.archive(scenario.tenant, run.workflow_id)
    with pytest.raises(Conflict, match="archived"):
        scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_whose_inputs_were_deleted_is_not_repeated(
    scenario: WorkflowScenario, cluster: Cluster, resume: bool
) -> None:
    run = scenario.start_run()
    scenario.runs.end(scenario.tenant, run.id, RunStatus.FAILED, {"name": "rejected", "message": "no"})
    cluster.execute("update runs set inputs = '{}', emptied_at = now() where id = %s", run.id)
    with pytest.raises(Conflict, match="does not keep"):
        scenario.runs.retry(scenario.tenant, new_id(), run.id, ANN, newest=False, resume=resume)
