"""Read YAML as JSON values, without YAML 1.1's surprising conversions of keys and dates.

YAML 1.1 reads the key `on` as true and 2026-01-31 as a date. Here only true and false are booleans and dates are
strings, as in YAML 1.2's core schema. Duplicate keys are rejected.
"""

import re
from typing import Any

from email_sender.errors import InvalidInput

MAX_CHARACTERS = 256 * 1024
_MAX_DEPTH = 40


def read_yaml(text: str) -> Any:
    """Return JSON-like values.

    Raises:
        InvalidInput: the text is not valid YAML; the message names the line.
    """
    import yaml

    if len(text) > MAX_CHARACTERS:
        raise InvalidInput.at("", f"has {len(text)} characters; the maximum is {MAX_CHARACTERS}")
    try:
        return yaml.load(text, _loader())  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        location = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise InvalidInput.at("", f"is not valid YAML: {error.problem}{location}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInput.at("", f"is not valid YAML: {str(error)[:200] or 'it is nested too deeply'}") from error


def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """A safe loader with resolvers of its own; those of SafeLoader stay unchanged."""

        # PyYAML's time grows with the square of the depth: 20,000 brackets would take half a minute.
        def fetch_flow_collection_start(self, token: Any) -> None:
            self._refuse_depth(self.flow_level)
            super().fetch_flow_collection_start(token)

        def add_indent(self, column: int) -> bool:
            self._refuse_depth(len(self.indents))
            return bool(super().add_indent(column))

        def _refuse_depth(self, depth: int) -> None:
            if depth > _MAX_DEPTH:
                raise yaml.scanner.ScannerError(
                    None, None, f"it is nested deeper than {_MAX_DEPTH} levels", self.get_mark()
                )

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen_keys = set()
            for key, _ in node.value:
                if key.value in seen_keys:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is duplicated", key.start_mark
                    )
                seen_keys.add(key.value if isinstance(key.value, str) else id(key))
            return super().construct_mapping(node, deep)

    tags = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
    Loader.yaml_implicit_resolvers = {
        first_character: [(tag, pattern) for tag, pattern in resolvers if tag not in tags]
        for first_character, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(tags[0], re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"))
    return Loader
