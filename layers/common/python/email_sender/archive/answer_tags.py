"""Tags in addresses that name an email: an answer is matched even if its mail program drops the references."""

import base64
import re
from collections.abc import Sequence
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
