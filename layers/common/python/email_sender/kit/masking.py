"""Hide addresses and live unsubscribe links in what a reader gets, wherever in a response they are.

Routes mask the addresses that they know of. This is the wall behind them: drafts, previews, messages and results of
steps quote addresses too, and a link in a draft would let a reader unsubscribe a contact.
"""

import json
import re
from typing import Any

# What a person would take for an address; names and domains may be international. Delimiters of text, URLs and JSON end
# it, and a full stop may follow it.
_CHARACTER = r"[^\s\"'<>()\[\]{},;:\\@/=&?|`]"
_LABEL = r"[^\s\"'<>()\[\]{},;:\\@/=&?|`.]"
_ADDRESS = re.compile(rf"(?<!{_CHARACTER}){_CHARACTER}{{1,321}}@{_CHARACTER}{{1,254}}\.{_LABEL}{{2,63}}(?!{_LABEL})")
# In the query of a URL.
_ENCODED = re.compile(r"[\w.+-]{1,64}%40[\w.-]{1,253}", re.IGNORECASE)
_LINK = re.compile(r"(/unsubscribe/)[\w.~%-]+")


def mask_text(text: str) -> str:
    """Return the text with each address recognisable but not usable, and without the tokens of unsubscribe links.

    The text keeps its length: responses say where in a message a passage begins and ends.
    """
    if "@" in text:
        text = _ADDRESS.sub(_mask_address, text)
    if "%40" in text:
        text = _ENCODED.sub(lambda found: "*" * len(found[0]), text)
    return _LINK.sub(lambda found: found[1] + "*" * (len(found[0]) - len(found[1])), text)


def _mask_address(found: re.Match[str]) -> str:
    local, _, domain = found[0].rpartition("@")
    return f"{local[0]}{'*' * (len(local) - 1)}@{domain[0]}{'*' * (len(domain) - 1)}"


def mask_json(value: Any) -> Any:
    """Return a JSON value with all its texts masked, names of fields included."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, list):
        return [mask_json(element) for element in value]
    if isinstance(value, dict):
        return {mask_text(name): mask_json(element) for name, element in value.items()}
    return value


def mask_body(body: bytes) -> bytes:
    """Return the body of a response, masked: a JSON document, or any other text."""
    text = body.decode(errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        return mask_text(text).encode()
    return json.dumps(mask_json(document), ensure_ascii=False, separators=(",", ":")).encode()
