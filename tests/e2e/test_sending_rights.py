"""Who may send, and what: approvals are the only way round messaging:send."""

import pytest

from local.client import ApiError
from tests.conftest import Platform
from tests.e2e import steps


def test_a_user_cannot_store_a_workflow_that_sends_without_an_approval(platform: Platform) -> None:
    template = steps.add_template(platform["user@acme"])["name"]
    definition = steps.letter(template, [], approval=False)
    with pytest.raises(ApiError, match="Step send needs messaging:send") as refused:
        platform["user@acme"].post("/workflows", {"definition": definition})
    assert refused.value.status == 403
    names = [each["name"] for each in platform["user@acme"].get("/workflows", limit=200)["items"]]
    assert definition["name"] not in names


def test_a_user_cannot_run_what_an_admin_stored_without_an_approval(platform: Platform) -> None:
    template = steps.add_template(platform["admin@acme"])["name"]
    contact = steps.add_contact(platform["admin@acme"])
    definition = steps.letter(template, [contact["id"]], approval=False)
    workflow = platform["admin@acme"].post("/workflows", {"definition": definition})
    with pytest.raises(ApiError) as refused:
        platform["user@acme"].post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})
    assert refused.value.status == 403


def test_a_user_cannot_approve(platform: Platform) -> None:
    template = steps.add_template(platform["user@acme"])["name"]
    contact = steps.add_contact(platform["user@acme"])
    run = steps.start(platform["user@acme"], steps.letter(template, [contact["id"]]))
    approval = steps.pending_approval(platform["admin@acme"], run["id"])
    with pytest.raises(ApiError) as refused:
        platform["user@acme"].post(f"/approvals/{approval['id']}", {"decision": "approved"})
    assert refused.value.status == 403
    with pytest.raises(ApiError) as hidden:
        platform["admin@globex"].post(f"/approvals/{approval['id']}", {"decision": "approved"})
    assert hidden.value.status == 404
    platform["user@acme"].post(f"/runs/{run['id']}/cancel", {})


def test_what_is_denied_is_not_sent_and_cannot_be_approved_after(platform: Platform) -> None:
    template = steps.add_template(platform["user@acme"])["name"]
    contact = steps.add_contact(platform["user@acme"])
    run = steps.start(platform["user@acme"], steps.letter(template, [contact["id"]]))
    denied = steps.decide(platform["admin@acme"], run["id"], "denied")
    repeated = platform["admin@acme"].post(f"/approvals/{denied['id']}", {"decision": "denied"})
    assert repeated["decided_at"] == denied["decided_at"]
    with pytest.raises(ApiError) as refused:
        platform["admin@acme"].post(f"/approvals/{denied['id']}", {"decision": "approved"})
    assert refused.value.status == 409
    ended = steps.wait_run(platform["user@acme"], run["id"])
    assert ended["status"] == "succeeded"
    assert {step["step"]: step["status"] for step in ended["steps"]}["send"] == "skipped"
    assert steps.emails_of(platform["user@acme"], run["id"]) == []


def test_a_denial_holds_even_where_the_workflow_forgets_to_look(platform: Platform) -> None:
    template = steps.add_template(platform["user@acme"])["name"]
    contact = steps.add_contact(platform["user@acme"])
    definition = steps.letter(template, [contact["id"]])
    del definition["steps"][-1]["when"]
    run = steps.start(platform["user@acme"], definition)
    steps.decide(platform["admin@acme"], run["id"], "denied")
    ended = steps.wait_run(platform["user@acme"], run["id"])
    assert ended["status"] == "failed"
    assert ended["error"]["name"] == "forbidden"
    assert "not approved" in ended["error"]["message"]
    assert steps.emails_of(platform["user@acme"], run["id"]) == []


def test_a_failed_step_says_why_in_words(platform: Platform) -> None:
    definition = steps.letter("no-such-template", [steps.add_contact(platform["user@acme"])["id"]])
    run = steps.start(platform["user@acme"], definition)
    ended = steps.wait_run(platform["user@acme"], run["id"])
    assert ended["status"] == "failed"
    assert ended["error"] == {
        "step": "draft",
        "name": "not_found",
        "message": "There is no template 'no-such-template'.",
    }
    events = steps.events_of(platform["user@acme"], run["id"], "run.failed")
    assert events[0]["payload"]["data"]["error"] == "not_found"
