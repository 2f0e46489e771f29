"""Names of the schemas in the OpenAPI document, from which the clients take the names of their types."""

import json
import re
from collections import Counter
from collections.abc import Container, Mapping
from typing import Any

from scripts.json_schemas import without_keywords

# FastAPI adds them for its own answers to invalid input; the answer here is `Problem`.
_UNUSED = frozenset({"HTTPValidationError", "ValidationError"})


def named_schemas(documents: Mapping[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the paths and schemas of all areas with public names: `RunOut` is `Run`, a listing of it `RunList`.

    Two areas may use one name for different schemas; these get the area as a prefix.
    """
    names = {
        (area, name): _public_name(name, document["components"]["schemas"])
        for area, document in documents.items()
        for name in document.get("components", {}).get("schemas", {})
        if name not in _UNUSED
    }
    uses = Counter(names.values())
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for area, document in documents.items():
        renamed = {
            name: public if uses[public] == 1 and public != "Problem" else f"{area.capitalize()}{public}"
            for (owner, name), public in names.items()
            if owner == area
        }
        text = json.dumps(document)
        for name, public in renamed.items():
            text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{public}"')
        own = json.loads(text)
        paths |= own["paths"]
        for name, public in renamed.items():
            schemas[public] = own["components"]["schemas"][name]
    return _without_titles(paths), _without_titles(schemas)


def _without_titles(value: Any) -> Any:
    """Drop FastAPI's titles, which repeat the names."""
    return without_keywords(value, lambda key, _: key == "title")


def _public_name(name: str, others: Container[str]) -> str:
    if listing := re.fullmatch(r"Listing_(\w+?)(Out)?_", name):
        return f"{listing[1]}List"
    short = name.removesuffix("Out")
    return name if short in others else short
