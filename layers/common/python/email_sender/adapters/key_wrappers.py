"""Where data keys are wrapped: AWS KMS, or a key file for a machine without it."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from email_sender.errors import Forbidden, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_NONCE = 12


class KmsKeyWrapper:
    """The tenant is in the encryption context, so KMS itself refuses another tenant's key and CloudTrail names it."""

    def __init__(self, client: "KMSClient", key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def wrap(self, tenant_id: UUID, key: bytes) -> bytes:
        answer = self._client.encrypt(
            KeyId=self._key_id, Plaintext=key, EncryptionContext={"tenant_id": str(tenant_id)}
        )
        return answer["CiphertextBlob"]

    def unwrap(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        try:
            answer = self._client.decrypt(
                KeyId=self._key_id, CiphertextBlob=wrapped, EncryptionContext={"tenant_id": str(tenant_id)}
            )
        except self._client.exceptions.InvalidCiphertextException as error:
            raise Forbidden("The key belongs to another tenant.") from error
        except Exception as error:
            raise Unavailable("The key service did not answer.") from error
        return answer["Plaintext"]


class FileKeyWrapper:
    """A 32-byte key in a file. For development: the emulated KMS forgets its keys when it is killed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._path.read_bytes())

    def wrap(self, tenant_id: UUID, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, tenant_id.bytes)

    def unwrap(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], tenant_id.bytes)
        except InvalidTag as error:
            raise Forbidden("The key belongs to another tenant.") from error
