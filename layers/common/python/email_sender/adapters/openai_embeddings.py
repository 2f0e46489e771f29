"""Texts to vectors by an endpoint that speaks OpenAI's embeddings API. Implements vectors.ports.Embedder.

OpenAI's own, Azure's, and the servers that copy it (vLLM, Ollama, text-embeddings-inference). Source:
platform.openai.com/docs/api-reference/embeddings.
"""

import json
import math
from array import array
from base64 import b64decode
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from email_sender.errors import InvalidInput, RateLimited, Unavailable

_MAX_TEXTS = 256
_MAX_CHARACTERS = 20_000
_SECONDS = 10.0
_MAX_RETRY_AFTER = 300


class OpenAIEmbedder:
    """`base` ends before `/embeddings`; `key` is asked for on the first call and sent as a bearer token ("": none).

    Neither texts nor the key are in any error: an endpoint's own words are not passed on.

    Raises:
        InvalidInput: `base` is no HTTPS address (HTTP is for this machine alone).
    """

    def __init__(self, base: str, model: str, size: int, key: Callable[[], str]) -> None:
        parts = urlsplit(base)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not parts.hostname or (parts.scheme != "https" and not local):
            raise InvalidInput("An embedding endpoint is an https:// address.")
        self._url = base.rstrip("/") + "/embeddings"
        self._name, self._key = model, key
        self.size = size
        # With the host: two endpoints may mean different things by one name.
        self.model = f"openai:{parts.hostname}/{model}/{size}"

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: list[Sequence[float]] = []
        for start in range(0, len(texts), _MAX_TEXTS):
            vectors += self._batch([text[:_MAX_CHARACTERS] or " " for text in texts[start : start + _MAX_TEXTS]])
        return vectors

    def _batch(self, texts: Sequence[str]) -> list[Sequence[float]]:
        body = json.dumps({"model": self._name, "input": texts, "dimensions": self.size, "encoding_format": "base64"})
        answer = self._answer(body.encode())
        try:
            rows = sorted(json.loads(answer)["data"], key=lambda row: int(row["index"]))
            vectors: list[Sequence[float]] = [_vector(row["embedding"]) for row in rows]
        except (ValueError, TypeError, KeyError):
            raise Unavailable("The embedding model's answer cannot be read.") from None
        if len(vectors) != len(texts) or any(len(each) != self.size for each in vectors):
            raise Unavailable(f"The embedding model did not give {len(texts)} vectors of {self.size}.")
        if not all(math.isfinite(sum(each)) for each in vectors):
            raise Unavailable("The embedding model gave a number that is not finite.")
        return vectors

    def _answer(self, body: bytes) -> bytes:
        """One retry of what failed on the way or at the other end: to embed twice changes nothing."""
        import urllib3

        headers = {"content-type": "application/json"}
        if key := self._key():
            headers["authorization"] = f"Bearer {key}"
        for last in (False, True):
            try:
                answer = self._pool.request("POST", self._url, body=body, headers=headers)
            except urllib3.exceptions.HTTPError:
                if last:
                    raise Unavailable("The embedding model did not answer.") from None
                continue
            if answer.status == 200:
                return bytes(answer.data)
            if answer.status == 429:
                raise RateLimited("The embedding model takes no more for now.", _seconds(answer.headers))
            if answer.status < 500 or last:
                # Its words may repeat the texts: only the number is told.
                raise Unavailable(f"The embedding model refused with {answer.status}.")
        raise AssertionError("the loop returns or raises")

    @cached_property
    def _pool(self) -> Any:
        import urllib3

        return urllib3.PoolManager(timeout=urllib3.Timeout(_SECONDS), retries=False)


def _vector(embedding: str | list[float]) -> array[float]:
    """Base64 of float32 where the endpoint knows it, else a list."""
    if isinstance(embedding, str):
        return array("f", b64decode(embedding, validate=True))
    return array("f", embedding)


def _seconds(headers: Any) -> int:
    text = headers.get("retry-after", "")
    return min(int(text), _MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and int(text) > 0 else 1
