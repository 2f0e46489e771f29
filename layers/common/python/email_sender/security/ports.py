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


class WrappingKeys(Protocol):
    """One wrapping key for each tenant, wrapped itself. No backup has them, so a destroyed key is gone everywhere."""

    def get(self, tenant_id: UUID) -> bytes | None:
        """Return the stored key, or None if there is none yet. Raises KeyDestroyed."""

    def add(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        """Store the key unless one is stored, and return the stored one. Raises KeyDestroyed."""

    def destroy(self, tenant_id: UUID) -> None:
        """Destroy the key for good: the tenant never gets another one. Repeatable."""


class KeyWrapper(Protocol):
    """Encrypts (wraps) the data keys of tenants."""

    def wrap(self, tenant_id: UUID, key: bytes) -> bytes: ...

    def unwrap(self, tenant_id: UUID, wrapped_key: bytes) -> bytes:
        """Return the data key.

        Raises:
            KeyDestroyed: the tenant was deleted.
            Forbidden: the key was wrapped for another tenant.
        """
        ...


class PerTenantKeyWrapper(KeyWrapper, Protocol):
    """Wraps the data keys of each tenant by a key of that tenant, which can be destroyed."""

    def is_destroyed(self, tenant_id: UUID) -> bool:
        """Return whether nobody can unwrap the tenant's keys, because it was deleted."""
        ...

    def is_current(self, wrapped_key: bytes) -> bool:
        """Return whether the key is wrapped as `wrap` does it now. Older keys are wrapped again."""
        ...
