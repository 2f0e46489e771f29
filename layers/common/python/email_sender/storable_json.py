"""JSON of other systems and of code, as PostgreSQL can store it."""

import json
import math
from collections.abc import Mapping
from typing import Any


def storable(value: Any) -> Any:
    """Return the value without what jsonb rejects: NUL, lone surrogates and numbers that are not finite."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        return _replaced(value)
    return _replaced(value) if "\\u0000" in text or "\\ud" in text else value


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.replace("\0", "\ufffd")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_replaced(key): _replaced(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_replaced(element) for element in value]
    return value
