"""Settings of the deployed template: what an operator changes is what functions do, and a bad change is nothing."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from email_sender.kit.live_settings import KEPT_SECONDS
from local.client import wait_until
from tests.conftest import TEXT_MODEL_PORT, Platform
from tests.e2e import steps
from tests.e2e.killing import new_sandboxes
from tests.fakes.text_model import serving

NAME = "/email-sender/local/settings"
N8N = {
    "name": "n",
    "nodes": [{"name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": {}}],
    "connections": {},
}


class Operator:
    def __init__(self, platform: Platform) -> None:
        self._http = platform["operator@platform"].http

    def now(self) -> tuple[str, steps.Json]:
        answer = self._http.get("/config")
        assert answer.status_code == 200, answer.text
        return answer.headers["etag"], answer.json()

    def put(self, document: Any, version: str | None) -> httpx.Response:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = {"content-type": "application/json"} | ({"if-match": version} if version else {})
        return self._http.put("/config", content=content, headers=headers)

    def change(self, **sections: Any) -> steps.Json:
        version, seen = self.now()
        answer = self.put(seen["settings"] | sections, version)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def post(self, path: str, body: Any) -> httpx.Response:
        return self._http.post(path, json=body)

    def history(self) -> list[steps.Json]:
        return list(self._http.get("/config/history").json()["items"])


@pytest.fixture
def operator(platform: Platform) -> Iterator[Operator]:
    """With the defaults before and after."""
    one = Operator(platform)
    yield one
    version, seen = one.now()
    assert one.put({}, version).status_code == 200
    if seen["settings"] != one.now()[1]["settings"]:
        # New sandboxes read it at once.
        new_sandboxes(platform)


def off_for(platform: Platform, username: str, *features: str) -> steps.Json:
    tenant = next(user.tenant_id for user in platform.users if user.username == username)
    return {each: {"tenants": {tenant: False}} for each in features}


def imported(platform: Platform, username: str) -> int:
    return platform[username].http.post("/workflows/import", json={"workflow": N8N}).status_code


def generated(platform: Platform, username: str) -> steps.Json:
    """What became of a step that asks the model."""
    client = platform[username]
    step = {"id": "write", "uses": "ai.generate", "with": {"prompt": "Say something."}, "on_error": "continue"}
    run = steps.start(client, {"name": f"g-{uuid4().hex}", "steps": [step]})
    found = steps.wait_run(client, run["id"])
    return next(each for each in found["steps"] if each["step"] == "write")


def test_a_feature_that_is_off_for_a_tenant_is_off_for_it_alone_and_comes_back(
    platform: Platform, operator: Operator
) -> None:
    assert imported(platform, "user@acme") == imported(platform, "user@globex") == 200
    before = operator.change(notifications={"quiet_minutes": 14})["version"]
    changed = operator.change(features=off_for(platform, "user@acme", "n8n_import", "ai_generate"))
    started = time.monotonic()
    wait_until(lambda: imported(platform, "user@acme"), lambda status: status == 403, KEPT_SECONDS + 5)
    assert time.monotonic() - started < KEPT_SECONDS + 4
    refused = platform["user@acme"].http.post("/workflows/import", json={"workflow": N8N}).json()
    assert refused["code"] == "forbidden"
    assert "n8n_import" in refused["detail"]
    assert imported(platform, "user@globex") == 200
    with serving(lambda _: "something", TEXT_MODEL_PORT) as model:
        mine = wait_until(lambda: generated(platform, "user@acme"), lambda step: step["status"] == "failed", 30)
        assert mine["error"] == {
            "name": "forbidden", "message": "The feature ai_generate is not enabled for this tenant.",
        }  # fmt: skip
        asked = len(model.asked)
        assert generated(platform, "user@globex")["status"] == "succeeded"
        assert len(model.asked) == asked + 1
        brought = operator.post("/config/rollback", {"version": before})
        assert brought.status_code == 200, brought.text
        assert brought.json()["version"] == changed["version"] + 1
        new_sandboxes(platform)
        wait_until(lambda: imported(platform, "user@acme"), lambda status: status == 200, KEPT_SECONDS + 5)
        wait_until(lambda: generated(platform, "user@acme")["status"], lambda status: status == "succeeded", 30)
    newest = operator.history()[0]
    assert (newest["again"], newest["valid"]) == (before, True)
    assert sorted(newest["changed"])[0].startswith("/features/ai_generate/tenants")


BAD: list[tuple[Any, int, str]] = [
    ({"notifications": {"max_an_hour": "many"}}, 422, "/notifications/max_an_hour"),
    ({"health": {"outbox_late_seconds": 10**30}}, 422, "/health/outbox_late_seconds"),
    ({"features": {"unheard_of": {}}}, 422, "/features/unheard_of"),
    ({"smtp_password": "hunter2"}, 422, "/smtp_password"),
    (b'{"health": {}, "health": {"outbox_late_seconds": 600}}', 422, ""),
    (b'{"notifications": {"max_an_hour": NaN}}', 400, ""),
    ("{}".encode("utf-16"), 400, ""),
    (b"[" * 100_000, 400, ""),
    (b"no json", 400, ""),
    (b"", 400, ""),
    ([], 422, ""),
    (None, 422, ""),
]


def test_a_bad_change_is_refused_with_its_place_and_changes_nothing(platform: Platform, operator: Operator) -> None:
    version, before = operator.now()
    for document, status, pointer in BAD:
        refused = operator.put(document, version)
        assert refused.status_code == status, (document, refused.text)
        assert refused.headers["content-type"] == "application/problem+json"
        if status == 422:
            assert [each["pointer"] for each in refused.json()["errors"]] == [pointer]
        assert "hunter2" not in refused.text
    without = operator.put({}, None)
    assert (without.status_code, without.json()["errors"][0]["pointer"]) == (422, "header:if-match")
    stale = operator.put({"notifications": {"max_an_hour": 5}}, '"99"')
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    assert operator.put({}, "never").status_code == 422
    for unknown, code in (({"version": 99}, 404), ({"version": 0}, 422), ({"version": "1"}, 422), ({}, 422)):
        assert operator.post("/config/rollback", unknown).status_code == code
    assert operator.now() == (version, before)


def test_a_document_is_tried_without_being_stored(platform: Platform, operator: Operator) -> None:
    version, _ = operator.now()
    tried = operator.post("/config/validate", {"failed_events": {"parked_after": 5}})
    assert tried.status_code == 200
    assert tried.json()["settings"]["failed_events"] == {
        "parked_after": 5, "kept_days": 90, "redriven_kept_days": 30,
    }  # fmt: skip
    assert operator.post("/config/validate", {"failed_events": {"parked_after": 0}}).status_code == 422
    assert operator.now()[0] == version


def test_a_change_is_in_the_audit_log_and_so_is_one_past_us(platform: Platform, operator: Operator) -> None:
    changed = operator.change(failed_events={"parked_after": 4})
    log = platform["operator@platform"]
    (entry,) = (
        each for each in log.get("/audit")["items"]
        if each["object"] == "settings" and each["details"]["version"] == changed["version"]
    )  # fmt: skip
    assert entry["action"] == "config.change"
    assert "/failed_events/parked_after" in entry["details"]["changed"]
    assert operator.history()[0]["by"] == entry["subject"]
    # By hand, and wrong: no function takes it, and the manager says so.
    platform.aws("ssm").put_parameter(Name=NAME, Value='{"health": 5}', Type="String", Overwrite=True)
    seen = wait_until(lambda: log.get("/managers/config-manager/status"), lambda each: each["status"] == "degraded", 10)
    assert "/health" in seen["reason"]
    version, now = operator.now()
    assert [each["pointer"] for each in now["problems"]] == ["/health"]
    assert imported(platform, "user@acme") == 200
    # Its clock rings every minute; nobody has to wait for that here.
    platform.aws("lambda").invoke(FunctionName=platform.function("ObserveFunction"), Payload=b"{}")
    told = [each for each in log.get("/audit")["items"] if each["details"].get("version") == now["version"]]
    assert told[0]["subject"] != entry["subject"]
    assert told[0]["details"]["valid"] is False
    assert operator.put({}, version).status_code == 200
    seen = wait_until(lambda: log.get("/managers/config-manager/status"), lambda each: each["status"] == "running", 10)
    assert seen["figures"]["settings_version"] == now["version"] + 1
    assert seen["figures"]["features"] == 3
