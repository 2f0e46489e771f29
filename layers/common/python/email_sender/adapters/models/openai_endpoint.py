"""Call an endpoint that has OpenAI's API: OpenAI, Azure, or a compatible server (vLLM, Ollama, llama.cpp).

Source: platform.openai.com/docs/api-reference.
"""

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from email_sender.errors import Conflict, InvalidInput, RateLimited, Unavailable

_MAX_RETRY_AFTER = 300
# Statuses that say that the same request will never be accepted.
_INVALID = (400, 413, 422)


class OpenAIEndpoint:
    """A client of one endpoint.

    `base` is the URL before `/embeddings` or `/chat/completions`. `key` is called for each request, and its result is
    sent as a bearer token (none if it is ""). Error messages begin with `name`; they contain neither the request, nor
    the key, nor the endpoint's own message.

    Raises:
        InvalidInput: `base` is not an HTTPS URL (HTTP is allowed only for localhost).
    """

    def __init__(self, base: str, key: Callable[[], str], name: str, seconds: float) -> None:
        parts = urlsplit(base)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not parts.hostname or (parts.scheme != "https" and not local):
            raise InvalidInput(f"{name}'s endpoint must be an https:// URL.")
        self.host = parts.hostname
        self._base, self._key, self._name, self._seconds = base.rstrip("/"), key, name, seconds

    def post(self, path: str, body: Mapping[str, Any], refusal: str = "") -> Any:
        """Post `body` and return the JSON of the response.

        A network error or a 5xx status is retried once, which is safe, since requests change nothing.

        Raises:
            Conflict: `refusal`, if it is set and the endpoint says that the request is invalid.
            RateLimited: the endpoint does not accept more requests at the moment.
            Unavailable: the endpoint did not answer, refused the request, or did not return JSON.
        """
        import urllib3

        headers = {"content-type": "application/json"}
        if key := self._key():
            headers["authorization"] = f"Bearer {key}"
        raw = json.dumps(body).encode()
        for is_last in (False, True):
            try:
                response = self._pool.request("POST", self._base + path, body=raw, headers=headers)
            except urllib3.exceptions.HTTPError:
                if is_last:
                    raise Unavailable(f"{self._name} did not answer.") from None
                continue
            if response.status == 200:
                return self._parse_json(response.data)
            if response.status == 429:
                raise RateLimited(
                    f"{self._name} is throttling requests. Try again later.", _retry_after_seconds(response.headers)
                )
            if refusal and response.status in _INVALID:
                raise Conflict(refusal)
            if response.status < 500 or is_last:
                # The response may repeat the request, so only its status is reported.
                raise Unavailable(f"{self._name} returned HTTP status {response.status}.")
        raise AssertionError("the loop returns or raises")

    def _parse_json(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError:
            raise Unavailable(f"{self._name}'s response cannot be read.") from None

    @cached_property
    def _pool(self) -> Any:
        import urllib3

        return urllib3.PoolManager(timeout=urllib3.Timeout(self._seconds), retries=False)


def _retry_after_seconds(headers: Any) -> int:
    text = headers.get("retry-after", "")
    return min(int(text), _MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and int(text) > 0 else 1
