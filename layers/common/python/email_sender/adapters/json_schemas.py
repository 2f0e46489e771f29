"""JSON Schema (draft 2020-12) for what users declare. Implements workflows.ports.InputChecker."""

from collections.abc import Mapping, Sequence
from typing import Any

from email_sender.errors import Problem

_MAX_PROBLEMS = 20


class JsonSchemaChecker:
    def problems(self, schema: Mapping[str, Any], value: Any) -> Sequence[Problem]:
        from jsonschema import Draft202012Validator

        errors = Draft202012Validator(dict(schema)).iter_errors(value)
        found = [Problem("".join(f"/{part}" for part in error.absolute_path), error.message) for error in errors]
        return found[:_MAX_PROBLEMS]
