"""AWS clients, one of each a sandbox.

boto3 is imported on the first use and not before: it is the heaviest import of a cold start.
"""

from functools import cache
from typing import Any

# Fail while the caller still waits: a hung peer must cost less than the function's own timeout.
_CONNECT_SECONDS = 2
_READ_SECONDS = 5


@cache
def client(service: str, *, retries: int = 3, region: str | None = None) -> Any:
    """`retries` counts attempts: 1 for what must not be asked twice, such as sending a mail."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": retries, "mode": "standard"},
        signature_version="s3v4" if service == "s3" else None,
    )
    return boto3.client(service, config=config, region_name=region)  # type: ignore[call-overload]
