"""Writes docs/reference/environment.md from the settings classes in the code and from template.yaml.

python scripts/export_environment.py          # write
python scripts/export_environment.py --check  # fail if the page is out of date
"""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from email_sender.kit.environment import Settings
from email_sender.kit.platform_settings import PlatformSettings
from local.aws.intrinsics import read_template, references

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs/reference/environment.md"
MODULES = (
    "email_sender.kit.unsubscribe_keys", "gateway_lambda.bootstrap", "vectors_lambda.bootstrap.settings",
    "coordinator_lambda.bootstrap", "messaging_lambda.bootstrap", "workflows_lambda.bootstrap",
    "workflows_lambda.events.outbound_requests",
)  # fmt: skip
# Variables that no settings class reads.
OTHERS = {
    "CONFIGURATION": "A hash of the parameter values. No code reads it; a new value publishes new function versions.",
    "CORS_ORIGINS": "Web origins that may call the API from a browser, separated by commas.",
    "DEAD_LETTERS": "Dead-letter queue of the consumer.",
    "MANAGER": "The manager that the function belongs to.",
    "MAX_RECEIVES": "How often a message is received before it goes to the dead-letter queue.",
    "POWERTOOLS_LOG_LEVEL": "Log level until the function reads the settings.",
    "POWERTOOLS_SERVICE_NAME": "Name of the function in logs and metrics.",
}
_HEAD = """# Settings and environment variables
`make generate` writes this page from the code.

## Settings
Operators change these values while the platform runs, with `PUT /api/v1/config`. [Settings and
features](../guides/settings.md) explains how.

| setting | type | default | effect |
| --- | --- | --- | --- |
"""
_VARIABLES = """
## Environment variables
`template.yaml` sets these variables of the functions, most of them from the deployment's parameters
([Deploying](../guides/deploying.md)). A function with a missing or invalid variable does not start, and the error names
the variable. Variables never contain secrets, only the ARNs of secrets.

| variable | default | meaning | parameter | functions |
| --- | --- | --- | --- | --- |
"""
_LOCAL = """
## Variables of `make run` and `make test`
| variable | meaning |
| --- | --- |
| `EMAIL_SENDER_TEXT_MODEL` | JSON: the text model of the local cloud, in the format of the parameter `TextModel` |
| `FULL=1` | `make bench` and `make test` use full sizes |
| `POINTS` | size of the bulk import in `tests/e2e/test_restart.py` |
| `SEED` | seed of the random process kills |
| `QDRANT_URL`, `SSM_URL` | run the contract tests also against these servers |
| `WORKFLOW_GRAPHS` | number of generated workflow graphs |
"""


def page() -> str:
    """Return the text of the page."""
    return _HEAD + "".join(_setting_rows(PlatformSettings, "")) + _VARIABLES + "".join(_variable_rows()) + _LOCAL


def _setting_rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    descriptions = _attribute_docstrings(model)
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel) and "tenants" not in nested.model_fields:
            yield from _setting_rows(nested, f"{prefix}{name}.")
            continue
        document = model.model_json_schema()
        schema = document["properties"][name]
        if "$ref" in schema:
            schema = document["$defs"][schema["$ref"].rpartition("/")[2]]
        default = "on" if isinstance(field.default, BaseModel) else f"`{field.default}`"
        yield f"| `{prefix}{name}` | {_type_name(schema)} | {default} | {descriptions.get(name, '')} |\n"


def _type_name(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "minimum" in schema:
        return f"{schema['minimum']:,} to {schema['maximum']:,}"
    return "`default` and `tenants`"


def _variable_rows() -> Iterator[str]:
    users, values = _template_variables()
    for name, (default, description) in sorted(_variables().items()):
        parameters = ", ".join(sorted(f"`{parameter}`" for parameter in values.get(name, ()))) or "-"
        functions = "all" if name in _global_variables() else ", ".join(sorted(users.get(name, []))) or "-"
        yield f"| `{name}` | {default or '-'} | {description} | {parameters} | {functions} |\n"


def _variables() -> dict[str, tuple[str, str]]:
    """Return default and description by variable."""
    for module in MODULES:
        importlib.import_module(module)
    variables = {name: ("", description) for name, description in OTHERS.items()}
    for model in _subclasses(Settings):
        descriptions = _attribute_docstrings(model)
        for name, field in model.model_fields.items():
            if name not in descriptions:
                continue
            required = field.default is PydanticUndefined and field.default_factory is None
            default = "required" if required else f"`{field.default}`" if field.default not in ("", None) else "empty"
            if get_origin(field.annotation) is dict or dict in get_args(field.annotation):
                default = "empty"
            variables.setdefault(name.upper(), (default, descriptions[name]))
    return variables


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for subclass in model.__subclasses__():
        yield from _subclasses(subclass)


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the strings below the fields of a class. Pydantic could read them too, but that slows every import."""
    tree = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(tree, ast.ClassDef)  # noqa: S101
    descriptions = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            descriptions[field.target.id] = str(text.value.value)
    return descriptions


def _global_variables() -> dict[str, Any]:
    return dict(read_template(ROOT / "template.yaml")["Globals"]["Function"]["Environment"]["Variables"])


def _template_variables() -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """Return the functions and the parameters of each variable."""
    template = read_template(ROOT / "template.yaml")
    users: dict[str, list[str]] = {}
    parameters: dict[str, set[str]] = {}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        own = resource["Properties"].get("Environment", {}).get("Variables", {})
        for name, value in {**_global_variables(), **own}.items():
            if name in own:
                users.setdefault(name, []).append(logical_id)
            parameters.setdefault(name, set()).update(set(references(value)) & template["Parameters"].keys())
    return users, parameters


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        if not TARGET.is_file() or TARGET.read_text() != text:
            print("docs/reference/environment.md is out of date. Run `make generate`.", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
