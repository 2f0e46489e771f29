"""http.request on the deployed template: which addresses it refuses, and how it reports errors.

This machine has no public address. Successful requests are tested against real servers in
tests/unit/adapters/web/test_outbound_http.py.
"""

from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import Platform
from tests.e2e import api


def run_failing_request(platform: Platform, action: str = "http.request", **request: Any) -> api.Json:
    admin = platform["admin@acme"]
    definition = {
        "name": f"http-{uuid4().hex}",
        "steps": [{"id": "ask", "uses": action, "with": request, "on_error": "continue"}],
    }
    workflow = admin.post("/workflows", {"definition": definition})
    run = admin.post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})
    ended_run = api.wait_for_run(admin, run["id"])
    assert ended_run["status"] == "succeeded"
    (step,) = (record for record in ended_run["steps"] if record["step"] == "ask")
    assert step["status"] == "failed"
    return dict(step["error"])


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/meta-data/", "http://localhost:1/", "http://[::1]/", "https://10.1.2.3/"]
)
def test_internal_addresses_are_not_reached(platform: Platform, url: str) -> None:
    error = run_failing_request(platform, url=url)
    assert error["name"] == "forbidden"
    assert "not a public address" in error["message"]


def test_a_request_with_a_callback_url_reaches_no_internal_address_and_is_not_waited_for(platform: Platform) -> None:
    error = run_failing_request(platform, "http.wait_for_callback", url="https://10.1.2.3/", timeout="PT1H")
    assert error["name"] == "forbidden"
    answer = {"result": 1}
    for token in ("x", "A" * 86):
        refusal = platform["admin@acme"].http.post(f"/hooks/callbacks/{token}", json=answer)
        assert (refusal.status_code, "signature" in refusal.json()["detail"]) == (401, True)
    for body in ({}, {"result": 1, "error": "both"}, {"error": ""}, {"more": 1}):
        assert platform["admin@acme"].http.post("/hooks/callbacks/x", json=body).status_code == 422


def test_a_missing_secret_is_named_and_nothing_is_sent(platform: Platform) -> None:
    error = run_failing_request(platform, url="https://10.1.2.3/", secret_headers={"authorization": "crm-key"})
    assert error == {"name": "not_found", "message": "The secret crm-key does not exist."}


def test_invalid_requests_are_named(platform: Platform) -> None:
    assert run_failing_request(platform, url="ftp://example.com/")["name"] == "invalid"
    assert run_failing_request(platform, url="https://10.1.2.3/", headers={"host": "inside"})["name"] == "invalid"
    timeout_error = run_failing_request(platform, url="https://10.1.2.3/", timeout="PT5M")
    assert (timeout_error["name"], "60 seconds" in timeout_error["message"]) == ("invalid", True)
    definition = {"name": "n", "steps": [{"id": "a", "uses": "http.request", "with": {"url": "u", "method": "TRACE"}}]}
    response = platform["admin@acme"].http.post("/workflows/validate", json={"definition": definition})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/steps/0/with/method")
