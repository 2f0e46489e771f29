"""Envelope encryption with AES-256-GCM (NIST SP 800-38D). A KeyWrapper wraps the keys of a tenant.

A ciphertext is 1 byte of format, 4 bytes of key version, 12 bytes of nonce, then the encrypted text with its 16-byte
tag. The tenant and the column are its associated data.
"""

import hmac
import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from email_sender.adapters.postgres.database import Database, Row
from email_sender.errors import Unavailable
from email_sender.security.ports import KeyWrapper

_FORMAT = 1
_HEADER = struct.Struct(">BI")
_NONCE = 12
# Long enough to save a call of KMS per request, and much shorter than the time until a new key is active.
_CACHE_SECONDS = 300.0


READ_KEYS = "select purpose, version, wrapped, active_at <= now() as is_active from data_keys where tenant_id = %s"


class AesKeys:
    """A tenant's unwrapped keys: `content` by version, and the index key, which never rotates.

    The version `active` encrypts; the others decrypt.
    """

    def __init__(self, tenant_id: UUID, content: Mapping[int, bytes], index: bytes, active: int) -> None:
        self._tenant = tenant_id.bytes
        self._ciphers = {version: AESGCM(key) for version, key in content.items()}
        self.active = active
        self._index = index
        # A value had a newer key: the next use loads the keys again.
        self.is_outdated = False

    @property
    def header(self) -> bytes:
        """How ciphertexts of the active key begin. Those of older keys are less, and begin with the same format."""
        return _HEADER.pack(_FORMAT, self.active)

    def encrypt(self, plaintext: str, context: str) -> bytes:
        nonce = os.urandom(_NONCE)
        sealed_text = self._ciphers[self.active].encrypt(nonce, plaintext.encode(), self._tenant + context.encode())
        return self.header + nonce + sealed_text

    def decrypt(self, ciphertext: bytes, context: str) -> str:
        _, version = _HEADER.unpack_from(ciphertext)
        nonce = ciphertext[_HEADER.size : _HEADER.size + _NONCE]
        sealed_text = ciphertext[_HEADER.size + _NONCE :]
        cipher = self._ciphers.get(version)
        if cipher is None:
            self.is_outdated = True
            raise Unavailable("A stored value has a newer key. Try again.")
        try:
            return cipher.decrypt(nonce, sealed_text, self._tenant + context.encode()).decode()
        except InvalidTag as error:
            raise Unavailable("A stored value could not be decrypted.") from error

    def fingerprint(self, value: str) -> bytes:
        return hmac.digest(self._index, value.encode(), sha256)


@dataclass(frozen=True, slots=True)
class _CachedKeys:
    loaded_at: float
    keys: AesKeys

    def is_old(self) -> bool:
        return self.keys.is_outdated or time.monotonic() - self.loaded_at >= _CACHE_SECONDS


class PostgresVault:
    """Stores the wrapped data keys in `data_keys`, and creates them on a tenant's first use."""

    def __init__(self, database: Database, wrapper: KeyWrapper) -> None:
        self._database = database
        self._wrapper = wrapper
        self._cache: dict[UUID, _CachedKeys] = {}

    def keys_for(self, tenant_id: UUID) -> AesKeys:
        cache_entry = self._cache.get(tenant_id)
        if cache_entry is not None and not cache_entry.is_old():
            return cache_entry.keys
        return self.load(tenant_id)

    def load(self, tenant_id: UUID) -> AesKeys:
        """Return the keys as they are stored now."""
        keys = self._load(tenant_id)
        self._cache[tenant_id] = _CachedKeys(time.monotonic(), keys)
        return keys

    def _load(self, tenant_id: UUID) -> AesKeys:
        rows = self._read(tenant_id)
        if not rows:
            self._create(tenant_id)
            # Read again: another execution environment may have stored its keys first, and those are the keys in use.
            rows = self._read(tenant_id)
        return keys_of(tenant_id, rows, self._wrapper.unwrap)

    def _read(self, tenant_id: UUID) -> list[Row]:
        with self._database.tenant(tenant_id) as conn:
            return conn.execute(READ_KEYS, [tenant_id]).fetchall()

    def _create(self, tenant_id: UUID) -> None:
        with self._database.tenant(tenant_id) as conn:
            # All or nothing: because of the primary key, the second of two concurrent creators changes nothing.
            for purpose in ("content", "index"):
                conn.execute(
                    "insert into data_keys (tenant_id, purpose, version, wrapped, finished_at) "
                    "values (%s, %s, 1, %s, now()) on conflict do nothing",
                    [tenant_id, purpose, self._wrapper.wrap(tenant_id, os.urandom(32))],
                )
            conn.commit()


def keys_of(tenant_id: UUID, rows: Sequence[Row], unwrap: Callable[[UUID, bytes], bytes]) -> AesKeys:
    """Return the keys of a tenant's rows of `data_keys` (READ_KEYS)."""
    content, index, active = {}, b"", 0
    for row in rows:
        key = unwrap(tenant_id, bytes(row["wrapped"]))
        if row["purpose"] == "content":
            content[row["version"]] = key
            active = max(active, row["version"] if row["is_active"] else 0)
        else:
            index = key
    return AesKeys(tenant_id, content, index, active)
