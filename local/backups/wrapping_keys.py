"""The keys that wrap the tenants' data keys. They are never in a backup and are needed before a restore."""

from pathlib import Path
from uuid import UUID

from email_sender.adapters.postgres.restored_database import Rewrap
from email_sender.backups.model import NotRestorable
from email_sender.errors import DomainError
from email_sender.security.ports import KeyWrapper
from local.layout import Layout


def rewrap_function(layout: Layout, key: str | None) -> Rewrap:
    """Return a function that rewraps data keys with the key of this local cloud.

    `key` is the file of the backup's wrapping key, or `kms:<ARN>`, or None for the key of this local cloud.

    Raises:
        NotRestorable: the key does not exist. The returned function raises it if the key does not fit.
    """
    from email_sender.adapters.aws.key_wrappers import FileKeyWrapper

    if key is None and not layout.key_file.is_file():
        raise NotRestorable(
            "The backup does not contain the key that wraps the tenants' data keys, and there is no key at "
            f"{layout.key_file}: put that key there, or name it (KEY=<file> or KEY=kms:<ARN>)."
        )
    source_wrapper = _key_wrapper(key or str(layout.key_file))
    local_wrapper = FileKeyWrapper(layout.key_file)

    def rewrap(tenant_id: UUID, wrapped: bytes) -> bytes:
        try:
            data_key = source_wrapper.unwrap(tenant_id, wrapped)
        except (DomainError, ValueError) as error:
            raise NotRestorable(
                f"The data keys of tenant {tenant_id} are wrapped by another key than {key or layout.key_file}. "
                "Name the right key with KEY=<file> or KEY=kms:<ARN>."
            ) from error
        if key is None:
            return wrapped
        layout.wrapping_key()
        return local_wrapper.wrap(tenant_id, data_key)

    return rewrap


def _key_wrapper(key: str) -> KeyWrapper:
    from email_sender.adapters.aws.key_wrappers import FileKeyWrapper, KmsKeyWrapper

    kind, _, arn = key.partition(":")
    if kind == "kms":
        import boto3

        return KmsKeyWrapper(boto3.client("kms", region_name=arn.split(":")[3]), arn)
    if not Path(key).is_file():
        raise NotRestorable(f"There is no wrapping key at {key}.")
    return FileKeyWrapper(Path(key))
