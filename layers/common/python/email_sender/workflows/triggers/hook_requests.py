"""Requests of callers that cannot sign: the secret that they send, and the inputs that the request becomes."""

import hmac
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, quote

from email_sender.errors import InvalidInput
from email_sender.strict_json import read_json

_PARAMETER: Final = "secret"
# What callers prove themselves with, and what the servers between them and the platform add.
_LEFT_OUT: Final = frozenset({"authorization", "cookie", "forwarded", "host", "via", "x-origin-key", "x-real-ip"})
_LEFT_OUT_PREFIXES: Final = ("cloudfront-", "proxy-", "x-amz", "x-forwarded-")
_MAX_FIELDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A request to a webhook. Names of headers are in lower case; `query` is as in the URL, without the `?`."""

    method: str
    headers: Mapping[str, str]
    query: str
    body: bytes


def sends_secret(request: HookRequest, secret: str) -> bool:
    """Return whether the request has the secret: as a bearer token, as a password, or as the parameter `secret`."""
    # Of a secret that was not encoded in the URL, the pluses are spaces.
    return any(hmac.compare_digest(sent.replace(" ", "+").encode(), secret.encode()) for sent in _sent_secrets(request))


def _sent_secrets(request: HookRequest) -> Iterator[str]:
    try:
        yield from _values(request.query).get(_PARAMETER, ())
    except InvalidInput:
        return
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield credentials.strip()
    if scheme.lower() == "basic":
        try:
            yield b64decode(credentials, validate=True).decode().partition(":")[2]
        except ValueError:  # not base64, or not text
            return


def inputs_of(request: HookRequest) -> dict[str, Any]:
    """Return the inputs of a run: {method, query, headers, body}, without the secret.

    Raises:
        InvalidInput: the body is none of JSON, a form and text.
    """
    secrets = {text for sent in _sent_secrets(request) if sent for text in (sent, quote(sent), quote(sent, safe=""))}
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in _LEFT_OUT and not name.startswith(_LEFT_OUT_PREFIXES)
        # Servers on the way repeat the address, and pages name it as where they came from.
        if not any(secret in value for secret in secrets)
    }
    query = {name: texts for name, texts in _values(request.query).items() if name != _PARAMETER}
    return {"method": request.method, "query": _fields(query), "headers": headers, "body": _body(request)}


def _body(request: HookRequest) -> Any:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not request.body:
        return {}
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return read_json(request.body)
        except ValueError:
            raise InvalidInput.at("", "The body is not valid JSON.") from None
    try:
        text = request.body.decode()
    except UnicodeDecodeError:
        raise InvalidInput.at("", "The body must be JSON, a form or text in UTF-8; files are not supported.") from None
    if media_type == "application/x-www-form-urlencoded":
        return _fields(_values(text))
    if media_type.startswith("multipart/"):
        raise InvalidInput.at("", "Send a form without files, as application/x-www-form-urlencoded.")
    return text


def _values(text: str) -> dict[str, list[str]]:
    """Return the values of a query or of a form by name."""
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise InvalidInput.at("", f"A form can have at most {_MAX_FIELDS:,} fields.") from None


def _fields(values: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return a text for each name, or a list for a name that comes more than once."""
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in values.items()}
