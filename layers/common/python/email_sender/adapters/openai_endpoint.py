"""An endpoint that speaks OpenAI's API: OpenAI's own, Azure's, and servers that copy it (vLLM, Ollama, llama.cpp).

Source: platform.openai.com/docs/api-reference.
"""

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from email_sender.errors import InvalidInput, RateLimited, Unavailable

_MAX_RETRY_AFTER = 300


class OpenAIEndpoint:
    """`base` ends before `/embeddings` or `/chat/completions`; `key` is asked for on each call and sent as a bearer
    token ("": none); `name` begins the errors' sentences.

    Neither what is sent nor the key are in any error: an endpoint's own words are not passed on.

    Raises:
        InvalidInput: `base` is no HTTPS address (HTTP is for this machine alone).
    """

    def __init__(self, base: str, key: Callable[[], str], name: str, seconds: float) -> None:
        parts = urlsplit(base)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not parts.hostname or (parts.scheme != "https" and not local):
            raise InvalidInput(f"{name}'s endpoint is an https:// address.")
        self.host = parts.hostname
        self._base, self._key, self._name, self._seconds = base.rstrip("/"), key, name, seconds

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer's JSON. One retry of what failed on the way or at the other end: to ask twice changes nothing.

        Raises:
            RateLimited: it takes no more for now.
            Unavailable: it did not answer, refused, or gave no JSON.
        """
        import urllib3

        headers = {"content-type": "application/json"}
        if key := self._key():
            headers["authorization"] = f"Bearer {key}"
        raw = json.dumps(body).encode()
        for last in (False, True):
            try:
                answer = self._pool.request("POST", self._base + path, body=raw, headers=headers)
            except urllib3.exceptions.HTTPError:
                if last:
                    raise Unavailable(f"{self._name} did not answer.") from None
                continue
            if answer.status == 200:
                return self._read(answer.data)
            if answer.status == 429:
                raise RateLimited(f"{self._name} takes no more for now.", _seconds(answer.headers))
            if answer.status < 500 or last:
                # Its words may repeat the texts: only the number is told.
                raise Unavailable(f"{self._name} refused with {answer.status}.")
        raise AssertionError("the loop returns or raises")

    def _read(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError:
            raise Unavailable(f"{self._name}'s answer cannot be read.") from None

    @cached_property
    def _pool(self) -> Any:
        import urllib3

        return urllib3.PoolManager(timeout=urllib3.Timeout(self._seconds), retries=False)


def _seconds(headers: Any) -> int:
    text = headers.get("retry-after", "")
    return min(int(text), _MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and int(text) > 0 else 1
