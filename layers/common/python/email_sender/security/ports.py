"""The ports of encryption."""

from typing import Protocol
from uuid import UUID


class TenantKeys(Protocol):
    """The keys of one tenant."""

    def encrypt(self, plaintext: str, context: str) -> bytes:
        """Encrypt the text. `context` names its column, such as "contacts.address".

        A value that is moved to another column cannot be decrypted.
        """

    def decrypt(self, ciphertext: bytes, context: str) -> str: ...

    def fingerprint(self, value: str) -> bytes:
        """Return a keyed hash of 32 bytes, for equality checks. The same value always has the same hash."""


class Vault(Protocol):
    def keys_for(self, tenant_id: UUID) -> TenantKeys:
        """Return the tenant's keys, and create them on first use."""


class KeyWrapper(Protocol):
    """Encrypts (wraps) the data keys of tenants."""

    def wrap(self, tenant_id: UUID, key: bytes) -> bytes: ...

    def unwrap(self, tenant_id: UUID, wrapped_key: bytes) -> bytes:
        """Return the data key. Raises Forbidden if the key was wrapped for another tenant."""
