"""Standard Webhooks (standardwebhooks.com).

Implements workflows.triggers.webhooks.WebhookSignatures and notification_senders.WebhookSigner.
"""

import binascii
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime

_SECRET_BYTES = 32


class StandardWebhooks:
    def new_secret(self) -> str:
        return f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"

    def headers(self, secret: str, message_id: str, body: str, at: datetime) -> Mapping[str, str]:
        """Return the headers that sign this body."""
        from standardwebhooks.webhooks import Webhook

        signature = Webhook(secret).sign(message_id, at, body)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }

    def is_valid_signature(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError

        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, binascii.Error, ValueError):
            # The library does not catch the errors of splitting and decoding a malformed header.
            return False
        return True
