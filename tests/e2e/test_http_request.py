"""http.request on the deployed template: what it must not reach, and how that is told.

This machine has no address that is public; requests that arrive are tried against real servers in
tests/unit/test_outbound_http.py.
"""

from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import Platform
from tests.e2e import steps


def ended(platform: Platform, **request: Any) -> steps.Json:
    admin = platform["admin@acme"]
    definition = {
        "name": f"http-{uuid4().hex}",
        "steps": [{"id": "ask", "uses": "http.request", "with": request, "on_error": "continue"}],
    }
    workflow = admin.post("/workflows", {"definition": definition})
    run = admin.post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})
    found = steps.wait_run(admin, run["id"])
    assert found["status"] == "succeeded"
    (step,) = (each for each in found["steps"] if each["step"] == "ask")
    assert step["status"] == "failed"
    return dict(step["error"])


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/meta-data/", "http://localhost:1/", "http://[::1]/", "https://10.1.2.3/"]
)
def test_what_lies_inside_is_not_reached(platform: Platform, url: str) -> None:
    error = ended(platform, url=url)
    assert error["name"] == "forbidden"
    assert "not a public address" in error["message"]


def test_a_secret_that_the_tenant_does_not_have_is_named_and_nothing_is_sent(platform: Platform) -> None:
    error = ended(platform, url="https://10.1.2.3/", secret_headers={"authorization": "crm-key"})
    assert error == {"name": "not_found", "message": "There is no secret crm-key."}


def test_mistakes_are_named(platform: Platform) -> None:
    assert ended(platform, url="ftp://example.com/")["name"] == "invalid"
    assert ended(platform, url="https://10.1.2.3/", headers={"host": "inside"})["name"] == "invalid"
    late = ended(platform, url="https://10.1.2.3/", timeout="PT5M")
    assert (late["name"], "60 seconds" in late["message"]) == ("invalid", True)
    bad = {"name": "n", "steps": [{"id": "a", "uses": "http.request", "with": {"url": "u", "method": "TRACE"}}]}
    refused = platform["admin@acme"].http.post("/workflows/validate", json={"definition": bad})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/steps/0/with/method")
