"""Envelope encryption: AES-256-GCM under a key of the tenant's, itself wrapped by a KeyWrapper (NIST SP 800-38D).

A ciphertext is 1 byte of format, 4 bytes of key version, 12 bytes of nonce, then the sealed text with its 16-byte tag.
The tenant and the column are its associated data.
"""

import hmac
import os
import struct
import time
from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Unavailable
from email_sender.security.ports import KeyWrapper

_FORMAT = 1
_HEADER = struct.Struct(">BI")
_NONCE = 12
# Long enough to spare KMS a call a request, short enough that a retired key leaves memory.
_CACHE_SECONDS = 300.0


class AesKeys:
    """One tenant's unwrapped keys: `content` by version, and the index key that never rotates."""

    def __init__(self, tenant_id: UUID, content: Mapping[int, bytes], index: bytes) -> None:
        self._tenant = tenant_id.bytes
        self._ciphers = {version: AESGCM(key) for version, key in content.items()}
        self._newest = max(content)
        self._index = index

    def encrypt(self, plaintext: str, context: str) -> bytes:
        nonce = os.urandom(_NONCE)
        sealed = self._ciphers[self._newest].encrypt(nonce, plaintext.encode(), self._tenant + context.encode())
        return _HEADER.pack(_FORMAT, self._newest) + nonce + sealed

    def decrypt(self, ciphertext: bytes, context: str) -> str:
        _, version = _HEADER.unpack_from(ciphertext)
        nonce = ciphertext[_HEADER.size : _HEADER.size + _NONCE]
        sealed = ciphertext[_HEADER.size + _NONCE :]
        try:
            return self._ciphers[version].decrypt(nonce, sealed, self._tenant + context.encode()).decode()
        except (InvalidTag, KeyError) as error:
            raise Unavailable("A stored value could not be decrypted.") from error

    def fingerprint(self, value: str) -> bytes:
        return hmac.digest(self._index, value.encode(), sha256)


class PostgresVault:
    """Data keys kept wrapped in `data_keys`, made on a tenant's first use."""

    def __init__(self, database: Database, wrapper: KeyWrapper) -> None:
        self._database = database
        self._wrapper = wrapper
        self._cache: dict[UUID, tuple[float, AesKeys]] = {}

    def of(self, tenant_id: UUID) -> AesKeys:
        cached = self._cache.get(tenant_id)
        if cached is not None and time.monotonic() - cached[0] < _CACHE_SECONDS:
            return cached[1]
        keys = self._load(tenant_id)
        self._cache[tenant_id] = (time.monotonic(), keys)
        return keys

    def _load(self, tenant_id: UUID) -> AesKeys:
        rows = self._read(tenant_id)
        if not rows:
            self._create(tenant_id)
            # Read again: another sandbox may have been first, and its keys are the ones that count.
            rows = self._read(tenant_id)
        content, index = {}, b""
        for purpose, version, wrapped in rows:
            key = self._wrapper.unwrap(tenant_id, wrapped)
            if purpose == "content":
                content[version] = key
            else:
                index = key
        return AesKeys(tenant_id, content, index)

    def _read(self, tenant_id: UUID) -> list[tuple[str, int, bytes]]:
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute("select purpose, version, wrapped from data_keys").fetchall()
        return [(row["purpose"], row["version"], row["wrapped"]) for row in rows]

    def _create(self, tenant_id: UUID) -> None:
        with self._database.tenant(tenant_id) as conn:
            # Both or neither: the primary key makes the second of two creators change nothing.
            for purpose in ("content", "index"):
                conn.execute(
                    "insert into data_keys (tenant_id, purpose, version, wrapped) values (%s, %s, 1, %s) "
                    "on conflict do nothing",
                    [tenant_id, purpose, self._wrapper.wrap(tenant_id, os.urandom(32))],
                )
            conn.commit()
