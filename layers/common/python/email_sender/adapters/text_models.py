"""Models that write text. Implements workflows.generation.TextModel."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.adapters.openai_endpoint import OpenAIEndpoint
from email_sender.errors import RateLimited, Unavailable
from email_sender.workflows.generation import Generated, Prompt

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

SECONDS = 60.0


class BedrockText:
    """Any model of Amazon Bedrock (docs.aws.amazon.com/bedrock, "Converse"). `model` is its id or inference profile."""

    def __init__(self, client: Callable[[], "BedrockRuntimeClient"], model: str) -> None:
        self._client, self.model = client, model

    def write(self, prompt: Prompt) -> Generated:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client().converse(
                modelId=self.model,
                messages=[{"role": "user", "content": [{"text": prompt.text}]}],
                system=[{"text": prompt.system}] if prompt.system else [],
                inferenceConfig={"maxTokens": prompt.max_tokens, "temperature": prompt.temperature},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ThrottlingException", "ServiceQuotaExceededException"):
                raise RateLimited("The text model takes no more for now.") from error
            raise Unavailable("The text model failed.") from error
        except BotoCoreError as error:
            raise Unavailable("The text model did not answer.") from error
        parts = answer["output"]["message"]["content"]
        used = answer["usage"]
        return Generated("".join(part.get("text", "") for part in parts), used["inputTokens"], used["outputTokens"])


class OpenAIText:
    """An endpoint with `/chat/completions`."""

    def __init__(self, base: str, model: str, key: Callable[[], str]) -> None:
        self._endpoint = OpenAIEndpoint(base, key, "The text model", SECONDS)
        self.model = model

    def write(self, prompt: Prompt) -> Generated:
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        answer = self._endpoint.post(
            "/chat/completions",
            {
                "model": self.model,
                "messages": [*system, {"role": "user", "content": prompt.text}],
                "max_tokens": prompt.max_tokens,
                "temperature": prompt.temperature,
            },
        )
        try:
            used = answer.get("usage") or {}
            text = str(answer["choices"][0]["message"]["content"] or "")
            return Generated(text, int(used.get("prompt_tokens", 0)), int(used.get("completion_tokens", 0)))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise Unavailable("The text model's answer cannot be read.") from None
