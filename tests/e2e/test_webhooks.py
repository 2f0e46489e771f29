"""Webhooks on the deployed template: events reach the queue, and private addresses get nothing."""

from uuid import uuid4

import pytest

from local.client import ApiError, wait_until
from tests.conftest import Platform


def test_an_event_is_delivered_to_the_webhooks_of_its_tenant_only(platform: Platform) -> None:
    """The local cloud has no public receiver, so what answers is our own guard, after the request was signed."""
    admin, other, kind = platform["admin@acme"], platform["admin@globex"], f"Lead{uuid4().hex[:8]}"
    hooks = {
        client: client.post("/webhooks", {"url": "https://127.0.0.1/hook", "types": [kind, "webhook.*"]})
        for client in (admin, other)
    }
    assert hooks[admin]["secret"].startswith("whsec_")
    assert "secret" not in admin.get(f"/webhooks/{hooks[admin]['id']}")
    event = admin.post("/events", {"source": "crm", "type": kind, "data": {"lead": 1}})
    path = f"/webhooks/{hooks[admin]['id']}/deliveries"
    (delivery,) = wait_until(
        lambda: admin.get(path)["items"], lambda items: bool(items) and items[0]["state"] == "failed", 60
    )
    assert (delivery["event_id"], delivery["event_type"], delivery["attempts"]) == (event["id"], kind, 1)
    assert delivery["error"].startswith("forbidden")
    assert other.get(f"/webhooks/{hooks[other]['id']}/deliveries")["items"] == []
    with pytest.raises(ApiError) as refused:
        other.get(path)
    assert refused.value.status == 404
    assert admin.post(f"/webhooks/{hooks[admin]['id']}/replay", {})["deliveries"] == 1
    # The sweep, which comes each minute, sends what is due.
    platform.aws("lambda").invoke(FunctionName=platform.function_name("NotificationSweepFunction"))
    wait_until(lambda: admin.get(path)["items"][0], lambda one: (one["state"], one["attempts"]) == ("failed", 1), 30)
    for client, hook in hooks.items():
        client.delete(f"/webhooks/{hook['id']}")


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://receiver.example", "types": ["*"]},
        {"url": "https://receiver.example", "types": []},
        {"url": "https://receiver.example", "types": ["no type"]},
        {"url": "https://receiver.example"},
    ],
)
def test_a_wrong_webhook_is_refused(platform: Platform, body: dict[str, object]) -> None:
    with pytest.raises(ApiError) as refused:
        platform["admin@acme"].post("/webhooks", body)
    assert refused.value.status == 422
    with pytest.raises(ApiError) as forbidden:
        platform["user@acme"].post("/webhooks", {"url": "https://receiver.example", "types": ["*"]})
    assert forbidden.value.status == 403
