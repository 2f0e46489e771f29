"""Refuse requests that did not come through CloudFront, where the API must not be reached otherwise.

CloudFront sends a key with each request that only it and the deployment know. Functions know the hash of the key.
"""

from functools import cache
from hashlib import sha256

from starlette.types import Scope

from email_sender.errors import Forbidden
from email_sender.kit.environment import Settings

HEADER = b"x-origin-key"


class OriginSettings(Settings):
    stage: str = ""
    """The stage of the deployment: dev, staging, prod or local."""
    origin_key_hashes: str = ""
    """SHA-256 of the keys that CloudFront may send, separated by commas; empty: requests may come from anywhere."""


@cache
def _hashes() -> frozenset[str]:
    return frozenset(filter(None, OriginSettings.from_environment().origin_key_hashes.split(",")))


def check_origin(scope: Scope) -> None:
    """Raise Forbidden if the request lacks the key.

    Events without an API's id come from who may invoke the function, such as the deployment's own checks.
    """
    hashes = _hashes()
    if not hashes or "apiId" not in scope.get("aws.event", {}).get("requestContext", {}):
        return
    key = dict(scope["headers"]).get(HEADER, b"")
    # The key is random and long: comparing hashes tells nothing about it, however long that takes.
    if sha256(key).hexdigest() not in hashes:
        raise Forbidden("Use the public address of this API.")
