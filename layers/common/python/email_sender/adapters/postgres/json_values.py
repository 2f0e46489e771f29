"""JSON of other systems, as PostgreSQL can store it."""

import json
import math
from collections.abc import Mapping
from typing import Any


def storable(payload: Mapping[str, Any]) -> Any:
    """Return the payload without what jsonb rejects: NUL, lone surrogates and numbers that are not finite.

    Events and answers of other systems may contain them.
    """
    try:
        text = json.dumps(payload, allow_nan=False)
    except ValueError:
        return _sanitize(payload)
    return _sanitize(payload) if "\\u0000" in text or "\\ud" in text else payload


def _sanitize(value: Any) -> Any:
    if isinstance(value, str):
        text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.replace("\0", "\ufffd")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_sanitize(key): _sanitize(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_sanitize(element) for element in value]
    return value
