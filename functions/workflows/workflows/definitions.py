"""A definition as it comes: an object, or YAML in a string."""

from collections.abc import Mapping
from typing import Any

from email_sender.adapters.yaml_documents import read_yaml
from email_sender.errors import InvalidInput


def read_definition(given: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """Raises InvalidInput where it is not YAML, or not a mapping."""
    found = read_yaml(given) if isinstance(given, str) else given
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InvalidInput.at("/definition", "A definition is a mapping: name, steps and so on.")
    return found
