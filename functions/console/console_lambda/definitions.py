"""Definitions of workflows as the text that people edit."""

from collections.abc import Mapping
from typing import Any

import yaml


def as_yaml(definition: Mapping[str, Any]) -> str:
    """Return a definition as YAML, in the order in which its author wrote it."""
    return yaml.safe_dump(dict(definition), sort_keys=False, allow_unicode=True, width=100)


def line_of(text: str, pointer: str) -> int | None:
    """Return the line (from 1) of what a JSON pointer names, or of the nearest thing around it."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        return error.problem_mark.line + 1 if error.problem_mark else None
    if node is None:
        return None
    line = node.start_mark.line + 1
    # The API's pointers begin at its own field.
    for part in pointer.removeprefix("/definition").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == name), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and name.isdecimal() and int(name) < len(node.value):
            node = node.value[int(name)]
            line = node.start_mark.line + 1
        else:
            break
    return line
