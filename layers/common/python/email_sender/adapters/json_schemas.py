"""JSON Schema (draft 2020-12) for what users declare.

Implements workflows.ports.InputChecker and workflows.parsing.SchemaChecker.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from email_sender.errors import Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_MAX_PROBLEMS = 20


class JsonSchemaChecker:
    def problems(self, schema: Mapping[str, Any], value: Any) -> Sequence[Problem]:
        """What is wrong with a value."""
        from jsonschema import Draft202012Validator
        from referencing import Registry

        # An empty registry: without one, the library would fetch what a schema refers to from the network.
        validator = Draft202012Validator(dict(schema), registry=Registry())
        return [_problem(error) for error in validator.iter_errors(value)][:_MAX_PROBLEMS]

    def check(self, schema: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with a schema itself."""
        from jsonschema import Draft202012Validator

        meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
        return [_problem(error) for error in meta.iter_errors(dict(schema))][:_MAX_PROBLEMS]


def _problem(error: "ValidationError") -> Problem:
    return Problem("".join(f"/{part}" for part in error.absolute_path), error.message)
