"""Write the OpenAPI document that the gateway serves, merged from the routes of all areas.

python scripts/export_openapi.py          # write
python scripts/export_openapi.py --check  # fail if the file is out of date
"""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from email_sender.kit.http import routes_of
from scripts.openapi_links import add_links
from scripts.openapi_names import named_schemas

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "scripts/openapi_examples.json"
"""A request and a response of each operation, recorded on the local cloud."""
TARGET = ROOT / "functions/gateway/gateway_lambda/http/openapi.json"
AREAS = ("gateway", "vectors", "workflows", "messaging", "coordinator")

# In the order in which the documentation shows them.
TAGS = {
    "auth": "Sign in, and refresh the access token.",
    "imports": "Import a mailbox or a file of vectors.",
    "search": "Find people and messages; insert and delete points.",
    "contacts": "The people that the archive contains, and their messages.",
    "templates": "Write templates, preview them, and read drafts.",
    "workflows": "Define, validate and start workflows.",
    "runs": "Follow, cancel and retry runs; decide approvals.",
    "emails": "Sent emails, and suppressed addresses.",
    "hooks": "Start runs through webhooks.",
    "events": "Publish, list and replay events.",
    "notifications": "Tell operators about problems.",
    "webhooks": "Send events to your own servers.",
    "unsubscribe": "The links in emails that unsubscribe a contact.",
    "jobs": "Find any long-running work by its id.",
    "vector jobs": "Export and migrate collections.",
    "collections": "List collections and change their settings.",
    "members": "Invite people to the tenant, change their roles, and remove them.",
    "keys": "The keys that encrypt the data of the tenant.",
    "privacy": "Export all that is stored about a person, and erase a person.",
    "tenants": "Create, suspend and resume tenants. For operators.",
    "failed events": "List and redrive events that no consumer could handle.",
    "managers": "Stop and start the areas of the platform.",
    "settings": "Settings of the platform that apply without a deployment.",
    "audit": "The log of changes by people.",
    "platform": "Health, status, metrics and version.",
}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. `code` is for programs, `detail` is for people; `errors` point into the body.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}

# API Gateway rejects a request without a valid token itself, with an answer of its own.
_UNAUTHORIZED: dict[str, Any] = {
    "description": "The access token is missing, invalid or expired",
    "content": {
        "application/json": {"schema": {"type": "object", "properties": {"message": {"type": "string"}}}},
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
    },
}
_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A text of your choice. A repeated request with the same key gets the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


def build_document() -> dict[str, Any]:
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Email Sender",
            "version": "1",
            "description": "Import a mailbox, find the people to write to, draft, approve, and send each email exactly "
            "once. Sign in at /auth/token and send the access token as a bearer token.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": {},
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
    apps: dict[str, FastAPI] = {area: importlib.import_module(f"{area}_lambda.http.handler").app for area in AREAS}
    document["paths"], schemas = named_schemas({area: app.openapi() for area, app in apps.items()})
    document["components"]["schemas"] |= schemas
    for app in apps.values():
        _add_errors_and_permissions(document["paths"], app)
    _add_examples(document["paths"])
    add_links(document["paths"])
    return document


def _add_errors_and_permissions(paths: dict[str, Any], app: FastAPI) -> None:
    """Add the summary, the required permission and the error response to each operation."""
    for route in routes_of(app):
        operation = paths[route.path][route.method.lower()]
        summary, *rest = re.split(r"\.\s+", operation.get("description", operation["summary"]), maxsplit=1)
        operation["summary"] = summary.strip().rstrip(".").replace("\n", " ")
        operation["description"] = "".join(rest)
        operation.get("responses", {}).pop("422", None)
        operation["responses"]["default"] = {
            "description": "An error, as problem details (RFC 9457)",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if route.permission is not None:
            operation["security"] = [{"bearer": []}]
            operation["responses"]["401"] = _UNAUTHORIZED
            operation["x-permission"] = str(route.permission)
        for parameter in operation.get("parameters", []):
            parameter["schema"] = _without_null(parameter["schema"])
        if route.idempotent:
            operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is left out; it is never null."""
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    return {**options[0], **{name: value for name, value in schema.items() if name != "anyOf"}}


def _add_examples(paths: dict[str, Any]) -> None:
    for route, example in json.loads(EXAMPLES.read_text()).items():
        method, path = route.split(" ")
        operation = paths[path][method.lower()]
        if "request" in example:
            operation["requestBody"]["content"]["application/json"]["example"] = example["request"]
        if "response" in example:
            answer = operation["responses"][str(example["status"])]
            answer["content"]["application/json"]["example"] = example["response"]


def main() -> int:
    text = json.dumps(build_document(), indent=1, sort_keys=True) + "\n"
    if "--check" in sys.argv:
        if not TARGET.is_file() or TARGET.read_text() != text:
            print(f"{TARGET.relative_to(ROOT)} is out of date. Run `make generate`.")
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
