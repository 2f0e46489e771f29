"""Views of a workflow: its graph, its versions, and a retried run; and workflows imported from n8n."""

from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

from tests.conftest import Platform
from tests.e2e import api


def sample_definition(value: str) -> dict[str, Any]:
    return {
        "name": f"views-{uuid4().hex}",
        "steps": [
            {"id": "one", "uses": "transform", "with": {"value": value}},
            {"id": "never", "uses": "transform", "needs": ["one"], "when": "{% false %}", "with": {}},
            {"id": "number", "uses": "transform", "needs": ["one"], "with": {"n": "{% $number($steps.one.value) %}"}},
        ],
    }


def test_a_workflow_is_drawn_compared_and_its_run_retried(platform: Platform) -> None:
    admin = platform["admin@acme"]
    failing_definition = sample_definition("no number")
    workflow = admin.post("/workflows", {"definition": failing_definition})
    run = admin.post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})
    assert api.wait_for_run(admin, run["id"])["status"] == "failed"

    picture = admin.http.get(f"/workflows/{workflow['id']}/graph", params={"run": run["id"]}).raise_for_status()
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert "default-src 'none'" in picture.headers["content-security-policy"]
    assert (
        ElementTree.fromstring(picture.text).findtext("{http://www.w3.org/2000/svg}title") == failing_definition["name"]
    )
    text = admin.http.get(f"/workflows/{workflow['id']}/graph", params={"format": "mermaid"}).raise_for_status().text
    assert text.startswith("flowchart TD\n")

    working_definition = {
        **failing_definition,
        "steps": [{**failing_definition["steps"][0], "with": {"value": "7"}}, *failing_definition["steps"][1:]],
    }
    admin.put(f"/workflows/{workflow['id']}", {"definition": working_definition})
    versions = admin.get(f"/workflows/{workflow['id']}/versions")["items"]
    assert [version["version"] for version in versions] == [2, 1]
    diff = admin.get(f"/workflows/{workflow['id']}/diff", before=1, after=2)
    assert (diff["added"], diff["removed"], diff["changed"]) == ([], [], {"one": ["with"]})
    assert '+        "value": "7"' in diff["text"]

    same_version_run = admin.post(f"/runs/{run['id']}/retry", {})
    assert api.wait_for_run(admin, same_version_run["id"])["status"] == "failed"
    newest_run = admin.post(f"/runs/{run['id']}/retry", {"version": "latest"})
    ended_run = api.wait_for_run(admin, newest_run["id"])
    assert (ended_run["status"], ended_run["version"]) == ("succeeded", 2)
    coloured_graph = admin.http.get(
        f"/workflows/{workflow['id']}/graph", params={"format": "mermaid", "run": newest_run["id"]}
    ).text
    assert "class s1 skipped" in coloured_graph
    assert "class s0,s2 succeeded" in coloured_graph

    stranger = platform["admin@globex"]
    for path in ("graph", "versions", "diff?before=1&after=2"):
        assert stranger.http.get(f"/workflows/{workflow['id']}/{path}").status_code == 404
    assert stranger.http.post(f"/runs/{run['id']}/retry", json={}).status_code == 404
    assert admin.http.get(f"/workflows/{workflow['id']}/graph", params={"format": "png"}).status_code in (400, 422)
    assert platform["readonly@acme"].http.post(f"/runs/{run['id']}/retry", json={}).status_code == 403


def test_an_n8n_workflow_is_imported_stored_and_run(platform: Platform) -> None:
    user = platform["admin@acme"]
    test = {"number": [{"value1": "={{ $json.body.age }}", "operation": "larger", "value2": 17}]}
    edit = {
        "assignments": {"assignments": [{"name": "hello", "value": "=Dear {{ $json.body.name }}", "type": "string"}]}
    }
    code = "return [{hello: $input.first().json.hello, letters: $('Hook').first().json.body.name.length}]"
    export = {
        "name": f"n8n-{uuid4().hex}",
        "nodes": [
            {"name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": {}},
            {"name": "Adult?", "type": "n8n-nodes-base.if", "typeVersion": 1, "parameters": {"conditions": test}},
            {"name": "Greet", "type": "n8n-nodes-base.set", "typeVersion": 3.4, "parameters": edit},
            {"name": "Count", "type": "n8n-nodes-base.code", "typeVersion": 2, "parameters": {"jsCode": code}},
            {"name": "Mail", "type": "n8n-nodes-base.redis", "parameters": {}},
        ],
        "connections": {
            "Hook": {"main": [[{"node": "Adult?", "index": 0}]]},
            "Adult?": {"main": [[{"node": "Greet", "index": 0}], [{"node": "Mail", "index": 0}]]},
            "Greet": {"main": [[{"node": "Count", "index": 0}]]},
        },
        "settings": {"executionOrder": "v1"},
    }
    response = user.post("/workflows/import", {"workflow": export})
    conversions = {node_report["node"]: node_report["how"] for node_report in response["report"]}
    exact = dict.fromkeys(("Adult?", "Greet", "Count"), "exact")
    assert conversions == {"Hook": "approximated", **exact, "Mail": "unsupported"}
    workflow = user.post("/workflows", {"definition": response["definition"]})
    run = user.post(f"/workflows/{workflow['id']}/execute", {"inputs": {"name": "Ada", "age": 36}})
    ended_run = api.wait_for_run(user, run["id"])
    assert ended_run["status"] == "succeeded", ended_run["error"]
    steps = {step["step"]: step["result"] for step in user.get(f"/runs/{run['id']}")["steps"]}
    assert steps["adult"]["items"]["count_0"] == [{"hello": "Dear Ada", "letters": 3}]
    # The branch with the unsupported node fails and names its step.
    run = user.post(f"/workflows/{workflow['id']}/execute", {"inputs": {"name": "Bob", "age": 7}})
    ended_run = api.wait_for_run(user, run["id"])
    assert (ended_run["status"], ended_run["error"]["step"]) == ("failed", "mail")

    invalid_exports: list[Any] = [{}, {"nodes": []}, {"nodes": [3]}, {"nodes": [{"name": 1, "type": "b"}]}]
    for invalid_export in invalid_exports:
        refusal = user.http.post("/workflows/import", json={"workflow": invalid_export})
        assert (refusal.status_code, refusal.json()["code"]) == (422, "invalid_input")
