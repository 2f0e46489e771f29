"""Posts events to webhooks, signed as Standard Webhooks says. Implements messaging.webhooks.WebhookPoster."""

import base64
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from email_sender.adapters.mail.notification_senders import OutboundRequests, WebhookSigner
from email_sender.messaging.webhooks import Webhook, WebhookDelivery

_SECONDS = 10.0


class WebhookPosts:
    def __init__(self, outbound: OutboundRequests, signer: WebhookSigner, now: Callable[[], datetime]) -> None:
        self._outbound, self._signer, self._now = outbound, signer, now

    def post(self, tenant_id: UUID, webhook: Webhook, delivery: WebhookDelivery) -> int:
        now = self._now()
        current, *previous = webhook.secrets
        headers = dict(self._signer.headers(current, str(delivery.id), delivery.body, now))
        if previous and webhook.previous_ends is not None and now < webhook.previous_ends:
            # The receiver accepts the request if it knows one of the secrets.
            old = self._signer.headers(previous[0], str(delivery.id), delivery.body, now)
            headers["webhook-signature"] += f" {old['webhook-signature']}"
        response = self._outbound.send_request(
            {
                "tenant_id": str(tenant_id),
                "method": "POST",
                "url": webhook.url,
                "headers": {"content-type": "application/json", **headers},
                "secret_headers": {},
                "body": base64.b64encode(delivery.body.encode()).decode(),
                "seconds": _SECONDS,
                "any_status": True,
            }
        )
        return int(response["status"])
