"""The nodes for n8n, as far as they can be tested without n8n; `make test-n8n-node` runs them in a real one."""

import base64
import json
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from email_sender.adapters.web.webhook_signatures import StandardWebhooks
from local.layout import ROOT

NODES = ROOT / "integrations/n8n-nodes-email-sender/nodes"
OPENAPI = json.loads((ROOT / "functions/gateway/gateway_lambda/http/openapi.json").read_text())
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
BODY = '{"type": "email.replied", "data": {"name": "Zoë"}}'
NOW = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)


def is_accepted(headers: dict[str, str], body: str = BODY) -> bool:
    """Check a request as the trigger does. Node.js runs the TypeScript of the nodes as it is."""
    arguments = json.dumps([SECRET, headers, body, NOW.timestamp() * 1000])
    script = f"import {{ isSigned }} from '{NODES}/common/signature.ts'; console.log(isSigned(...{arguments}))"
    command = ["node", "--disable-warning=ExperimentalWarning", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"]
    result = subprocess.run(
        [*command, "--input-type=module", "--eval", script], capture_output=True, text=True, timeout=60, check=True
    )
    return result.stdout.strip() == "true"


def headers_of(at: datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    return dict(StandardWebhooks().headers(secret, "m1", BODY, at))


def test_the_trigger_accepts_what_the_platform_signs() -> None:
    assert is_accepted(headers_of())
    # After a change of the secret, requests have two signatures.
    other = headers_of(secret="whsec_" + base64.b64encode(b"o" * 32).decode())
    both = {**headers_of(), "webhook-signature": f"{other['webhook-signature']} {headers_of()['webhook-signature']}"}
    assert is_accepted(both)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, BODY),
        (headers_of(secret="whsec_" + base64.b64encode(b"o" * 32).decode()), BODY),
        (headers_of(), BODY + " "),
        (headers_of(NOW - timedelta(minutes=6)), BODY),
        (headers_of(NOW + timedelta(minutes=6)), BODY),
        ({**headers_of(), "webhook-signature": "v1,"}, BODY),
        ({**headers_of(), "webhook-signature": headers_of()["webhook-signature"].replace("v1,", "v2,")}, BODY),
        ({**headers_of(), "webhook-timestamp": "now"}, BODY),
    ],
)
def test_the_trigger_refuses_everything_else(headers: dict[str, str], body: str) -> None:
    assert not is_accepted(headers, body)


def test_the_nodes_call_only_operations_of_the_api() -> None:
    source = "".join(path.read_text() for path in NODES.rglob("*.ts"))
    calls = re.findall(r"request\((?:this|context), '([A-Z]+)', ['`]([^'`]+)['`]", source)
    documented = {
        (method.upper(), re.sub(r"\{\w+\}", "*", path.removeprefix("/api/v1")))
        for path, item in OPENAPI["paths"].items()
        for method in item
    }
    assert len(calls) >= 10
    assert {(method, re.sub(r"\$\{\w+\}", "*", path)) for method, path in calls} <= documented
