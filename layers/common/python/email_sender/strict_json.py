"""JSON from outside: what the standard library reads beyond JSON is refused."""

import json
from typing import Any


class AmbiguousJson(ValueError):
    """A name comes twice in one object: readers disagree on which value it has."""


def read_json(text: str | bytes) -> Any:
    """Raises ValueError: it is no JSON, holds NaN or an infinity, or is nested deeper than can be read."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_unambiguous_json(text: str | bytes) -> Any:
    """The same, in UTF-8 alone. Raises AmbiguousJson, too."""
    decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    try:
        return json.loads(decoded, parse_constant=_refuse, object_pairs_hook=_each_name_once)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise AmbiguousJson(f"{twice[:100]!r} comes twice")
    return found
