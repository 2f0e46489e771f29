"""Workflows with triggers, and another system that calls their webhooks."""

import json
import time
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

import httpx
from standardwebhooks.webhooks import Webhook

from local.client import ApiClient, wait_until
from tests.conftest import Platform
from tests.e2e import api


def publish_workflow(client: ApiClient, *triggers: api.Json, **extra_fields: Any) -> api.Json:
    definition = {
        "name": f"triggered-{uuid4().hex}",
        "triggers": list(triggers),
        "steps": [{"id": "note", "uses": "transform", "with": {"seen": "{% $inputs %}"}}],
        **extra_fields,
    }
    return dict(client.post("/workflows", {"definition": definition}))


def list_triggers(client: ApiClient, workflow: api.Json) -> list[api.Json]:
    return list(client.get(f"/workflows/{workflow['id']}/triggers")["items"])


def wait_for_runs(client: ApiClient, workflow: api.Json, expected_count: int, seconds: float = 30) -> list[api.Json]:
    """Wait for `expected_count` runs, check a second later that there are no more, and return them."""
    path = f"/workflows/{workflow['id']}/runs"
    wait_until(lambda: client.get(path)["items"], lambda items: len(items) >= expected_count, seconds)
    time.sleep(1)
    runs = list(client.get(path)["items"])
    assert len(runs) == expected_count
    return runs


class WebhookClient:
    """Another system, which signs its requests by the Standard Webhooks specification."""

    def __init__(self, platform: Platform, client: ApiClient, workflow: api.Json) -> None:
        self.client, self.workflow = client, workflow
        (self.trigger,) = list_triggers(client, workflow)
        self.base = platform.api.removesuffix("/api/v1")
        self.secret = self.renew_secret()

    @classmethod
    def new(cls, platform: Platform, username: str, **extra_fields: Any) -> Self:
        client = platform[username]
        return cls(platform, client, publish_workflow(client, {"webhook": {}}, **extra_fields))

    def renew_secret(self) -> str:
        path = f"/workflows/{self.workflow['id']}/triggers/{self.trigger['id']}/secret"
        return str(self.client.post(path, {})["secret"])

    def post(
        self, body: object, name: str = "", *, secret: str = "", at: datetime | None = None, **headers: str
    ) -> httpx.Response:
        """Post a signed body. `headers` override the signed headers; write `_` for `-` in their names."""
        raw = body if isinstance(body, str) else json.dumps(body)
        request_headers = self.signature_headers(raw, name or f"msg_{uuid4().hex}", secret or self.secret, at)
        request_headers |= {key.replace("_", "-"): value for key, value in headers.items()}
        return httpx.post(self.base + self.trigger["path"], content=raw, headers=request_headers, timeout=20)

    def signature_headers(self, raw: str, name: str, secret: str, at: datetime | None = None) -> dict[str, str]:
        moment = at or datetime.now(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(secret).sign(name, moment, raw),
        }

    def send(self, method: str = "POST", path: str = "", **request: Any) -> httpx.Response:
        """Send a request as it is, without a signature."""
        return httpx.request(method, self.base + self.trigger["path"] + path, timeout=30, **request)

    def get(self, path: str) -> httpx.Response:
        headers = self.signature_headers("", f"msg_{uuid4().hex}", self.secret)
        return httpx.get(self.base + path, headers=headers, timeout=20)
