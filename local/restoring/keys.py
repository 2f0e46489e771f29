"""What the tenants' data keys are wrapped by: never in a backup, and asked for before anything is taken over."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from email_sender.errors import DomainError
from email_sender.security.ports import KeyWrapper
from local.layout import Layout
from local.restoring import NotRestorable

# A tenant's wrapped data key, under the wrapping key of this local cloud.
type Rewrap = Callable[[UUID, bytes], bytes]


def rewrapping(layout: Layout, key: str | None) -> Rewrap:
    """`key` is a wrapping key's file, or `kms:<ARN>`; None: that of this local cloud.

    Raises:
        NotRestorable: there is none. The function returned raises it where the key is another.
    """
    from email_sender.adapters.key_wrappers import FileKeyWrapper

    if key is None and not layout.key_file.is_file():
        raise NotRestorable(
            "The tenants' data keys are wrapped by a key that is not in the backup, and there is none in "
            f"{layout.key_file}: put that key there, or name it (KEY=<file> or KEY=kms:<ARN>)."
        )
    before = _wrapper(key or str(layout.key_file))
    here = FileKeyWrapper(layout.key_file)

    def rewrap(tenant_id: UUID, wrapped: bytes) -> bytes:
        try:
            plain = before.unwrap(tenant_id, wrapped)
        except (DomainError, ValueError) as error:
            raise NotRestorable(
                f"The data keys of tenant {tenant_id} are wrapped by another key than {key or layout.key_file}: "
                "what they encrypt could not be read."
            ) from error
        if key is None:
            return wrapped
        layout.wrapping_key()
        return here.wrap(tenant_id, plain)

    return rewrap


def _wrapper(key: str) -> KeyWrapper:
    from email_sender.adapters.key_wrappers import FileKeyWrapper, KmsKeyWrapper

    kind, _, arn = key.partition(":")
    if kind == "kms":
        import boto3

        return KmsKeyWrapper(boto3.client("kms", region_name=arn.split(":")[3]), arn)
    if not Path(key).is_file():
        raise NotRestorable(f"There is no wrapping key {key}.")
    return FileKeyWrapper(Path(key))
