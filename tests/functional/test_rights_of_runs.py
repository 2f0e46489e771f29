"""Nobody gets done by a workflow what they may not do: attempts of a `user` to have mail sent without an approval."""

import time
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.web.webhook_signatures import StandardWebhooks
from email_sender.errors import Forbidden, NotSupported, Unavailable
from email_sender.kit.system_clock import new_id
from email_sender.security.permissions import GRANTS, Role, weaker
from email_sender.workflows.model import Actor, Run, RunStatus, Workflow
from email_sender.workflows.triggers import webhooks
from email_sender.workflows.triggers.model import StoredTrigger, TriggerScheduler, TriggerState
from email_sender.workflows.triggers.service import TriggerInvocation, TriggerService
from email_sender.workflows.triggers.webhooks import WebhookService, encode_token
from tests.database import Cluster
from tests.functional.workflow_scenario import ANN, BOB, DEFINITION, INPUTS, WorkflowScenario

SENDS: dict[str, Any] = {
    "name": "send",
    "inputs": {"type": "object", "properties": {}},
    "steps": [
        {"id": "draft", "uses": "template.render", "with": {"template": "t", "contact": str(new_id())}},
        {"id": "send", "uses": "email.send", "with": {"draft": "{% $steps.draft.draft_id %}"}, "needs": ["draft"]},
    ],
}
CALLS: dict[str, Any] = {
    "name": "call",
    "inputs": {"type": "object", "properties": {}},
    "steps": [{"id": "call", "uses": "workflow.call", "with": {"workflow": "review", "inputs": INPUTS}}],
}
HOOK: dict[str, Any] = {**DEFINITION, "name": "hook", "triggers": [{"webhook": {}}]}


class People:
    """The roles that people have now."""

    def __init__(self) -> None:
        self.roles: dict[str, Role | None] = {"ann": Role.ADMIN, "bob": Role.USER}
        self.failure: Exception | None = None

    def role_of(self, tenant_id: UUID, subject: str) -> Role | None:
        if self.failure is not None:
            raise self.failure
        return self.roles[subject]


class Attack:
    """A tenant in which Ann is an administrator and Bob a user."""

    def __init__(self, scenario: WorkflowScenario) -> None:
        self.scenario, self.people = scenario, People()
        scheduler = cast("TriggerScheduler", None)  # no rules or schedules are created
        self.triggers = TriggerService(scenario.units, scenario.runs, scheduler, self.people, scenario.clock, new_id)
        units: Any = scenario.units
        without_keys: Any = PostgresWorkflowUnits(scenario.cluster.database("app"), None)
        self.webhooks = WebhookService(
            units, without_keys, self.triggers, scenario.runs, StandardWebhooks(), scenario.clock
        )

    def publish(self, definition: dict[str, Any], actor: Actor) -> Workflow:
        return self.scenario.workflows.create(self.scenario.tenant, new_id(), definition, actor)

    def role_of_run(self, workflow: Workflow, starter: Actor, inputs: dict[str, Any] = INPUTS) -> Role:
        return self.scenario.runs.start(self.scenario.tenant, new_id(), workflow.id, inputs, starter).role

    def webhook(self, workflow: Workflow) -> StoredTrigger:
        (trigger,) = self.triggers.list_for_workflow(self.scenario.tenant, workflow.id)
        with self.scenario.units(self.scenario.tenant) as unit:
            unit.triggers.set_state(trigger.id, trigger.state, TriggerState.ACTIVE, None)
            unit.commit()
        (trigger,) = self.triggers.list_for_workflow(self.scenario.tenant, workflow.id)
        return trigger


@pytest.fixture
def attack(cluster: Cluster, app_role: Database, tenant: UUID) -> Attack:
    scenario = WorkflowScenario(cluster, PostgresWorkflowUnits(app_role, None, cluster.vault(app_role)), tenant)
    scenario.add_templates("t")
    return Attack(scenario)


def test_a_run_has_the_weaker_of_its_starters_and_its_publishers_rights(attack: Attack) -> None:
    of_ann, of_bob = attack.publish(DEFINITION, ANN), attack.publish({**DEFINITION, "name": "bobs"}, BOB)
    assert attack.role_of_run(of_ann, ANN) is Role.ADMIN
    assert attack.role_of_run(of_ann, BOB) is Role.USER
    # Bob cannot have Ann's rights by letting her start what he published.
    assert attack.role_of_run(of_bob, ANN) is Role.USER
    # A new version of Ann's workflow by Bob is Bob's.
    attack.scenario.workflows.update(attack.scenario.tenant, of_ann.id, {**DEFINITION, "description": "x"}, 1, BOB)
    assert attack.role_of_run(of_ann, ANN) is Role.USER


def test_sending_without_an_approval_needs_both_to_be_allowed(attack: Attack) -> None:
    workflow = attack.publish(SENDS, ANN)
    assert attack.role_of_run(workflow, ANN, {}) is Role.ADMIN
    with pytest.raises(Forbidden, match="messaging:send"):
        attack.role_of_run(workflow, BOB, {})
    with pytest.raises(Forbidden, match="messaging:send"):
        attack.publish({**SENDS, "name": "bobs"}, BOB)
    # A version from before the publisher's role was recorded has a user's rights.
    attack.scenario.cluster.execute(
        "update workflow_versions set published_role = null where workflow_id = %s", workflow.id
    )
    with pytest.raises(Forbidden, match="messaging:send"):
        attack.role_of_run(workflow, ANN, {})


def test_a_callee_that_a_user_edited_gets_no_rights_from_its_caller(attack: Attack) -> None:
    attack.publish(DEFINITION, ANN)
    caller = attack.scenario.runs.start(attack.scenario.tenant, new_id(), attack.publish(CALLS, ANN).id, {}, ANN)
    runs, tenant = attack.scenario.runs, attack.scenario.tenant
    assert runs.call(tenant, new_id(), "review", INPUTS, caller.id).role is Role.ADMIN
    callee = attack.scenario.workflows.page(tenant, None, 10).items
    review = next(workflow for workflow in callee if workflow.name == "review")
    attack.scenario.workflows.update(tenant, review.id, {**DEFINITION, "description": "edited"}, 1, BOB)
    assert runs.call(tenant, new_id(), "review", INPUTS, caller.id).role is Role.USER


@pytest.mark.parametrize(
    ("now", "role"), [(Role.ADMIN, Role.ADMIN), (Role.USER, Role.USER), (Role.READONLY, Role.READONLY)]
)
def test_a_trigger_has_the_rights_that_its_publisher_has_now(attack: Attack, now: Role, role: Role) -> None:
    workflow = attack.publish(HOOK, ANN)
    trigger = attack.webhook(workflow)
    attack.people.roles["ann"] = now
    run = attack.triggers.fire(attack.scenario.tenant, trigger.id, TriggerInvocation("one", INPUTS))
    assert run is not None
    assert run.role is role


def test_a_trigger_of_a_person_who_left_starts_nothing(attack: Attack) -> None:
    trigger = attack.webhook(attack.publish(HOOK, ANN))
    attack.people.roles["ann"] = None
    with pytest.raises(Forbidden, match="not a member of the tenant any more"):
        attack.triggers.fire(attack.scenario.tenant, trigger.id, TriggerInvocation("one", INPUTS))
    # It is tried again while nobody can say, and keeps its rights where nobody ever can.
    attack.people.failure = Unavailable("Later.")
    with pytest.raises(Unavailable):
        attack.triggers.fire(attack.scenario.tenant, trigger.id, TriggerInvocation("one", INPUTS))
    attack.people.failure = NotSupported("Another issuer.")
    run = attack.triggers.fire(attack.scenario.tenant, trigger.id, TriggerInvocation("one", INPUTS))
    assert run is not None
    assert run.role is Role.ADMIN


def test_the_secret_of_a_webhook_is_given_only_to_who_has_its_rights(attack: Attack) -> None:
    workflow = attack.publish(HOOK, ANN)
    trigger, tenant = attack.webhook(workflow), attack.scenario.tenant
    with pytest.raises(Forbidden, match="Ask somebody with that role"):
        attack.webhooks.renew_secret(tenant, workflow.id, trigger.id, Role.USER)
    attack.scenario.workflows.update(tenant, workflow.id, {**HOOK, "description": "mine"}, 1, BOB)
    trigger = attack.webhook(workflow)
    assert trigger.role is Role.USER


@pytest.mark.parametrize("compare", [weaker, lambda first, second: weaker(second, first)])
def test_the_weaker_role_has_no_permission_that_the_other_lacks(compare: Callable[[Role, Role], Role]) -> None:
    for first in (Role.READONLY, Role.USER, Role.ADMIN):
        for second in (Role.READONLY, Role.USER, Role.ADMIN):
            assert GRANTS[compare(first, second)] == GRANTS[first] & GRANTS[second]
    with pytest.raises(Forbidden):
        compare(Role.OPERATOR, Role.ADMIN)


def test_nobody_waits_for_an_answer_while_a_webhook_has_many_open_runs(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each caller that waits holds a function: a tenant's slow runs must not take those of others."""
    trigger = {"webhook": {"answer_within": "PT20S"}}
    workflow = attack.publish({**DEFINITION, "triggers": [trigger]}, ANN)
    hook = attack.webhook(workflow)
    token = encode_token(attack.scenario.tenant, hook.id)
    monkeypatch.setattr(webhooks, "_MAX_WAITING", 2)

    def fire(key: str) -> Run:
        run = attack.triggers.fire(attack.scenario.tenant, hook.id, TriggerInvocation(key, INPUTS))
        assert run is not None
        return run

    runs = [fire(f"msg_{number}") for number in range(3)]
    started = time.monotonic()
    assert attack.webhooks.answer(token, runs[-1]).answer is None
    assert time.monotonic() - started < 5
    # With fewer open runs, it waits for the end.
    attack.scenario.runs.end(attack.scenario.tenant, runs[0].id, RunStatus.FAILED)
    attack.scenario.runs.end(attack.scenario.tenant, runs[1].id, RunStatus.FAILED)
    assert attack.webhooks.answer(token, runs[1]).failed
