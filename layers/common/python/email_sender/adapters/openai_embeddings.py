"""Texts to vectors by an endpoint that speaks OpenAI's embeddings API. Implements vectors.ports.Embedder.

Source: platform.openai.com/docs/api-reference/embeddings.
"""

import math
from array import array
from base64 import b64decode
from collections.abc import Callable, Sequence

from email_sender.adapters.openai_endpoint import OpenAIEndpoint
from email_sender.errors import Unavailable

_MAX_TEXTS = 256
_MAX_CHARACTERS = 20_000
_SECONDS = 10.0


class OpenAIEmbedder:
    """`base` ends before `/embeddings`.

    Raises:
        InvalidInput: `base` is no HTTPS address (HTTP is for this machine alone).
    """

    def __init__(self, base: str, model: str, size: int, key: Callable[[], str]) -> None:
        self._endpoint = OpenAIEndpoint(base, key, "The embedding model", _SECONDS)
        self._name = model
        self.size = size
        # With the host: two endpoints may mean different things by one name.
        self.model = f"openai:{self._endpoint.host}/{model}/{size}"

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: list[Sequence[float]] = []
        for start in range(0, len(texts), _MAX_TEXTS):
            vectors += self._batch([text[:_MAX_CHARACTERS] or " " for text in texts[start : start + _MAX_TEXTS]])
        return vectors

    def _batch(self, texts: Sequence[str]) -> list[Sequence[float]]:
        asked = {"model": self._name, "input": texts, "dimensions": self.size, "encoding_format": "base64"}
        answer = self._endpoint.post("/embeddings", asked)
        try:
            rows = sorted(answer["data"], key=lambda row: int(row["index"]))
            vectors: list[Sequence[float]] = [_vector(row["embedding"]) for row in rows]
        except (ValueError, TypeError, KeyError):
            raise Unavailable("The embedding model's answer cannot be read.") from None
        if len(vectors) != len(texts) or any(len(each) != self.size for each in vectors):
            raise Unavailable(f"The embedding model did not give {len(texts)} vectors of {self.size}.")
        if not all(math.isfinite(sum(each)) for each in vectors):
            raise Unavailable("The embedding model gave a number that is not finite.")
        return vectors


def _vector(embedding: str | list[float]) -> array[float]:
    """Base64 of float32 where the endpoint knows it, else a list."""
    if isinstance(embedding, str):
        return array("f", b64decode(embedding, validate=True))
    return array("f", embedding)
