"""Parse JSON from outside strictly: reject the extensions of JSON that the standard library accepts."""

import json
from typing import Any


class AmbiguousJson(ValueError):
    """An object contains the same name twice, so parsers disagree about its value."""


def read_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: the text is not JSON, contains NaN or an infinity, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


def read_unambiguous_json(text: str | bytes) -> Any:
    """Parse JSON that is encoded in UTF-8 and has no duplicate names.

    Raises:
        AmbiguousJson: an object contains the same name twice.
        ValueError: as for `read_json`, or the bytes are not UTF-8.
    """
    decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    try:
        return json.loads(decoded, parse_constant=_reject_constant, object_pairs_hook=_reject_duplicate_names)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON.")


def _reject_duplicate_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        duplicate = next(name for index, (name, _) in enumerate(pairs) if name in dict(pairs[:index]))
        raise AmbiguousJson(f"The name {duplicate[:100]!r} occurs twice")
    return values
