"""Runs that call others, go on from where one failed, and are found by their id alone."""

from typing import Any
from uuid import uuid4

from tests.conftest import Platform
from tests.e2e import steps


def workflow(platform: Platform, *listed: steps.Json, **more: Any) -> steps.Json:
    definition = {"name": f"runs-{uuid4().hex}", "steps": list(listed), **more}
    return dict(platform["admin@acme"].post("/workflows", {"definition": definition}))


def executed(platform: Platform, made: steps.Json, **inputs: Any) -> steps.Json:
    admin = platform["admin@acme"]
    run = admin.post(f"/workflows/{made['id']}/execute", {"inputs": inputs})
    return steps.wait_run(admin, run["id"])


def results(run: steps.Json, step: str) -> list[Any]:
    """In the order of the items; a run lists its steps as they began."""
    records = sorted((each for each in run["steps"] if each["step"] == step), key=lambda each: each["item"] or 0)
    return [each["result"] for each in records]


def test_a_run_goes_on_from_the_step_that_failed_and_sends_no_mail_again(platform: Platform) -> None:
    admin, late = platform["admin@acme"], f"late-{uuid4().hex}"
    contact, template = steps.add_contact(admin), steps.add_template(admin)["name"]
    made = workflow(
        platform,
        {"id": "draft", "uses": "template.render", "with": {"template": template, "contact": contact["id"]}},
        {"id": "send", "uses": "email.send", "needs": ["draft"], "with": {"draft": "{% $steps.draft.draft_id %}"}},
        {"id": "pause", "uses": "wait", "needs": ["send"], "with": {"seconds": 4}},
        {
            "id": "more",
            "uses": "template.render",
            "needs": ["pause"],
            "with": {"template": late, "contact": contact["id"]},
        },
    )
    failed = executed(platform, made)
    assert (failed["status"], failed["error"]["step"]) == ("failed", "more")
    steps.add_template(admin, name=late)
    again = admin.post(f"/runs/{failed['id']}/retry", {"from": "failed"})
    assert again["resumes"] == failed["id"]
    found = steps.wait_run(admin, again["id"])
    assert found["status"] == "succeeded", found["error"]
    assert results(found, "send") == results(failed, "send")
    (pause,) = (each for each in found["steps"] if each["step"] == "pause")
    assert pause["status"] == "succeeded"
    (email,) = steps.emails_of(admin, failed["id"])
    assert len(steps.mails_tagged(platform, email["id"])) == 1
    assert steps.emails_of(admin, found["id"]) == []
    refused = admin.http.post(f"/runs/{found['id']}/retry", json={"from": "failed"})
    assert (refused.status_code, "nothing to go on" in refused.json()["detail"]) == (409, True)


def test_a_workflow_calls_another_and_waits_for_it(platform: Platform) -> None:
    admin = platform["admin@acme"]
    inner = workflow(
        platform,
        {"id": "pause", "uses": "wait", "with": {"seconds": 2}},
        {
            "id": "check",
            "uses": "transform",
            "needs": ["pause"],
            "with": {"n": "{% $inputs.n > 0 ? $inputs.n : $error('not positive') %}"},
        },
    )
    outer = workflow(
        platform,
        {
            "id": "each",
            "uses": "workflow.call",
            "for_each": "{% $inputs.numbers %}",
            "on_error": "continue",
            "with": {"workflow": inner["name"], "inputs": {"n": "{% $item %}"}},
        },
        {"id": "last", "uses": "transform", "needs": ["each"], "with": {"all": "{% $steps.each %}"}},
    )
    run = executed(platform, outer, numbers=[1, -1, 2])
    assert run["status"] == "succeeded", run["error"]
    called = admin.get(f"/workflows/{inner['id']}/runs")["items"]
    assert {each["called_by"] for each in called} == {run["id"]}
    assert sorted(each["status"] for each in called) == ["failed", "succeeded", "succeeded"]
    items = {each["item"]: each for each in run["steps"] if each["step"] == "each"}
    assert [items[n]["status"] for n in range(3)] == ["succeeded", "failed", "succeeded"]
    assert items[1]["error"]["name"] == "rejected"
    assert [each["status"] for each in results(run, "each") if each] == ["succeeded", "succeeded"]


def test_what_takes_long_is_found_by_its_id_alone(platform: Platform) -> None:
    admin, readonly, stranger = platform["admin@acme"], platform["readonly@acme"], platform["admin@globex"]
    run = executed(platform, workflow(platform, {"id": "one", "uses": "transform", "with": {}}))
    job = readonly.get(f"/jobs/{run['id']}")
    assert (job["kind"], job["status"], job["path"]) == ("run", "succeeded", f"/api/v1/runs/{run['id']}")
    upload = admin.post("/vectors/imports", {"file_name": "a.mbox", "size_bytes": 3})
    assert readonly.get(f"/jobs/{upload['job_id']}")["kind"] == "mailbox import"
    for name in (run["id"], upload["job_id"], str(uuid4())):
        assert stranger.http.get(f"/jobs/{name}").status_code == 404
