"""Wrap data keys with AWS KMS, or with a key file where KMS is not available."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import Forbidden

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_NONCE = 12
_UNAVAILABLE = "The key service did not respond."


class KmsKeyWrapper:
    """Wraps keys with KMS. The tenant is in the encryption context.

    KMS itself therefore rejects another tenant's key, and CloudTrail records the tenant.
    """

    def __init__(self, client: "KMSClient", key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def wrap(self, tenant_id: UUID, key: bytes) -> bytes:
        with translate_aws_errors(_UNAVAILABLE):
            response = self._client.encrypt(
                KeyId=self._key_id, Plaintext=key, EncryptionContext={"tenant_id": str(tenant_id)}
            )
        return response["CiphertextBlob"]

    def unwrap(self, tenant_id: UUID, wrapped_key: bytes) -> bytes:
        with translate_aws_errors(_UNAVAILABLE, _translate):
            response = self._client.decrypt(
                KeyId=self._key_id, CiphertextBlob=wrapped_key, EncryptionContext={"tenant_id": str(tenant_id)}
            )
        return response["Plaintext"]


def _translate(error: AwsError) -> Exception | None:
    if error.code in ("InvalidCiphertextException", "IncorrectKeyException"):
        return Forbidden("The key belongs to another tenant.")
    return None


class FileKeyWrapper:
    """Wraps keys with a 32-byte key in a file. For development, since the emulated KMS loses its keys when it stops."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._path.read_bytes())

    def wrap(self, tenant_id: UUID, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, tenant_id.bytes)

    def unwrap(self, tenant_id: UUID, wrapped_key: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped_key[:_NONCE], wrapped_key[_NONCE:], tenant_id.bytes)
        except InvalidTag as error:
            raise Forbidden("The key belongs to another tenant.") from error
