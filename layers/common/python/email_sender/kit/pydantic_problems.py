"""Turn pydantic's errors into plain sentences with JSON pointers, for every place that reports input errors."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from email_sender.errors import Problem

# What a value must be, by pydantic's error type. Alternatives of a union are joined with "or".
_EXPECTED_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "a string"),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "a boolean"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), "a list"),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"), "an object"
    ),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), "a UUID"),
    **dict.fromkeys(
        (
            "datetime_type", "datetime_parsing", "datetime_object_invalid", "datetime_from_date_parsing",
        ),
        "a date and time such as 2026-01-31T12:00:00Z",
    ),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        "a date such as 2026-01-31",
    ),
    **dict.fromkeys(("time_type", "time_parsing"), "a time such as 12:00:00"),
    **dict.fromkeys(("time_delta_type", "time_delta_parsing"), "a duration such as PT15M"),
    **dict.fromkeys(("url_type", "url_parsing", "url_syntax_violation"), "a URL"),
    "none_required": "null",
    "finite_number": "a finite number",
}  # fmt: skip
# Complete predicates, filled with the error's own context.
_PREDICATES: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "invalid_key": "has a key that is not a string",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_pattern_mismatch": "has an invalid format; it must match the pattern {pattern}",
    "timezone_aware": "must have a time zone, such as 2026-01-31T12:00:00Z",
    "timezone_naive": "must not have a time zone",
    "uuid_version": "must be a UUID of version {expected_version}",
    "url_scheme": "must be a URL that begins with {expected_schemes}",
    "url_too_long": "must have at most {max_length} characters",
}
_MAX_PART = 100


def problems_of(
    errors: Iterable[Mapping[str, Any]], document: Any, prefix: str = "", root: str = "The input"
) -> list[Problem]:
    """Return the problems of `document`, in pydantic's order.

    `errors` are the details that pydantic reports and `document` is the value that it validated. Pointers begin with
    `prefix`; `root` names the document in sentences. Errors of union members are joined, or left out if another member
    fits the value better. No message contains a value.
    """
    by_path: dict[tuple[int | str, ...], list[tuple[Mapping[str, Any], bool]]] = {}
    for error in errors:
        path = path_of(error, document)
        by_path.setdefault(path, []).append((error, len(path) < len(error["loc"])))
    # An error of a union member is left out if another member fails deeper: that member fits the value better.
    parents = {path[:length] for path in by_path for length in range(len(path))}
    return [
        Problem(prefix + json_pointer(path), sentence)
        for path, path_errors in by_path.items()
        if path not in parents or not all(is_of_member for _, is_of_member in path_errors)
        for sentence in _sentences([error for error, _ in path_errors], field_name(path, root))
    ]


def path_of(error: Mapping[str, Any], document: Any) -> tuple[int | str, ...]:
    """Return the error's location without the parts that pydantic adds: tags, union members, validators, "[key]".

    A part belongs to the document if the document has it. The name of a missing field is the only exception.
    """
    path: list[int | str] = []
    value = document
    for position, part in enumerate(error["loc"]):
        if _has_part(value, part):
            value = value[part]
        elif not (error["type"] == "missing" and position == len(error["loc"]) - 1):
            continue
        path.append(part)
    return tuple(path)


def json_pointer(path: Sequence[int | str]) -> str:
    """Return the RFC 6901 pointer of a path; long keys are cut."""
    return "".join("/" + str(part)[:_MAX_PART].replace("~", "~0").replace("/", "~1") for part in path)


def sentence_of(error: Mapping[str, Any], name: str) -> str:
    """Return one error as a sentence about the field `name`."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        # Our own validators write complete sentences.
        return _as_sentence(str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, "))
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        # A discriminator is a field ('op') or a function that is named for its field (_kind()).
        field = str(context["discriminator"]).strip("'").removesuffix("()").lstrip("_")
        expected = f"must be one of {context['expected_tags']}" if kind == "union_tag_invalid" else "is required"
        return f"`{field}` {expected}."
    if kind in ("literal_error", "enum"):
        expected = str(context["expected"])
        return f"{name} must be {'one of ' if ',' in expected else ''}{expected}."
    if kind in ("too_short", "string_too_short"):
        return f"{name} {_at_least(context['min_length'], _unit(kind, context))}."
    if kind in ("too_long", "string_too_long"):
        return f"{name} must have at most {_counted(context['max_length'], _unit(kind, context))}."
    if kind in _EXPECTED_TYPES:
        return f"{name} must be {_EXPECTED_TYPES[kind]}."
    if kind in _PREDICATES:
        return f"{name} {_PREDICATES[kind].format_map(context)}."
    return f"{name} is invalid. {_as_sentence(str(error['msg']))}"


def _sentences(errors: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Join alternatives ("must be a string or an integer"); a sentence of our own replaces them."""
    expected = list(
        dict.fromkeys(_EXPECTED_TYPES[error["type"]] for error in errors if error["type"] in _EXPECTED_TYPES)
    )
    specific = list(dict.fromkeys(sentence_of(error, name) for error in errors if error["type"] not in _EXPECTED_TYPES))
    if specific or not expected:
        return specific
    *others, final = expected
    return [f"{name} must be {', '.join(others) + ' or ' if others else ''}{final}."]


def field_name(path: Sequence[int | str], root: str = "The input") -> str:
    """Return `points[0]` for an element, `id` for a field and `root` for the document itself."""
    if not path:
        return root
    start = max((number for number, part in enumerate(path) if isinstance(part, str)), default=-1)
    name = str(path[start])[:_MAX_PART] if start >= 0 else ""
    return f"`{name}{''.join(f'[{part}]' for part in path[start + 1 :])}`"


def _has_part(value: Any, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, Mapping) and part in value


def _unit(kind: str, context: Mapping[str, Any]) -> str:
    if kind.startswith("string"):
        return "character"
    return "entry" if context.get("field_type") == "Dictionary" else "item"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit if count == 1 else unit.replace('entry', 'entrie') + 's'}"


def _at_least(count: int, unit: str) -> str:
    return "must not be empty" if count == 1 else f"must have at least {_counted(count, unit)}"


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
