"""Standard Webhooks (standardwebhooks.com). Implements workflows.hooks.Signatures."""

import binascii
import secrets
from base64 import b64encode
from collections.abc import Mapping

_SECRET_BYTES = 32


class StandardWebhooks:
    def new_secret(self) -> str:
        return f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"

    def verifies(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError

        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, binascii.Error, ValueError):
            # The library lets through what splitting and decoding a header of nonsense raises.
            return False
        return True
