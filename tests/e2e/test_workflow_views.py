"""What people see of a workflow: its picture, its versions, and a run that is started again."""

from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

from local.client import wait_until
from tests.conftest import Platform
from tests.e2e import steps


def definition(value: str) -> dict[str, Any]:
    return {
        "name": f"views-{uuid4().hex}",
        "steps": [
            {"id": "one", "uses": "transform", "with": {"value": value}},
            {"id": "never", "uses": "transform", "needs": ["one"], "when": "{% false %}", "with": {}},
            {"id": "number", "uses": "transform", "needs": ["one"], "with": {"n": "{% $number($steps.one.value) %}"}},
        ],
    }


def test_a_workflow_is_drawn_compared_and_run_again(platform: Platform) -> None:
    admin = platform["admin@acme"]
    bad = definition("no number")
    workflow = admin.post("/workflows", {"definition": bad})
    run = admin.post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})
    assert steps.wait_run(admin, run["id"])["status"] == "failed"

    picture = admin.http.get(f"/workflows/{workflow['id']}/graph", params={"run": run["id"]}).raise_for_status()
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert "default-src 'none'" in picture.headers["content-security-policy"]
    assert ElementTree.fromstring(picture.text).findtext("{http://www.w3.org/2000/svg}title") == bad["name"]
    text = admin.http.get(f"/workflows/{workflow['id']}/graph", params={"format": "mermaid"}).raise_for_status().text
    assert text.startswith("flowchart TD\n")

    good = {**bad, "steps": [{**bad["steps"][0], "with": {"value": "7"}}, *bad["steps"][1:]]}
    admin.put(f"/workflows/{workflow['id']}", {"definition": good})
    versions = admin.get(f"/workflows/{workflow['id']}/versions")["items"]
    assert [each["version"] for each in versions] == [2, 1]
    diff = admin.get(f"/workflows/{workflow['id']}/diff", before=1, after=2)
    assert (diff["added"], diff["removed"], diff["changed"]) == ([], [], {"one": ["with"]})
    assert '+        "value": "7"' in diff["text"]

    same = admin.post(f"/runs/{run['id']}/retry", {})
    assert steps.wait_run(admin, same["id"])["status"] == "failed"
    newest = admin.post(f"/runs/{run['id']}/retry", {"version": "latest"})
    ended = steps.wait_run(admin, newest["id"])
    assert (ended["status"], ended["version"]) == ("succeeded", 2)
    coloured = admin.http.get(
        f"/workflows/{workflow['id']}/graph", params={"format": "mermaid", "run": newest["id"]}
    ).text
    assert "class s1 skipped" in coloured
    assert "class s0,s2 succeeded" in coloured

    stranger = platform["admin@globex"]
    for path in ("graph", "versions", "diff?before=1&after=2"):
        assert stranger.http.get(f"/workflows/{workflow['id']}/{path}").status_code == 404
    assert stranger.http.post(f"/runs/{run['id']}/retry", json={}).status_code == 404
    assert admin.http.get(f"/workflows/{workflow['id']}/graph", params={"format": "png"}).status_code in (400, 422)
    assert platform["readonly@acme"].http.post(f"/runs/{run['id']}/retry", json={}).status_code == 403


def test_a_workflow_of_n8n_is_imported_stored_and_run(platform: Platform) -> None:
    user = platform["admin@acme"]
    test = {"number": [{"value1": "={{ $json.body.age }}", "operation": "larger", "value2": 17}]}
    edit = {
        "assignments": {"assignments": [{"name": "hello", "value": "=Dear {{ $json.body.name }}", "type": "string"}]}
    }
    export = {
        "name": f"n8n-{uuid4().hex}",
        "nodes": [
            {"name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": {}},
            {"name": "Adult?", "type": "n8n-nodes-base.if", "parameters": {"conditions": test}},
            {"name": "Greet", "type": "n8n-nodes-base.set", "parameters": edit},
            {"name": "Mail", "type": "n8n-nodes-base.gmail", "parameters": {}},
        ],
        "connections": {
            "Hook": {"main": [[{"node": "Adult?", "index": 0}]]},
            "Adult?": {"main": [[{"node": "Greet", "index": 0}], [{"node": "Mail", "index": 0}]]},
        },
    }
    answer = user.post("/workflows/import", {"workflow": export})
    found = {each["node"]: each["how"] for each in answer["report"]}
    assert found == {"Hook": "approximated", "Adult?": "exact", "Greet": "exact", "Mail": "unsupported"}
    # The result of a transform is in no step's record: a published event shows it.
    kind = f"Greeted{uuid4().hex}"
    event = {"type": kind, "data": {"first": "{% $steps.greet.items[0].hello %}"}}
    told = {"id": "tell", "uses": "event.publish", "needs": ["greet"], "with": event}
    definition = {**answer["definition"], "steps": [*answer["definition"]["steps"], told]}
    workflow = user.post("/workflows", {"definition": definition})
    run = user.post(f"/workflows/{workflow['id']}/execute", {"inputs": {"name": "Ada", "age": 36}})
    assert steps.wait_run(user, run["id"])["status"] == "succeeded"
    events = wait_until(lambda: user.get("/events", type=kind)["items"], bool, 30)
    assert events[0]["payload"]["data"] == {"first": "Dear Ada"}
    # Whom the other way is meant for, it fails by name.
    run = user.post(f"/workflows/{workflow['id']}/execute", {"inputs": {"name": "Bob", "age": 7}})
    ended = steps.wait_run(user, run["id"])
    assert (ended["status"], ended["error"]["step"]) == ("failed", "mail")

    odd_ones: list[Any] = [{}, {"nodes": []}, {"nodes": [3]}, {"nodes": [{"name": "a", "type": "b"}] * 2}]
    for odd in odd_ones:
        refused = user.http.post("/workflows/import", json={"workflow": odd})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
