"""Validate values and JSON Schemas (draft 2020-12) that users provide.

Implements workflows.ports.InputChecker and workflows.definition.parser.SchemaChecker.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from email_sender.errors import Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_MAX_PROBLEMS = 20


class JsonSchemaChecker:
    def problems(self, schema: Mapping[str, Any], value: Any) -> Sequence[Problem]:
        """Return the problems of a value."""
        from jsonschema import Draft202012Validator
        from referencing import Registry

        # The empty registry prevents the library from fetching referenced schemas from the network.
        validator = Draft202012Validator(dict(schema), registry=Registry())
        return [_problem(error) for error in validator.iter_errors(value)][:_MAX_PROBLEMS]

    def check(self, schema: Mapping[str, Any]) -> list[Problem]:
        """Return the problems of a schema."""
        from jsonschema import Draft202012Validator

        meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
        return [_problem(error) for error in meta.iter_errors(dict(schema))][:_MAX_PROBLEMS]


def _problem(error: "ValidationError") -> Problem:
    return Problem("".join(f"/{part}" for part in error.absolute_path), error.message)
