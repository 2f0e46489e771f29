"""Who may send mail: without the permission messaging:send, only an approval allows it."""

import pytest

from local.client import ApiError
from tests.conftest import Platform
from tests.e2e import api


def test_a_user_cannot_store_a_workflow_that_sends_without_an_approval(platform: Platform) -> None:
    template = api.add_template(platform["user@acme"])["name"]
    definition = api.mail_workflow(template, [], approval=False)
    with pytest.raises(ApiError, match="Step send needs messaging:send") as error:
        platform["user@acme"].post("/workflows", {"definition": definition})
    assert error.value.status == 403
    names = [workflow["name"] for workflow in platform["user@acme"].get("/workflows", limit=200)["items"]]
    assert definition["name"] not in names


def test_a_user_cannot_run_an_admins_workflow_that_sends_without_approval(platform: Platform) -> None:
    template = api.add_template(platform["admin@acme"])["name"]
    contact = api.add_contact(platform["admin@acme"])
    definition = api.mail_workflow(template, [contact["id"]], approval=False)
    workflow = platform["admin@acme"].post("/workflows", {"definition": definition})
    with pytest.raises(ApiError) as error:
        platform["user@acme"].post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})
    assert error.value.status == 403


def test_a_user_cannot_approve(platform: Platform) -> None:
    template = api.add_template(platform["user@acme"])["name"]
    contact = api.add_contact(platform["user@acme"])
    run = api.start_run(platform["user@acme"], api.mail_workflow(template, [contact["id"]]))
    approval = api.wait_for_approval(platform["admin@acme"], run["id"])
    with pytest.raises(ApiError) as error:
        platform["user@acme"].post(f"/approvals/{approval['id']}", {"decision": "approved"})
    assert error.value.status == 403
    with pytest.raises(ApiError) as hidden_error:
        platform["admin@globex"].post(f"/approvals/{approval['id']}", {"decision": "approved"})
    assert hidden_error.value.status == 404
    platform["user@acme"].post(f"/runs/{run['id']}/cancel", {})


def test_a_denied_mail_is_not_sent_and_cannot_be_approved_later(platform: Platform) -> None:
    template = api.add_template(platform["user@acme"])["name"]
    contact = api.add_contact(platform["user@acme"])
    run = api.start_run(platform["user@acme"], api.mail_workflow(template, [contact["id"]]))
    denied_approval = api.decide(platform["admin@acme"], run["id"], "denied")
    repeated_approval = platform["admin@acme"].post(f"/approvals/{denied_approval['id']}", {"decision": "denied"})
    assert repeated_approval["decided_at"] == denied_approval["decided_at"]
    with pytest.raises(ApiError) as error:
        platform["admin@acme"].post(f"/approvals/{denied_approval['id']}", {"decision": "approved"})
    assert error.value.status == 409
    ended_run = api.wait_for_run(platform["user@acme"], run["id"])
    assert ended_run["status"] == "succeeded"
    assert {step["step"]: step["status"] for step in ended_run["steps"]}["send"] == "skipped"
    assert api.emails_of(platform["user@acme"], run["id"]) == []


def test_a_denial_holds_even_if_the_workflow_does_not_check_it(platform: Platform) -> None:
    template = api.add_template(platform["user@acme"])["name"]
    contact = api.add_contact(platform["user@acme"])
    definition = api.mail_workflow(template, [contact["id"]])
    del definition["steps"][-1]["when"]
    run = api.start_run(platform["user@acme"], definition)
    api.decide(platform["admin@acme"], run["id"], "denied")
    ended_run = api.wait_for_run(platform["user@acme"], run["id"])
    assert ended_run["status"] == "failed"
    assert ended_run["error"]["name"] == "forbidden"
    assert "not approved" in ended_run["error"]["message"]
    assert api.emails_of(platform["user@acme"], run["id"]) == []


def test_a_failed_step_has_a_readable_reason(platform: Platform) -> None:
    # An expression: a template that is named outright is checked when the workflow is stored.
    definition = api.mail_workflow("{% 'no-such-template' %}", [api.add_contact(platform["user@acme"])["id"]])
    run = api.start_run(platform["user@acme"], definition)
    ended_run = api.wait_for_run(platform["user@acme"], run["id"])
    assert ended_run["status"] == "failed"
    assert ended_run["error"] == {
        "step": "draft",
        "name": "not_found",
        "message": "Template 'no-such-template' not found.",
    }
    events = api.wait_for_events(platform["user@acme"], run["id"], "run.failed")
    assert events[0]["payload"]["data"]["error"] == "not_found"
