"""Errors between Lambda functions and state machines: the names that Retry and Catch match."""

import json
from collections.abc import Mapping

from email_sender import errors
from email_sender.errors import DomainError

_MAX_MESSAGE_CHARACTERS = 1_000

# The names that Retry and Catch match: Lambda reports the class name of an exception as the name of the error.
_ERROR_NAMES: Mapping[type[DomainError], str] = {
    errors.RateLimited: "throttled",
    # State machines retry a stopped manager for a day, and an unavailable dependency for some minutes.
    errors.ManagerStopped: "stopped",
    errors.Unavailable: "unavailable",
    errors.InvalidInput: "invalid",
    errors.PayloadTooLarge: "invalid",
    errors.Forbidden: "forbidden",
    errors.NotFound: "not_found",
    errors.Conflict: "rejected",
}


def state_machine_error(error: DomainError) -> Exception:
    """Return an exception whose class has the name under which state machines match the error."""
    name = next((_ERROR_NAMES[kind] for kind in type(error).__mro__ if kind in _ERROR_NAMES), "internal")
    kind: type[Exception] = type(name, (Exception,), {})
    return kind(error.detail)


def readable_cause(cause: str | None) -> str:
    """Return the part of a state's Cause that users may read.

    Lambda reports the error's type, message and stack as JSON. Messages of domain errors are written for users. The
    message of any other error may contain anything, and stays in the logs.
    """
    if not cause:
        return ""
    try:
        details = json.loads(cause)
    except ValueError:
        return cause[:_MAX_MESSAGE_CHARACTERS]
    if not isinstance(details, dict):
        return cause[:_MAX_MESSAGE_CHARACTERS]
    if details.get("errorType") in _ERROR_NAMES.values():
        return str(details.get("errorMessage", ""))[:_MAX_MESSAGE_CHARACTERS]
    return "An internal error occurred. See the logs for details."
