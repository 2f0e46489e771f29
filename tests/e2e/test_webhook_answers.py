"""Workflows that answer the caller of their webhook, on the deployed template."""

import time
from typing import Any
from uuid import uuid4

from local.client import wait_until
from tests.conftest import Platform
from tests.e2e import api
from tests.e2e.webhook_client import WebhookClient, publish_workflow

ANSWER = {
    "id": "answer",
    "uses": "webhook.answer",
    "with": {"status": 201, "headers": {"X-Who": "{% $inputs.name %}"}, "body": {"hello": "{% $inputs.name %}"}},
}


def client_of(platform: Platform, steps: list[dict[str, Any]], seconds: int = 20) -> WebhookClient:
    client, trigger = platform["user@acme"], {"webhook": {"answer_within": f"PT{seconds}S"}}
    return WebhookClient(platform, client, publish_workflow(client, trigger, steps=steps))


def test_a_caller_gets_the_answer_of_the_run_and_the_same_again(platform: Platform) -> None:
    last = {"id": "last", "uses": "wait", "with": {"seconds": 30}, "needs": ["answer"]}
    caller = client_of(platform, [ANSWER, last])
    started = time.monotonic()
    responses = [caller.post({"name": "Ann"}, "msg_1") for _ in range(2)]
    assert time.monotonic() - started < 20, "it does not wait for the end of the run"
    for response in responses:
        assert (response.status_code, response.json()) == (201, {"hello": "Ann"})
        assert response.headers["x-who"] == "Ann"
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        # A page that a workflow makes has no rights at the platform's address.
        assert response.headers["content-security-policy"] == "sandbox"
        assert response.headers["x-content-type-options"] == "nosniff"
    (run,) = caller.client.get(f"/workflows/{caller.workflow['id']}/runs")["items"]
    caller.client.post(f"/runs/{run['id']}/cancel", {})


def test_without_an_answer_in_time_the_caller_gets_the_run(platform: Platform) -> None:
    caller = client_of(platform, [{"id": "w", "uses": "wait", "with": {"seconds": 20}}], seconds=1)
    response = caller.post({})
    assert response.status_code == 202
    assert response.json()["status"] in ("pending", "running")
    caller.client.post(f"/runs/{response.json()['run_id']}/cancel", {})


def test_a_run_that_fails_or_ends_without_an_answer_says_so(platform: Platform) -> None:
    failing = {"id": "fail", "uses": "transform", "with": {"x": '{% $error("no") %}'}}
    response = client_of(platform, [failing]).post({})
    assert (response.status_code, response.json()["status"]) == (500, "failed")
    silent = client_of(platform, [{"id": "note", "uses": "transform", "with": {}}]).post({})
    assert (silent.status_code, silent.json()["status"]) == (202, "succeeded")


def test_an_answer_has_no_headers_of_the_platform(platform: Platform) -> None:
    for headers in ({"Set-Cookie": "a=1"}, {"Access-Control-Allow-Origin": "*"}, {"X-Fine": "a\nb"}):
        step = {"id": "answer", "uses": "webhook.answer", "with": {"headers": headers}}
        response = client_of(platform, [step]).post({})
        assert response.status_code == 500
        assert "set-cookie" not in response.headers


def test_an_imported_workflow_answers_as_in_n8n(platform: Platform) -> None:
    hook = {"name": "Hook", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "parameters": {
        "httpMethod": "POST", "path": "x", "responseMode": "responseNode"}}  # fmt: skip
    respond = {"name": "Respond", "type": "n8n-nodes-base.respondToWebhook", "typeVersion": 1.1, "parameters": {
        "respondWith": "text", "responseBody": "=<p>Dear {{ $json.body.name }} \U0001f600</p>",
        "options": {"responseCode": 203}}}  # fmt: skip
    edges = {"Hook": {"main": [[{"node": "Respond", "type": "main", "index": 0}]]}}
    workflow = {"name": f"answers-{uuid4().hex}", "nodes": [hook, respond], "connections": edges, "settings": {}}
    client = platform["user@acme"]
    imported = client.post("/workflows/import", {"workflow": workflow})
    stored = client.post("/workflows", {"definition": imported["definition"]})
    caller = WebhookClient(platform, client, stored)
    response = caller.send(params={"secret": caller.secret}, json={"name": "Ann"})
    assert (response.status_code, response.text) == (203, "<p>Dear Ann \U0001f600</p>")
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_a_reader_gets_the_items_that_steps_stored(platform: Platform) -> None:
    hook = {"name": "Hook", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "parameters": {"httpMethod": "POST"}}
    code = "return Array.from({length: 500}, (_, n) => ({json: {n, of: $json.body.name}}))"
    make = {"name": "Make", "type": "n8n-nodes-base.code", "typeVersion": 2, "parameters": {"jsCode": code}}
    edges = {"Hook": {"main": [[{"node": "Make", "type": "main", "index": 0}]]}}
    workflow = {"name": f"many-{uuid4().hex}", "nodes": [hook, make], "connections": edges, "settings": {}}
    client = platform["user@acme"]
    definition = client.post("/workflows/import", {"workflow": workflow})["definition"]
    caller = WebhookClient(platform, client, client.post("/workflows", {"definition": definition}))
    secret = {"secret": caller.secret}
    run = caller.send(params=secret, json={"name": "Ann"}).json()["run_id"]
    result = wait_until(
        lambda: caller.send("GET", f"/runs/{run}", params=secret).json(),
        lambda current: current["status"] in api.ENDED,
        30,
    )
    items = result["steps"]["make"]["items"]["make_0"]
    assert len(items) == 500
    assert items[-1] == {"n": 499, "of": "Ann"}
