"""Callback URLs: another system posts the answer to a step that waits for it (the action http.wait_for_callback)."""

import hmac
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from email_sender import base64url
from email_sender.clock import Clock
from email_sender.errors import Conflict, PayloadTooLarge, Unauthenticated
from email_sender.security.ports import Vault
from email_sender.workflows.ports import WorkflowUnits
from email_sender.workflows.runs.waits import WaitService

# Together with the run's other state, this stays under Step Functions' limit of 256 KiB.
MAX_ANSWER_BYTES = 128 * 1024
_REJECTED = "The callback URL does not exist, or its signature is wrong."
_TOKEN_BYTES = 16 + 16 + 32


class CallbackService:
    """`vault` has the keys with which callback URLs are signed. `base_url` has no base path.

    `units` have no keys: they are opened for the tenant ids of tokens that may be false.
    """

    def __init__(self, units: WorkflowUnits, vault: Vault, waits: WaitService, now: Clock, base_url: str) -> None:
        self._units, self._vault, self._waits, self._now, self._base_url = units, vault, waits, now, base_url

    def url(self, tenant_id: UUID, callback_id: UUID) -> str:
        """Return the URL for an answer. It is a secret: who knows it can answer, once. The same id has the same URL."""
        token = tenant_id.bytes + callback_id.bytes + self._signature(tenant_id, callback_id)
        return f"{self._base_url}/api/v1/hooks/callbacks/{base64url.encode(token)}"

    def answer(self, token: str, answer: Mapping[str, Any]) -> None:
        """Store the first answer and resume the step. A repeated answer changes nothing.

        If the process dies after the answer was stored, the sweep resumes the step.

        Raises:
            Unauthenticated: the token was not made by `url`.
            PayloadTooLarge: the answer has more than 128 KB.
            Conflict: the step no longer waits.
        """
        tenant_id, callback_id = self._verify(token)
        if len(json.dumps(answer)) > MAX_ANSWER_BYTES:
            raise PayloadTooLarge(f"The answer of a callback can have at most {MAX_ANSWER_BYTES} bytes.")
        with self._units(tenant_id) as unit:
            if not unit.waits.answer(callback_id, answer, self._now()):
                raise Conflict("The step no longer waits for an answer: it timed out, or its run ended.")
            unit.commit()
        self._waits.settle(tenant_id, callback_id)

    def _verify(self, token: str) -> tuple[UUID, UUID]:
        """Return the tenant and the callback.

        The tenant id from the token is not trusted until the signature matches. It must have the wait before its keys
        are read: reading creates the keys of a tenant that has none.
        """
        try:
            raw = base64url.decode(token)
        except ValueError:
            raw = b""
        if len(raw) != _TOKEN_BYTES:
            raise Unauthenticated(_REJECTED)
        tenant_id, callback_id = UUID(bytes=raw[:16]), UUID(bytes=raw[16:32])
        with self._units(tenant_id) as unit:
            is_known = unit.waits.has_callback(callback_id)
        if not is_known or not hmac.compare_digest(raw[32:], self._signature(tenant_id, callback_id)):
            raise Unauthenticated(_REJECTED)
        return tenant_id, callback_id

    def _signature(self, tenant_id: UUID, callback_id: UUID) -> bytes:
        return self._vault.keys_for(tenant_id).fingerprint(f"callback:{callback_id}")
