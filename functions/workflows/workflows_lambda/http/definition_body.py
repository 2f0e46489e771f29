"""Read the definition in a request body, which is an object or YAML in a string."""

from collections.abc import Mapping
from typing import Any

from email_sender.adapters.documents.yaml_documents import read_yaml
from email_sender.errors import InvalidInput


def read_definition(definition: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """Return the definition as a mapping. Raises InvalidInput if it is not valid YAML or not a mapping."""
    mapping = read_yaml(definition) if isinstance(definition, str) else definition
    if not isinstance(mapping, dict) or not all(isinstance(key, str) for key in mapping):
        raise InvalidInput.at("/definition", "The definition must be an object with name, steps and so on.")
    return mapping
