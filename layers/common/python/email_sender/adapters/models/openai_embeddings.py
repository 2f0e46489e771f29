"""Convert texts to vectors with an endpoint that has OpenAI's embeddings API. Implements vectors.ports.Embedder.

Source: platform.openai.com/docs/api-reference/embeddings.
"""

import math
from array import array
from base64 import b64decode
from collections.abc import Callable, Sequence

from email_sender.adapters.models.openai_endpoint import OpenAIEndpoint
from email_sender.adapters.models.whole_texts import WholeTexts
from email_sender.errors import Unavailable

_MAX_TEXTS = 256
_MAX_CHARACTERS = 20_000
_TIMEOUT_SECONDS = 10.0


class OpenAIEmbedder(WholeTexts):
    """`base` is the URL before `/embeddings`.

    Raises:
        InvalidInput: `base` is not an HTTPS URL (HTTP is allowed only for localhost).
    """

    def __init__(self, base: str, model: str, size: int, key: Callable[[], str]) -> None:
        self._endpoint = OpenAIEndpoint(base, key, "The embedding model", _TIMEOUT_SECONDS)
        self._name = model
        self.size = size
        # The host is part of the name, since two endpoints may use one name for different models.
        self.model = f"openai:{self._endpoint.host}/{model}/{size}"

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: list[Sequence[float]] = []
        for start in range(0, len(texts), _MAX_TEXTS):
            vectors += self._embed_batch([text[:_MAX_CHARACTERS] or " " for text in texts[start : start + _MAX_TEXTS]])
        return vectors

    def _embed_batch(self, texts: Sequence[str]) -> list[Sequence[float]]:
        request = {"model": self._name, "input": texts, "dimensions": self.size, "encoding_format": "base64"}
        response = self._endpoint.post("/embeddings", request)
        try:
            rows = sorted(response["data"], key=lambda row: int(row["index"]))
            vectors: list[Sequence[float]] = [_decode_vector(row["embedding"]) for row in rows]
        except (ValueError, TypeError, KeyError):
            raise Unavailable("The embedding model's response cannot be read.") from None
        if len(vectors) != len(texts) or any(len(vector) != self.size for vector in vectors):
            raise Unavailable(f"The embedding model did not return {len(texts)} vectors of {self.size} numbers.")
        if not all(math.isfinite(sum(vector)) for vector in vectors):
            raise Unavailable("The embedding model returned a number that is not finite.")
        return vectors


def _decode_vector(embedding: str | list[float]) -> array[float]:
    """Decode base64 of float32 if the endpoint supports it, else a list of numbers."""
    if isinstance(embedding, str):
        return array("f", b64decode(embedding, validate=True))
    return array("f", embedding)
