"""What people see of a workflow: its picture, its versions, and a run that is started again."""

from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

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
    newest = admin.post(f"/runs/{run['id']}/retry", {"version": "newest"})
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
