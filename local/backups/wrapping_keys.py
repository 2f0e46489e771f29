"""The keys that wrap the tenants' data keys. They are never in a backup and are needed before a restore."""

from pathlib import Path
from uuid import UUID

from email_sender.backups.model import NotRestorable
from email_sender.errors import DomainError
from email_sender.kit.environment import VaultSettings
from email_sender.kit.resources import key_wrapper
from email_sender.security.ports import PerTenantKeyWrapper
from local.layout import Layout


class LocalKeys:
    """The keys of a backup, and those of this local cloud. Implements restored_database.KeyTransfer."""

    def __init__(self, layout: Layout, key: str | None, tenant_keys: str | None = None) -> None:
        """`key` is the file of the backup's wrapping key, or `kms:<ARN>`, or None for the key of this local cloud.

        The keys of the tenants are in the folder `tenants` beside the file; with `kms:<ARN>`, they are in the DynamoDB
        table `tenant_keys`.

        Raises:
            NotRestorable: the key does not exist.
        """
        if key is None and not layout.key_file.is_file():
            raise NotRestorable(
                "The backup does not contain the keys that wrap the tenants' data keys, and there is no key at "
                f"{layout.key_file}: put that key there, with the folder `tenants` beside it, or name it "
                "(KEY=<file>, or KEY=kms:<ARN> TENANT_KEYS=<table>)."
            )
        self._layout, self._key = layout, key
        self._source = _key_wrapper(key or str(layout.key_file), tenant_keys)

    def rewrap(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        try:
            data_key = self._source.unwrap(tenant_id, wrapped)
        except (DomainError, ValueError) as error:
            raise NotRestorable(
                f"The data keys of tenant {tenant_id} are wrapped by another key than "
                f"{self._key or self._layout.key_file}. Name the right key with KEY=<file>, which has the folder "
                "`tenants` beside it, or with KEY=kms:<ARN> TENANT_KEYS=<the table TenantKeys>."
            ) from error
        return wrapped if self._key is None else own_wrapper(self._layout).wrap(tenant_id, data_key)

    def is_destroyed(self, tenant_id: UUID) -> bool:
        return self._source.is_destroyed(tenant_id)


def own_wrapper(layout: Layout) -> PerTenantKeyWrapper:
    """Return the wrapper of this local cloud."""
    return key_wrapper(_settings(f"file:{layout.wrapping_key()}"))


def _key_wrapper(key: str, tenant_keys: str | None) -> PerTenantKeyWrapper:
    kind, _, arn = key.partition(":")
    if kind == "kms":
        import boto3

        from email_sender.adapters.aws.key_wrappers import KmsKeyWrapper
        from email_sender.adapters.aws.wrapping_keys import DynamoDbWrappingKeys
        from email_sender.adapters.tenant_key_wrapper import TenantKeyWrapper

        if not tenant_keys:
            raise NotRestorable("Name the stack's table with the keys of the tenants: TENANT_KEYS=<TenantKeys>.")
        session = boto3.Session(region_name=arn.split(":")[3])
        table = DynamoDbWrappingKeys(lambda: session.client("dynamodb"), tenant_keys)
        return TenantKeyWrapper(table, KmsKeyWrapper(session.client("kms"), arn))
    if not Path(key).is_file():
        raise NotRestorable(f"There is no wrapping key at {key}.")
    return key_wrapper(_settings(f"file:{key}"))


def _settings(wrapper: str) -> VaultSettings:
    return VaultSettings(stage="local", key_wrapper=wrapper)
