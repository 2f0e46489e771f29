"""The keys that sign unsubscribe links. Their secret has the form {"current": "k1", "k1": "…", …}."""

import json
from functools import cache
from typing import Annotated

from pydantic import Field

from email_sender.adapters.mail.unsubscribe_links import LinkKeys, SignedUnsubscribeLinks
from email_sender.errors import Unavailable
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import NonEmpty, Settings


class LinkSettings(Settings):
    """`public_url` is the URL at which recipients reach the API, without the base path."""

    public_url: Annotated[str, Field(pattern=r"^https?://[^/]+")]
    """Public address of the API; unsubscribe links start with it."""
    link_secret_arn: NonEmpty
    """Secret with the signing keys of unsubscribe links."""


@cache
def unsubscribe_links() -> SignedUnsubscribeLinks:
    settings = LinkSettings.from_environment()
    return SignedUnsubscribeLinks(_keys, settings.public_url)


@cache
def _keys() -> LinkKeys:
    arn = LinkSettings.from_environment().link_secret_arn
    secret: dict[str, str] = json.loads(client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
    current = secret.pop("current", "")
    if current not in secret:
        raise Unavailable("The secret for unsubscribe links does not name its current key.")
    return LinkKeys(current, {key_id: key.encode() for key_id, key in secret.items()})
