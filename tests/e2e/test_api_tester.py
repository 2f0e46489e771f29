"""Schemathesis makes requests from the OpenAPI document, valid ones and others, and judges the answers.

`make test` runs the examples with every role. `make test-api` runs everything else too: each limit of each field,
random values, and sequences of requests that follow the links between operations, for half an hour.
"""

import copy
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from local.client import ApiClient
from local.layout import ROOT
from tests.conftest import Platform
from tests.e2e import api
from tests.e2e.test_people import signed_in

TESTER = ROOT / ".local/linters/bin/st"
CONFIG = Path(__file__).with_name("schemathesis.toml")
DOCUMENT = json.loads((ROOT / "functions/gateway/gateway_lambda/http/openapi.json").read_text())
# How long `make test-api` lets the tester go on, in seconds. The examples of one role take about ten.
LONG_RUN = os.environ.get("API_TESTER_SECONDS")
SECONDS = int(LONG_RUN or 60)

# What would end the session of the tester, or change the platform for the tests that run beside it.
EXCLUDED = frozenset({
    "sign_out", "refresh_access_token", "stop_manager", "start_manager", "restart_manager", "replace_settings",
    "roll_back_settings", "apply_collections", "set_log_level", "replay_events", "redrive_failed_events", "rotate_key",
    "suspend_tenant", "delete_tenant", "list_unclaimed_mail",
})  # fmt: skip
# What an operator would change for every tenant, or for the tests of the operators' own tenant.
EXCLUDED_FOR_OPERATORS = frozenset({
    "export_collection", "migrate_collection", "finish_migration", "roll_back_migration", "repair_messages",
    "create_channel",
})  # fmt: skip


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the document without what depends on earlier requests: cursors, and idempotency keys."""
    document = copy.deepcopy(DOCUMENT)
    for item in document["paths"].values():
        for operation in item.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [one for one in parameters if one["name"] not in ("cursor", "Idempotency-Key")]
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def clients(platform: Platform) -> Iterator[dict[str, ApiClient]]:
    """A client for each role: of a tenant of this module alone, or of an operator."""
    operator, name = platform["operator@platform"], f"tester{uuid4().hex[:8]}"
    tenant = operator.post("/tenants", {"name": name, "sender": f"Tester <hello@{name}.example>"})["id"]
    ann = operator.post(f"/tenants/{tenant}/admins", {"email": f"ann@{name}.example"})["id"]
    with signed_in(platform, ann) as admin:
        members = {
            role: admin.post("/members", {"email": f"{role}@{name}.example", "role": role})["id"]
            for role in ("user", "readonly")
        }
        seed(admin)
        with signed_in(platform, members["user"]) as user, signed_in(platform, members["readonly"]) as readonly:
            yield {"admin": admin, "user": user, "readonly": readonly, "operator": operator}


def seed(admin: ApiClient) -> None:
    """Make one of each thing that a list can show, so that the links of lists lead somewhere."""
    contact = api.add_contact(admin)
    admin.post(
        f"/contacts/{contact['id']}/consents", {"purpose": "p", "source": "form", "given_at": "2026-11-01T09:00:00Z"}
    )
    admin.post("/webhooks", {"url": "https://crm.example.com/hook", "types": ["webhook.*"]})
    run = api.start_run(admin, api.mail_workflow(api.add_template(admin)["id"], [contact["id"]]))
    api.wait_for_approval(admin, run["id"])


def run_tester(
    platform: Platform, document: Path, token: str | None, phases: str, excluded_operations: frozenset[str] = EXCLUDED
) -> subprocess.CompletedProcess[str]:
    excluded = [argument for name in sorted(excluded_operations) for argument in ("--exclude-operation-id", name)]
    command = [
        str(TESTER), "--config-file", str(CONFIG), "--no-color", "run", str(document),
        "--url", platform.cloud.api_url, "--phases", phases, "--seed", "1", "--workers", "1", "--warnings", "off",
        "--continue-on-failure", "--request-timeout", "30", "--max-time", str(SECONDS),
        *excluded,
    ]  # fmt: skip
    if token is not None:
        command += ["--header", f"Authorization: Bearer {token}"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # It keeps what failed in the folder in which it runs.
    result = subprocess.run(
        command, env=environment, cwd=document.parent, capture_output=True, text=True, timeout=SECONDS + 240
    )
    assert result.returncode in (0, 1), result.stdout[-3_000:] + result.stderr[-3_000:]
    return result


def assert_no_failure(result: subprocess.CompletedProcess[str], least_cases: int) -> None:
    assert result.returncode == 0, result.stdout[-60_000:]
    cases = re.search(r"(\d[\d,]*) generated", result.stdout)
    assert cases is not None, result.stdout
    assert int(cases[1].replace(",", "")) >= least_cases


@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", ["admin", "user", "readonly", "operator", None])
def test_the_examples_of_every_operation_are_answered_as_documented(
    platform: Platform, document: Path, clients: dict[str, ApiClient], role: str | None
) -> None:
    token = str(clients[role].http.headers["authorization"]).removeprefix("Bearer ") if role else None
    excluded = EXCLUDED | (EXCLUDED_FOR_OPERATORS if role == "operator" else set())
    assert_no_failure(run_tester(platform, document, token, "examples", excluded), least_cases=60)
    if role is not None:
        # Otherwise the tester would have seen nothing but refusals.
        clients[role].get("/status" if role == "operator" else "/tenants/me")


# It goes as far as its time allows, so that what it finds depends on the machine: nothing for a test of each change.
@pytest.mark.skipif(LONG_RUN is None, reason="part of the long run: make test-api")
@pytest.mark.timeout(7_200)
def test_sequences_of_requests_are_answered_as_documented(
    platform: Platform, document: Path, clients: dict[str, ApiClient]
) -> None:
    phases = "examples,coverage,fuzzing,stateful"
    token = str(clients["admin"].http.headers["authorization"]).removeprefix("Bearer ")
    assert clients["admin"].get("/tenants/me")["name"].startswith("tester")
    assert_no_failure(run_tester(platform, document, token, phases), least_cases=200)
    # Otherwise the tester would have seen nothing but refusals.
    assert clients["admin"].get("/contacts", limit=1)["items"]
