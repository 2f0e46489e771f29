"""Convert texts to vectors with Amazon Bedrock. Implements vectors.ports.Embedder."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.adapters.models.whole_texts import WholeTexts
from email_sender.errors import RateLimited

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_MAX_CHARACTERS = 20_000


class BedrockEmbedder(WholeTexts):
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
