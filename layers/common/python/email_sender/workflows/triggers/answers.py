"""What the caller of a webhook gets from the run that it started (the action webhook.answer)."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from email_sender.errors import InvalidInput

_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,4000}")
# What belongs to the connection, to the browser's session with the platform, or to its walls.
_OWN: Final = re.compile(
    r"connection|content-(?:length|encoding|security-policy.*)|cross-origin-.*|keep-alive|proxy-.*|set-cookie2?|"
    r"strict-transport-security|te|trailer|transfer-encoding|upgrade|x-request-id|access-control-.*|ratelimit.*|"
    r"x-amz.*|x-content-type-options|clear-site-data|service-worker-allowed|"
    r"nel|report-to|alt-svc|www-authenticate|traceparent|via|date|server"
)
# A page that a workflow made stands at the platform's own address: it runs no scripts, and has no origin.
_ISOLATION: Final = {"content-security-policy": "sandbox"}


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    status: int
    headers: Mapping[str, str]
    content: bytes


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InvalidInput for a header that an answer cannot have. The names are in lower case."""
    for name, value in headers.items():
        if not is_allowed(name):
            raise InvalidInput.at("/with/headers", f"An answer cannot have the header {name[:100]!r}.")
        if not _VALUE.fullmatch(value):
            raise InvalidInput.at("/with/headers", f"The value of the header {name!r} has characters of no header.")


def allowed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of the headers that an answer can have. The names are in lower case."""
    return {name: value for name, value in headers.items() if is_allowed(name) and _VALUE.fullmatch(value)}


def is_allowed(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not _OWN.fullmatch(name)


def answer_of(result: Mapping[str, Any]) -> WebhookAnswer:
    """Return the answer that is the result of a step with the action webhook.answer."""
    headers, body = result["headers"], str(result["body"])
    content = base64.b64decode(body) if result["base64"] else body.encode("utf-8", "replace")
    return WebhookAnswer(int(result["status"]), {**headers, **_ISOLATION}, content)


def is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True
