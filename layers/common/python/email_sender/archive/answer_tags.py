"""How a received mail names our email: by the id in a Message-ID, or by a tag in the address it was sent to.

The tag matches an answer even if its mail program drops the references.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from uuid import UUID

_MAX_LOCAL_PART = 64
_MARK = "r-"
_TAG = re.compile(rf"\+{_MARK}([a-z2-7]{{26}})@", re.IGNORECASE)


def tag_address(address: str, email_id: UUID) -> str:
    """Return the address with a tag that names the email, or the address itself if the tag does not fit."""
    local_part, _, domain = address.rpartition("@")
    tag = base64.b32encode(email_id.bytes).decode().rstrip("=").lower()
    tagged = f"{local_part}+{_MARK}{tag}"
    return address if len(tagged) > _MAX_LOCAL_PART or "+" in local_part else f"{tagged}@{domain}"


def tagged_email_ids(addresses: Sequence[str]) -> Sequence[UUID]:
    """Return the ids of the emails that the tags of these addresses name."""
    tags = [match.group(1) for address in addresses if (match := _TAG.search(address))]
    return [UUID(bytes=base64.b32decode(tag.upper() + "======")) for tag in tags]


def provider_ids_of(message_ids: Iterable[str]) -> list[str]:
    """Return the ids that the provider may have given to the emails with these Message-IDs.

    SES forms a Message-ID from its own id and a domain that depends on the region; another provider's id may be the
    whole Message-ID.
    """
    return list(
        dict.fromkeys(part for message_id in message_ids for part in (message_id, message_id.partition("@")[0]))
    )
