"""Unsubscribe links: `v1.<key id>.<payload>.<mac>`. They do not expire, since people read mail years later.

The payload is the tenant id and the contact id, 16 bytes each. The MAC is HMAC-SHA256 over everything before it. Old
signing keys are kept, so that their links keep working. Tokens are never logged.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from email_sender import base64url
from email_sender.errors import NotFound

_MAX_TOKEN = 256


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """`current` signs; every key of `by_id` verifies."""

    current: str
    by_id: Mapping[str, bytes]


class SignedUnsubscribeLinks:
    """`keys` is called when a link is first needed, so that an import reads no secret."""

    def __init__(self, keys: Callable[[], LinkKeys], base_url: str) -> None:
        self._keys, self._base_url = keys, base_url.rstrip("/")

    def url(self, tenant_id: UUID, contact_id: UUID) -> str:
        keys = self._keys()
        signed_part = f"v1.{keys.current}.{base64url.encode(tenant_id.bytes + contact_id.bytes)}"
        return f"{self._base_url}/api/v1/unsubscribe/{signed_part}.{_mac(keys.by_id[keys.current], signed_part)}"

    def read(self, token: str) -> tuple[UUID, UUID]:
        signed_part, _, mac = token.rpartition(".")
        version, _, rest = signed_part.partition(".")
        key_id, _, payload = rest.partition(".")
        key = self._keys().by_id.get(key_id)
        has_known_key = version == "v1" and key is not None and len(token) <= _MAX_TOKEN and token.isascii()
        if not has_known_key or key is None or not hmac.compare_digest(_mac(key, signed_part), mac):
            raise NotFound("The unsubscribe link is not valid.")
        decoded = base64url.decode(payload)
        return UUID(bytes=decoded[:16]), UUID(bytes=decoded[16:32])


def _mac(key: bytes, signed_part: str) -> str:
    return base64url.encode(hmac.digest(key, signed_part.encode(), sha256))
