"""Versions, what changed between them, and runs that are started again."""

from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import Conflict, Forbidden, NotFound
from email_sender.kit.ambient import new_id
from email_sender.security.permissions import Role
from email_sender.workflows.definitions import Actor
from email_sender.workflows.model import RunStatus, StepRecord, StepStatus
from tests.database import Cluster
from tests.functional.desk import ANN, DEFINITION, INPUTS, Desk

LATER: dict[str, Any] = {
    **DEFINITION,
    "description": "with a pause",
    "steps": [
        {"id": "pause", "uses": "wait", "with": {"duration": "PT1S"}},
        {**DEFINITION["steps"][0], "needs": ["pause"]},
    ],
}


@pytest.fixture
def desk(cluster: Cluster, app_role: Database, tenant: UUID) -> Desk:
    return Desk(cluster, PostgresWorkflowUnits(app_role, None), tenant)


def test_versions_are_listed_newest_first_by_pages(desk: Desk) -> None:
    workflow = desk.workflow()
    desk.workflows.update(desk.tenant, workflow.id, LATER, 1, ANN)
    desk.workflows.update(desk.tenant, workflow.id, DEFINITION, 2, Actor("bob", Role.ADMIN))
    first = desk.workflows.versions(desk.tenant, workflow.id, None, 2)
    assert [(each.version, each.published_by) for each in first.items] == [(3, "bob"), (2, "ann")]
    assert first.items[1].definition == LATER
    second = desk.workflows.versions(desk.tenant, workflow.id, int(first.next_cursor or 0), 2)
    assert ([each.version for each in second.items], second.next_cursor) == ([1], None)


def test_what_changed_between_two_versions_is_told_either_way(desk: Desk) -> None:
    workflow = desk.workflow()
    desk.workflows.update(desk.tenant, workflow.id, LATER, 1, ANN)
    found = desk.workflows.difference(desk.tenant, workflow.id, 1, 2)
    assert (found.added, found.removed, found.changed) == (["pause"], [], {"ask": ["needs"]})
    assert found.fields == ["description"]
    back = desk.workflows.difference(desk.tenant, workflow.id, 2, 1)
    assert (back.added, back.removed) == ([], ["pause"])
    with pytest.raises(NotFound, match="no version 7"):
        desk.workflows.difference(desk.tenant, workflow.id, 1, 7)
    assert desk.workflows.drawn(desk.tenant, workflow.id, 1).levels == (("ask",),)
    assert desk.workflows.drawn(desk.tenant, workflow.id).levels == (("pause",), ("ask",))


def test_versions_are_a_tenants_own(desk: Desk, cluster: Cluster) -> None:
    workflow, stranger = desk.workflow(), cluster.new_tenant()
    for ask in (
        lambda: desk.workflows.versions(stranger, workflow.id, None, 9),
        lambda: desk.workflows.difference(stranger, workflow.id, 1, 1),
        lambda: desk.workflows.drawn(stranger, workflow.id),
        lambda: desk.workflows.drawn(stranger, workflow.id, 1),
    ):
        with pytest.raises(NotFound):
            ask()


@pytest.mark.parametrize(("newest", "version"), [(False, 1), (True, 2)])
def test_a_run_is_started_again_on_its_version_or_the_newest(desk: Desk, newest: bool, version: int) -> None:
    run = desk.run()
    with pytest.raises(Conflict, match="when it has ended"):
        desk.runs.retry(desk.tenant, new_id(), run.id, ANN, newest=newest)
    desk.runs.end(desk.tenant, run.id, RunStatus.FAILED, {"name": "rejected", "message": "no"})
    desk.workflows.update(desk.tenant, run.workflow_id, LATER, 1, ANN)
    again_id = new_id()
    again = desk.runs.retry(desk.tenant, again_id, run.id, ANN, newest=newest)
    assert (again.id, again.version, again.inputs, again.status) == (again_id, version, INPUTS, RunStatus.RUNNING)
    assert desk.status(run) is RunStatus.FAILED
    # The same request again is the same run.
    assert desk.runs.retry(desk.tenant, again_id, run.id, ANN, newest=newest).id == again_id
    assert desk.told.count("run.started") == 2


def test_started_again_a_run_acts_for_who_asks_now(desk: Desk) -> None:
    definition = {"name": "mail", "steps": [{"id": "send", "uses": "email.send", "with": {"draft": "d"}}]}
    workflow = desk.workflows.create(desk.tenant, new_id(), definition, ANN)
    run = desk.runs.start(desk.tenant, new_id(), workflow.id, {}, ANN)
    desk.runs.end(desk.tenant, run.id, RunStatus.FAILED)
    with pytest.raises(Forbidden, match="messaging:send"):
        desk.runs.retry(desk.tenant, new_id(), run.id, Actor("bob", Role.USER), newest=False)


def test_a_run_of_another_tenant_is_not_started_again(desk: Desk, cluster: Cluster) -> None:
    run = desk.run()
    desk.runs.end(desk.tenant, run.id, RunStatus.FAILED)
    with pytest.raises(NotFound):
        desk.runs.retry(cluster.new_tenant(), new_id(), run.id, ANN, newest=False)


def test_an_archived_workflow_starts_nothing_again(desk: Desk) -> None:
    run = desk.run()
    record = StepRecord("ask", -1, "approval", StepStatus.FAILED, desk.clock(), finished_at=desk.clock())
    with desk.units(desk.tenant) as unit:
        unit.runs.record(run.id, record)
        unit.commit()
    desk.runs.end(desk.tenant, run.id, RunStatus.FAILED)
    desk.workflows.archive(desk.tenant, run.workflow_id)
    with pytest.raises(Conflict, match="archived"):
        desk.runs.retry(desk.tenant, new_id(), run.id, ANN, newest=True)
