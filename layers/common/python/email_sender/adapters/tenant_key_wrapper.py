"""Wraps the data keys of each tenant with a key of that tenant, which another wrapper wraps.

Whoever deletes a tenant destroys its wrapping key. Then nobody can read what its data keys encrypted, wherever a copy
of it is. Data keys that were wrapped before there were wrapping keys of tenants are wrapped again within a day.
"""

import os
import time
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from email_sender.errors import Forbidden, KeyDestroyed
from email_sender.security.ports import KeyWrapper, WrappingKeys

# Data keys that were wrapped before there were wrapping keys of tenants begin differently.
_FORMAT = b"\x00tenant-key\x00"
_NONCE = 12
# A data key is loaded together with others of its tenant.
_CACHE_SECONDS = 60.0


class TenantKeyWrapper:
    """`outer` wraps the wrapping keys, and unwraps the data keys of older versions of this software."""

    def __init__(self, keys: WrappingKeys, outer: KeyWrapper) -> None:
        self._keys, self._outer = keys, outer
        self._ciphers: dict[UUID, tuple[float, AESGCM]] = {}

    def wrap(self, tenant_id: UUID, key: bytes) -> bytes:
        cipher = self._cached(tenant_id) or self._remember(tenant_id, self._keys.get(tenant_id) or self._new(tenant_id))
        nonce = os.urandom(_NONCE)
        return _FORMAT + nonce + cipher.encrypt(nonce, key, tenant_id.bytes)

    def unwrap(self, tenant_id: UUID, wrapped_key: bytes) -> bytes:
        if not wrapped_key.startswith(_FORMAT):
            # The key of a deleted tenant counts as destroyed in this form too.
            self._keys.get(tenant_id)
            return self._outer.unwrap(tenant_id, wrapped_key)
        cipher = self._cached(tenant_id)
        if cipher is None:
            wrapping_key = self._keys.get(tenant_id)
            if wrapping_key is None:
                raise Forbidden("The wrapping key of the tenant does not exist here.")
            cipher = self._remember(tenant_id, wrapping_key)
        nonce, encrypted = wrapped_key[len(_FORMAT) :][:_NONCE], wrapped_key[len(_FORMAT) + _NONCE :]
        try:
            return cipher.decrypt(nonce, encrypted, tenant_id.bytes)
        except InvalidTag as error:
            raise Forbidden("The key belongs to another tenant.") from error

    def is_destroyed(self, tenant_id: UUID) -> bool:
        try:
            self._keys.get(tenant_id)
        except KeyDestroyed:
            return True
        return False

    def is_current(self, wrapped_key: bytes) -> bool:
        return wrapped_key.startswith(_FORMAT)

    def _new(self, tenant_id: UUID) -> bytes:
        return self._keys.add(tenant_id, self._outer.wrap(tenant_id, os.urandom(32)))

    def _cached(self, tenant_id: UUID) -> AESGCM | None:
        until, cipher = self._ciphers.get(tenant_id, (0.0, None))
        return cipher if until > time.monotonic() else None

    def _remember(self, tenant_id: UUID, wrapped: bytes) -> AESGCM:
        cipher = AESGCM(self._outer.unwrap(tenant_id, wrapped))
        self._ciphers[tenant_id] = (time.monotonic() + _CACHE_SECONDS, cipher)
        return cipher
