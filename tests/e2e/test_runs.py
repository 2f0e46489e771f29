"""Runs that call other workflows, resume after a failure, and are found by their id alone."""

from typing import Any
from uuid import uuid4

from tests.conftest import Platform
from tests.e2e import api


def create_workflow(platform: Platform, *step_definitions: api.Json, **extra_fields: Any) -> api.Json:
    definition = {"name": f"runs-{uuid4().hex}", "steps": list(step_definitions), **extra_fields}
    return dict(platform["admin@acme"].post("/workflows", {"definition": definition}))


def execute_workflow(platform: Platform, target: api.Json, **inputs: Any) -> api.Json:
    admin = platform["admin@acme"]
    run = admin.post(f"/workflows/{target['id']}/execute", {"inputs": inputs})
    return api.wait_for_run(admin, run["id"])


def step_results(run: api.Json, step: str) -> list[Any]:
    """Return a step's results in the order of its items; a run lists them in the order in which they started."""
    records = sorted(
        (record for record in run["steps"] if record["step"] == step), key=lambda record: record["item"] or 0
    )
    return [record["result"] for record in records]


def test_a_resumed_run_continues_at_the_failed_step_and_sends_no_mail_again(platform: Platform) -> None:
    admin, late_template = platform["admin@acme"], f"late-{uuid4().hex}"
    contact, template = api.add_contact(admin), api.add_template(admin)["name"]
    resumable_workflow = create_workflow(
        platform,
        {"id": "draft", "uses": "template.render", "with": {"template": template, "contact": contact["id"]}},
        {"id": "send", "uses": "email.send", "needs": ["draft"], "with": {"draft": "{% $steps.draft.draft_id %}"}},
        {"id": "pause", "uses": "wait", "needs": ["send"], "with": {"seconds": 4}},
        {
            "id": "more",
            "uses": "template.render",
            "needs": ["pause"],
            # An expression: a template that is named outright must exist when the workflow is stored.
            "with": {"template": f"{{% '{late_template}' %}}", "contact": contact["id"]},
        },
    )
    failed_run = execute_workflow(platform, resumable_workflow)
    assert (failed_run["status"], failed_run["error"]["step"]) == ("failed", "more")
    api.add_template(admin, name=late_template)
    resumed_run = admin.post(f"/runs/{failed_run['id']}/retry", {"from": "failed"})
    assert resumed_run["resumes"] == failed_run["id"]
    ended_run = api.wait_for_run(admin, resumed_run["id"])
    assert ended_run["status"] == "succeeded", ended_run["error"]
    assert step_results(ended_run, "send") == step_results(failed_run, "send")
    (pause,) = (record for record in ended_run["steps"] if record["step"] == "pause")
    assert pause["status"] == "succeeded"
    (email,) = api.emails_of(admin, failed_run["id"])
    assert len(api.sent_mails(platform, email["id"])) == 1
    assert api.emails_of(admin, ended_run["id"]) == []
    response = admin.http.post(f"/runs/{ended_run['id']}/retry", json={"from": "failed"})
    assert (response.status_code, "no failed step to resume from" in response.json()["detail"]) == (409, True)


def test_a_workflow_calls_another_and_waits_for_it(platform: Platform) -> None:
    admin = platform["admin@acme"]
    inner = create_workflow(
        platform,
        {"id": "pause", "uses": "wait", "with": {"seconds": 2}},
        {
            "id": "check",
            "uses": "transform",
            "needs": ["pause"],
            "with": {"n": "{% $inputs.n > 0 ? $inputs.n : $error('not positive') %}"},
        },
    )
    outer = create_workflow(
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
    run = execute_workflow(platform, outer, numbers=[1, -1, 2])
    assert run["status"] == "succeeded", run["error"]
    called_runs = admin.get(f"/workflows/{inner['id']}/runs")["items"]
    assert {called_run["called_by"] for called_run in called_runs} == {run["id"]}
    assert sorted(called_run["status"] for called_run in called_runs) == ["failed", "succeeded", "succeeded"]
    records_by_item = {record["item"]: record for record in run["steps"] if record["step"] == "each"}
    assert [records_by_item[n]["status"] for n in range(3)] == ["succeeded", "failed", "succeeded"]
    assert records_by_item[1]["error"]["name"] == "rejected"
    assert [result["status"] for result in step_results(run, "each") if result] == ["succeeded", "succeeded"]


def test_a_run_that_fails_on_an_empty_expression_names_the_step_and_the_field(platform: Platform) -> None:
    template = api.add_template(platform["admin@acme"])["name"]
    remind = {"template": template, "contact": "{% $item.contact_id %}"}
    workflow = create_workflow(
        platform, {"id": "remind", "uses": "template.render", "for_each": "{% $inputs.people %}", "with": remind}
    )
    run = execute_workflow(platform, workflow, people=[{"name": "Ann"}])
    assert run["error"] == {
        "step": "remind",
        "name": "expression",
        "message": "Step remind, with.contact: $item.contact_id is empty.",
    }


def test_a_long_running_job_is_found_by_its_id_alone(platform: Platform) -> None:
    admin, readonly, stranger = platform["admin@acme"], platform["readonly@acme"], platform["admin@globex"]
    run = execute_workflow(platform, create_workflow(platform, {"id": "one", "uses": "transform", "with": {}}))
    job = readonly.get(f"/jobs/{run['id']}")
    assert (job["kind"], job["status"], job["path"]) == ("run", "succeeded", f"/api/v1/runs/{run['id']}")
    upload = admin.post("/vectors/imports", {"file_name": "a.mbox", "size_bytes": 3})
    assert readonly.get(f"/jobs/{upload['job_id']}")["kind"] == "mailbox import"
    for name in (run["id"], upload["job_id"], str(uuid4())):
        assert stranger.http.get(f"/jobs/{name}").status_code == 404
