"""Models that write text. Implements workflows.generation.TextModel."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.adapters.models.openai_endpoint import OpenAIEndpoint
from email_sender.errors import RateLimited, Unavailable
from email_sender.workflows.generation import GeneratedText, Prompt

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

TIMEOUT_SECONDS = 60.0


class BedrockTextModel:
    """Any model of Amazon Bedrock (docs.aws.amazon.com/bedrock, "Converse"). `model`: model id or inference profile."""

    def __init__(self, client: Callable[[], "BedrockRuntimeClient"], model: str) -> None:
        self._client, self.model = client, model

    def write(self, prompt: Prompt) -> GeneratedText:
        with translate_aws_errors("The text model did not respond.", _translate):
            response = self._client().converse(
                modelId=self.model,
                messages=[{"role": "user", "content": [{"text": prompt.text}]}],
                system=[{"text": prompt.system}] if prompt.system else [],
                inferenceConfig={"maxTokens": prompt.max_tokens, "temperature": prompt.temperature},
            )
        parts = response["output"]["message"]["content"]
        usage = response["usage"]
        return GeneratedText(
            "".join(part.get("text", "") for part in parts), usage["inputTokens"], usage["outputTokens"]
        )


def _translate(error: AwsError) -> Exception | None:
    if error.code in ("ThrottlingException", "ServiceQuotaExceededException"):
        return RateLimited("The text model is throttling requests. Try again later.")
    return None


class OpenAITextModel:
    """A model behind an endpoint with `/chat/completions`."""

    def __init__(self, base: str, model: str, key: Callable[[], str]) -> None:
        self._endpoint = OpenAIEndpoint(base, key, "The text model", TIMEOUT_SECONDS)
        self.model = model

    def write(self, prompt: Prompt) -> GeneratedText:
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        response = self._endpoint.post(
            "/chat/completions",
            {
                "model": self.model,
                "messages": [*system, {"role": "user", "content": prompt.text}],
                "max_tokens": prompt.max_tokens,
                "temperature": prompt.temperature,
            },
        )
        try:
            usage = response.get("usage") or {}
            text = str(response["choices"][0]["message"]["content"] or "")
            return GeneratedText(text, int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise Unavailable("The text model's response cannot be read.") from None
