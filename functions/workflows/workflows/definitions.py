"""A definition as it comes: an object, or YAML in a string."""

from collections.abc import Mapping
from typing import Any

from email_sender.errors import InvalidInput

_MAX_YAML = 256 * 1024


def read_definition(given: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """Raises InvalidInput with line and column where it is not YAML, or not a mapping."""
    if isinstance(given, Mapping):
        return given
    if len(given) > _MAX_YAML:
        raise InvalidInput.at("/definition", f"A definition is at most {_MAX_YAML} characters.")
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(given, yaml.SafeLoader)):
            # Aliases let a small text become a large definition.
            raise InvalidInput.at("/definition", "YAML aliases are not taken: write it out.")
        found = yaml.safe_load(given)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidInput.at("/definition", f"This is not YAML: {error.problem}{where}.") from None
    except yaml.YAMLError:
        raise InvalidInput.at("/definition", "This is not YAML.") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InvalidInput.at("/definition", "A definition is a mapping: name, steps and so on.")
    return found
