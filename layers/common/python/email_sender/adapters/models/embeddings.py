"""Convert texts to vectors with the bundled model or Amazon Bedrock. Implements vectors.ports.Embedder."""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import RateLimited

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_MAX_CHARACTERS = 20_000


class WordLlamaEmbedder:
    """The bundled model: static word embeddings on one core, without a download. For small installations."""

    model = "wordllama-l2-supercat-256"
    size = 256

    @cached_property
    def _word_llama(self) -> Any:
        import wordllama

        # The package has the weights and the tokenizer, but 0.4.0 looks for the tokenizer in "tokenizer" and ships it
        # in "tokenizers", where it looks for cached files. Without downloads, a missing file causes no network call.
        package = Path(wordllama.__file__).parent
        return wordllama.WordLlama.load(dim=self.size, cache_dir=package, disable_download=True)

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        truncated_texts = [text[:_MAX_CHARACTERS] or " " for text in texts]
        vectors: list[list[float]] = self._word_llama.embed(truncated_texts, norm=True).tolist()
        return vectors


class BedrockEmbedder:
    """Amazon Titan Text Embeddings V2 (docs.aws.amazon.com/bedrock, "Titan Text Embeddings models")."""

    def __init__(self, client: Callable[[], "BedrockRuntimeClient"], size: int = 256) -> None:
        self._client = client
        self.size = size
        self.model = f"amazon.titan-embed-text-v2:0/{size}"

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [self._embed_text(text) for text in texts]

    def _embed_text(self, text: str) -> Sequence[float]:
        body = json.dumps({"inputText": text[:_MAX_CHARACTERS] or " ", "dimensions": self.size, "normalize": True})
        with translate_aws_errors("The embedding model did not respond.", _translate):
            response = self._client().invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)
            answer = response["body"].read()
        vector: list[float] = json.loads(answer)["embedding"]
        return vector


def _translate(error: AwsError) -> Exception | None:
    if error.code == "ThrottlingException":
        return RateLimited("The embedding model is throttling requests. Try again later.")
    return None
