"""Walk JSON Schemas, in which the keys below `properties` are names and no keywords."""

from collections.abc import Callable
from typing import Any


def without_keywords(schema: Any, is_dropped: Callable[[str, Any], bool], *, are_names: bool = False) -> Any:
    """Return a copy of a schema, or of a document with schemas, without the keywords for which `is_dropped` is true."""
    if isinstance(schema, list):
        return [without_keywords(element, is_dropped) for element in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_keywords(element, is_dropped, are_names=key == "properties" and not are_names)
        for key, element in schema.items()
        if are_names or not is_dropped(key, element)
    }
