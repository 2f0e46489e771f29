"""JSON from outside: what the standard library reads beyond JSON is refused."""

import json
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Raises ValueError: it is no JSON, holds NaN or an infinity, or is nested deeper than can be read."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
