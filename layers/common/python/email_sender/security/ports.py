"""What the domain needs of encryption."""

from typing import Protocol
from uuid import UUID


class TenantKeys(Protocol):
    """The keys of one tenant."""

    def encrypt(self, plaintext: str, context: str) -> bytes:
        """`context` names the column ("contacts.address"): a value moved to another column does not decrypt."""

    def decrypt(self, ciphertext: bytes, context: str) -> str: ...

    def fingerprint(self, value: str) -> bytes:
        """A keyed hash of 32 bytes, for equality alone; the same value gives the same hash for ever."""


class Vault(Protocol):
    def of(self, tenant_id: UUID) -> TenantKeys:
        """Make the tenant's keys where there are none yet."""


class KeyWrapper(Protocol):
    def wrap(self, tenant_id: UUID, key: bytes) -> bytes: ...

    def unwrap(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        """Raises Forbidden where it was wrapped for another tenant."""
