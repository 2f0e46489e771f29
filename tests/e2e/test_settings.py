"""Settings of the deployed template: functions follow an operator's changes, and an invalid change has no effect."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from email_sender.kit.live_settings import MAX_AGE_SECONDS
from local.client import wait_until
from tests.conftest import TEXT_MODEL_PORT, Platform
from tests.e2e import api
from tests.e2e.process_kills import restart_execution_environments
from tests.fakes.text_model import serve_text_model

pytestmark = [pytest.mark.kills]

NAME = "/email-sender/local/settings"
N8N = {
    "name": "n",
    "nodes": [{"name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": {}}],
    "connections": {},
}


class OperatorClient:
    def __init__(self, platform: Platform) -> None:
        self._http = platform["operator@platform"].http

    def read_config(self) -> tuple[str, api.Json]:
        response = self._http.get("/config")
        assert response.status_code == 200, response.text
        return response.headers["etag"], response.json()

    def put(self, document: Any, version: str | None) -> httpx.Response:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = {"content-type": "application/json"} | ({"if-match": version} if version else {})
        return self._http.put("/config", content=content, headers=headers)

    def change(self, **sections: Any) -> api.Json:
        version, config = self.read_config()
        response = self.put(config["settings"] | sections, version)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def post(self, path: str, body: Any) -> httpx.Response:
        return self._http.post(path, json=body)

    def history(self) -> list[api.Json]:
        return list(self._http.get("/config/history").json()["items"])


@pytest.fixture
def operator(platform: Platform) -> Iterator[OperatorClient]:
    """Return an operator's client, and restore the default settings after the test."""
    client = OperatorClient(platform)
    yield client
    version, config = client.read_config()
    assert client.put({}, version).status_code == 200
    if config["settings"] != client.read_config()[1]["settings"]:
        # New execution environments read the settings at once.
        restart_execution_environments(platform)


def disabled_features(platform: Platform, username: str, *features: str) -> api.Json:
    tenant = next(user.tenant_id for user in platform.users if user.username == username)
    return {feature: {"tenants": {tenant: False}} for feature in features}


def import_status(platform: Platform, username: str) -> int:
    return platform[username].http.post("/workflows/import", json={"workflow": N8N}).status_code


def run_generation_step(platform: Platform, username: str) -> api.Json:
    """Run a workflow with one step that calls the text model, and return the record of the step."""
    client = platform[username]
    step = {"id": "write", "uses": "ai.generate", "with": {"prompt": "Say something."}, "on_error": "continue"}
    run = api.start_run(client, {"name": f"g-{uuid4().hex}", "steps": [step]})
    ended_run = api.wait_for_run(client, run["id"])
    return next(record for record in ended_run["steps"] if record["step"] == "write")


def test_a_feature_disabled_for_one_tenant_is_off_for_that_tenant_only_until_rollback(
    platform: Platform, operator: OperatorClient
) -> None:
    assert import_status(platform, "user@acme") == import_status(platform, "user@globex") == 200
    before = operator.change(notifications={"quiet_minutes": 14})["version"]
    changed_config = operator.change(features=disabled_features(platform, "user@acme", "n8n_import", "ai_generate"))
    started_at = time.monotonic()
    wait_until(lambda: import_status(platform, "user@acme"), lambda status: status == 403, MAX_AGE_SECONDS + 5)
    assert time.monotonic() - started_at < MAX_AGE_SECONDS + 4
    # Another execution environment may have read the settings just before they changed.
    time.sleep(max(0.0, started_at + MAX_AGE_SECONDS - time.monotonic()))
    problem = platform["user@acme"].http.post("/workflows/import", json={"workflow": N8N}).json()
    assert problem["code"] == "forbidden"
    assert "n8n_import" in problem["detail"]
    assert import_status(platform, "user@globex") == 200
    with serve_text_model(lambda _: "something", TEXT_MODEL_PORT) as model:
        failed_step = wait_until(
            lambda: run_generation_step(platform, "user@acme"), lambda step: step["status"] == "failed", 30
        )
        assert failed_step["error"] == {
            "name": "forbidden", "message": "The feature ai_generate is not enabled for this tenant.",
        }  # fmt: skip
        request_count = len(model.requests)
        assert run_generation_step(platform, "user@globex")["status"] == "succeeded"
        assert len(model.requests) == request_count + 1
        rollback = operator.post("/config/rollback", {"version": before})
        assert rollback.status_code == 200, rollback.text
        assert rollback.json()["version"] == changed_config["version"] + 1
        restart_execution_environments(platform)
        wait_until(lambda: import_status(platform, "user@acme"), lambda status: status == 200, MAX_AGE_SECONDS + 5)
        wait_until(
            lambda: run_generation_step(platform, "user@acme")["status"], lambda status: status == "succeeded", 30
        )
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


def test_an_invalid_change_is_refused_with_a_pointer_and_changes_nothing(
    platform: Platform, operator: OperatorClient
) -> None:
    version, before = operator.read_config()
    for document, status, pointer in BAD:
        response = operator.put(document, version)
        assert response.status_code == status, (document, response.text)
        assert response.headers["content-type"] == "application/problem+json"
        if status == 422:
            assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
        assert "hunter2" not in response.text
    response_without_version = operator.put({}, None)
    assert (response_without_version.status_code, response_without_version.json()["errors"][0]["pointer"]) == (
        422,
        "header:if-match",
    )
    stale_response = operator.put({"notifications": {"max_an_hour": 5}}, '"99"')
    assert (stale_response.status_code, stale_response.json()["code"]) == (409, "conflict")
    assert operator.put({}, "never").status_code == 422
    for rollback_body, code in (({"version": 99}, 404), ({"version": 0}, 422), ({"version": "1"}, 422), ({}, 422)):
        assert operator.post("/config/rollback", rollback_body).status_code == code
    assert operator.read_config() == (version, before)


def test_settings_can_be_validated_without_being_stored(platform: Platform, operator: OperatorClient) -> None:
    version, _ = operator.read_config()
    response = operator.post("/config/validate", {"failed_events": {"parked_after": 5}})
    assert response.status_code == 200
    assert response.json()["settings"]["failed_events"] == {
        "parked_after": 5, "kept_days": 90, "redriven_kept_days": 30,
    }  # fmt: skip
    assert operator.post("/config/validate", {"failed_events": {"parked_after": 0}}).status_code == 422
    assert operator.read_config()[0] == version


def test_a_change_by_the_api_and_one_past_the_api_are_in_the_audit_log(
    platform: Platform, operator: OperatorClient
) -> None:
    changed_config = operator.change(failed_events={"parked_after": 4})
    log = platform["operator@platform"]
    (entry,) = (
        candidate for candidate in log.get("/audit")["items"]
        if candidate["object"] == "settings" and candidate["details"]["version"] == changed_config["version"]
    )  # fmt: skip
    assert entry["action"] == "config.change"
    assert "/failed_events/parked_after" in entry["details"]["changed"]
    assert operator.history()[0]["by"] == entry["subject"]
    # A manual, invalid change: no function applies it, and the manager reports it.
    platform.aws("ssm").put_parameter(Name=NAME, Value='{"health": 5}', Type="String", Overwrite=True)
    record_manager_status = wait_until(
        lambda: log.get("/managers/config-manager/status"), lambda manager: manager["status"] == "degraded", 10
    )
    assert "/health" in record_manager_status["reason"]
    version, config = operator.read_config()
    assert [problem["pointer"] for problem in config["problems"]] == ["/health"]
    assert import_status(platform, "user@acme") == 200
    # Invoke the observer now instead of waiting a minute for its schedule.
    platform.aws("lambda").invoke(FunctionName=platform.function_name("ObserveFunction"), Payload=b"{}")
    audit_entries = [
        candidate
        for candidate in log.get("/audit")["items"]
        if candidate["details"].get("version") == config["version"]
    ]
    assert audit_entries[0]["subject"] != entry["subject"]
    assert audit_entries[0]["details"]["valid"] is False
    assert operator.put({}, version).status_code == 200
    record_manager_status = wait_until(
        lambda: log.get("/managers/config-manager/status"), lambda manager: manager["status"] == "running", 10
    )
    assert record_manager_status["figures"]["settings_version"] == config["version"] + 1
    assert record_manager_status["figures"]["features"] == 3
