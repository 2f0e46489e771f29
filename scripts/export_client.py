"""Generate the parts of the clients that follow from the OpenAPI document.

python scripts/export_client.py          # write
python scripts/export_client.py --check  # fail if a file is out of date

datamodel-code-generator writes the types of the Python client; this script writes one method for each operation.
The types of the TypeScript client come from openapi-typescript (`npm run generate`).
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from scripts.json_schemas import without_keywords

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "functions/gateway/gateway_lambda/http/openapi.json"
TARGET = ROOT / "clients/python/src/email_sender_client"
TYPESCRIPT = ROOT / "clients/typescript/src"
TEMPLATE = Path(__file__).with_name("client_operations.py.jinja")
BASE = "/api/v1"

# The server checks them, and a client that is older than the server must not refuse what the server accepts.
_CONSTRAINTS = frozenset(
    {"minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems"}
    | {"minProperties", "maxProperties"}
)
# Other public operations say more to whoever is signed in.
_WITHOUT_TOKEN = tuple(f"{BASE}/{area}/" for area in ("auth", "hooks", "unsubscribe"))
_TYPES = {"string": "str", "integer": "int", "boolean": "bool", "number": "float", "object": "Mapping[str, Any]"}


@dataclass
class Parameter:
    name: str
    wire_name: str
    place: str
    type: str
    required: bool


@dataclass
class Operation:
    id: str
    method: str
    path: str
    summary: str
    description: str
    returns: str
    parameters: list[Parameter] = field(default_factory=list)
    body: str | None = None
    idempotent: bool = False
    anonymous: bool = False
    # The type of an item, if the answers are pages.
    item: str | None = None

    @property
    def required(self) -> list[Parameter]:
        return [parameter for parameter in self.parameters if parameter.required]

    @property
    def optional(self) -> list[Parameter]:
        return [parameter for parameter in self.parameters if not parameter.required]

    def placed(self, place: str) -> list[Parameter]:
        return [parameter for parameter in self.parameters if parameter.place == place]


def types(document: dict[str, Any]) -> str:
    """Return the module of the types."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "openapi.json"), Path(folder, "models.py")
        source.write_text(json.dumps(_relaxed(document)))
        options = (
            "--input-file-type openapi --output-model-type pydantic_v2.BaseModel --target-python-version 3.11 "
            "--use-annotated --use-standard-collections --use-union-operator --use-schema-description "
            "--use-field-description --disable-timestamp --use-double-quotes --enum-field-as-literal all "
            "--allow-population-by-field-name --collapse-root-models --formatters builtin --extra-fields ignore"
        )
        command = [sys.executable, "-m", "datamodel_code_generator", *options.split()]
        subprocess.run([*command, "--input", source, "--output", target], check=True, capture_output=True)
        return _formatted(target.read_text())


def _relaxed(document: dict[str, Any]) -> dict[str, Any]:
    """Return only the schemas, without constraints; those of answers also without lists of values."""
    schemas = document["components"]["schemas"]
    requests = _named_in([item for path in document["paths"].values() for item in path.values()], schemas)
    relaxed = {
        name: without_keywords(schema, _is_constraint if name in requests else _is_closed)
        for name, schema in schemas.items()
    }
    return {"openapi": "3.1.0", "info": document["info"], "paths": {}, "components": {"schemas": relaxed}}


def _is_constraint(keyword: str, value: Any) -> bool:
    # The generator writes a default object as a dict, which is not of the field's type.
    return keyword in _CONSTRAINTS or (keyword == "default" and isinstance(value, dict))


def _is_closed(keyword: str, value: Any) -> bool:
    """A newer server may have one more value."""
    return keyword == "enum" or _is_constraint(keyword, value)


def _named_in(operations: list[dict[str, Any]], schemas: dict[str, Any]) -> set[str]:
    """Return the names of the schemas of requests, with those that they contain."""
    found: set[str] = set()
    waiting = [json.dumps(operation.get("requestBody", {})) for operation in operations]
    while waiting:
        names = set(re.findall(r'"#/components/schemas/(\w+)"', waiting.pop())) - found
        found |= names
        waiting += [json.dumps(schemas[name]) for name in names]
    return found


def operations(document: dict[str, Any]) -> list[Operation]:
    found = [
        _operation(document, method, path, entry)
        for path, item in document["paths"].items()
        for method, entry in item.items()
    ]
    return sorted(found, key=lambda operation: operation.id)


def _operation(document: dict[str, Any], method: str, path: str, entry: dict[str, Any]) -> Operation:
    schemas = document["components"]["schemas"]
    parameters = [
        _parameter(parameter, schemas)
        for parameter in entry.get("parameters", [])
        if parameter["name"] != "Idempotency-Key"
    ]
    content = next(body for status, body in entry["responses"].items() if status.startswith("2")).get("content", {})
    returns = "None"
    if content:
        media, body = next(iter(content.items()))
        returns = _type(body["schema"], schemas) if media == "application/json" else "str"
    item = None
    pages = schemas.get(returns.removeprefix("models."), {}).get("properties", {})
    if any(parameter.name == "cursor" for parameter in parameters) and {"items", "next_cursor"} <= set(pages):
        item = _type(pages["items"]["items"], schemas)
    request = entry.get("requestBody", {}).get("content", {}).get("application/json")
    return Operation(
        entry["operationId"],
        method.upper(),
        path.removeprefix(BASE),
        entry["summary"],
        entry.get("description", ""),
        returns,
        parameters,
        _type(request["schema"], schemas) if request else None,
        len(parameters) < len(entry.get("parameters", [])),
        path.startswith(_WITHOUT_TOKEN) and "security" not in entry,
        item,
    )


def _parameter(parameter: dict[str, Any], schemas: dict[str, Any]) -> Parameter:
    name = parameter["name"].lower().replace("-", "_")
    options = parameter["schema"].get("anyOf", [parameter["schema"]])
    named = [_type(option, schemas) for option in options if option != {"type": "null"}]
    return Parameter(name, parameter["name"], parameter["in"], " | ".join(named), parameter.get("required", False))


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Return the Python type of a schema."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _type(schemas[name], schemas) if "enum" in schemas[name] else f"models.{name}"
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(_type(option, schemas) for option in options)
    if schema["type"] == "array":
        return f"Sequence[{_type(schema['items'], schemas)}]"
    return "UUID | str" if schema.get("format") == "uuid" else _TYPES[schema["type"]]


def methods(document: dict[str, Any]) -> str:
    """Return the module of the methods."""
    # It is Python that is written, not HTML.
    environment = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    text = environment.from_string(TEMPLATE.read_text()).render(operations=operations(document))
    return _formatted(text)


def _formatted(text: str) -> str:
    command = ["ruff", "format", "--no-cache", "--stdin-filename", str(TARGET / "module.py"), "-"]
    return subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout


def kinds_of_operations(document: dict[str, Any]) -> str:
    """Return the module of the TypeScript client that names operations by what a client has to know of them."""
    found = operations(document)
    sets = {
        "IDEMPOTENT": ("honour an Idempotency-Key", [entry for entry in found if entry.idempotent]),
        "ANONYMOUS": ("need no token", [entry for entry in found if entry.anonymous]),
    }
    text = "// Generated from the OpenAPI document; do not edit.\n"
    for constant, (description, entries) in sets.items():
        lines = "".join(sorted(f'  "{entry.method} {BASE}{entry.path}",\n' for entry in entries))
        text += f"\n/** The operations that {description}. */\n"
        text += f"export const {constant}: ReadonlySet<string> = new Set([\n{lines}]);\n"
    return text


def main() -> int:
    document = json.loads(DOCUMENT.read_text())
    files = {
        TARGET / "models.py": types(document),
        TARGET / "operations.py": methods(document),
        TYPESCRIPT / "operations.ts": kinds_of_operations(document),
    }
    outdated = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in outdated:
            print(f"{path.relative_to(ROOT)} is out of date. Run `make generate`.")
        return 1 if outdated else 0
    for path in outdated:
        path.write_text(files[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
