"""Long texts in the calls of functions. Lambda takes and gives at most 6 MB, as JSON."""

import base64
import zlib
from typing import Final

from email_sender.errors import InvalidInput

MAX_CHARACTERS: Final = 20_000_000
_MAX_PLAIN: Final = 400_000
_MAX_PACKED: Final = 5_500_000
# How zlib's header begins in Base64. JSON that is an object or a list does not begin like that.
_MARK: Final = "eA"


def pack(text: str, subject: str) -> str:
    """Return JSON, an object or a list, as it goes through Lambda: a long one is compressed, and in Base64.

    Raises:
        InvalidInput: it is too long. The message begins with `subject`, a plural.
    """
    if len(text) <= _MAX_PLAIN:
        return text
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(
            f"{subject} have {len(text):,} characters as JSON, and {MAX_CHARACTERS:,} are the most. "
            "Split the items into several runs."
        )
    packed = base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"), 1)).decode()
    if len(packed) > _MAX_PACKED:
        raise InvalidInput(f"{subject} have {len(packed):,} bytes, compressed. Split the items into several runs.")
    return packed


def unpack(packed: str) -> str:
    """Return the text that was packed. Raises InvalidInput if it is too long, or was not packed so."""
    if not packed.startswith(_MARK):
        return packed
    unpacking = zlib.decompressobj()
    try:
        # A character has at most four bytes.
        content = unpacking.decompress(base64.b64decode(packed, validate=True), MAX_CHARACTERS * 4)
        text = content.decode("utf-8", "surrogatepass")
    except (ValueError, zlib.error):
        raise InvalidInput("The text is not compressed as it says.") from None
    if not unpacking.eof or len(text) > MAX_CHARACTERS:
        raise InvalidInput(f"The text has more than {MAX_CHARACTERS:,} characters, or its end is missing.")
    return text
