"""Validate events against their JSON Schemas (events/schemas/). Publisher and consumer both use it."""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from email_sender.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

FOLDER = Path(__file__).parents[2] / "event_schemas"


def validate_event(detail: dict[str, Any], schema: str) -> None:
    """Validate an event. `schema` is the event's type, or "envelope" for a tenant's custom events.

    Raises:
        InvalidInput: the event does not match its schema, or the schema does not exist.
    """
    validator = _validator(schema)
    problems = [
        Problem("/" + "/".join(str(part) for part in error.absolute_path), error.message)
        for error in validator.iter_errors(detail)
    ]
    if problems:
        raise InvalidInput(f"The event {detail.get('type')} does not match its schema.", problems)


@cache
def _validator(event_type: str) -> "Validator":
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    envelope = json.loads((FOLDER / "envelope.json").read_bytes())
    path = FOLDER / f"{event_type}.json"
    if not event_type.replace(".", "").replace("_", "").isalnum() or not path.is_file():
        raise InvalidInput(f"The event type {event_type!r} does not exist.")
    registry: Registry[Any] = Registry().with_resource("envelope.json", Resource.from_contents(envelope))
    return Draft202012Validator(
        json.loads(path.read_bytes()), registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
