"""Models that write text. Implements workflows.generation.TextModel."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.adapters.models.openai_endpoint import OpenAIEndpoint
from email_sender.errors import Conflict, RateLimited, Unavailable
from email_sender.workflows.generation import GeneratedText, Prompt, Tool, ToolCall, Turn

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

TIMEOUT_SECONDS = 60.0
_REFUSED = "The text model refused the request: it may be too long, or a schema in it may be unknown to the model."


class BedrockTextModel:
    """Any model of Amazon Bedrock (docs.aws.amazon.com/bedrock, "Converse"). `model`: model id or inference profile."""

    def __init__(self, client: Callable[[], "BedrockRuntimeClient"], model: str) -> None:
        self._client, self.model = client, model

    def write(self, prompt: Prompt) -> GeneratedText:
        tools: Any = {"toolConfig": {"tools": [_bedrock_tool(tool) for tool in prompt.tools]}} if prompt.tools else {}
        with translate_aws_errors("The text model did not respond.", _translate):
            response: Any = self._client().converse(
                modelId=self.model,
                messages=_bedrock_messages(prompt.turns),
                system=[{"text": prompt.system}] if prompt.system.strip() else [],
                inferenceConfig={"maxTokens": prompt.max_tokens, "temperature": prompt.temperature},
                **tools,
            )
        parts = response["output"]["message"]["content"]
        usage = response["usage"]
        uses = [part["toolUse"] for part in parts if "toolUse" in part]
        return GeneratedText(
            "".join(part.get("text", "") for part in parts),
            usage["inputTokens"],
            usage["outputTokens"],
            tuple(ToolCall(use["toolUseId"], use["name"], json.dumps(use["input"])) for use in uses),
        )


def _bedrock_tool(tool: Tool) -> dict[str, Any]:
    # Bedrock refuses an empty description.
    described = {"description": tool.description} if tool.description else {}
    return {"toolSpec": {"name": tool.name, **described, "inputSchema": {"json": tool.parameters}}}


def _bedrock_messages(turns: Sequence[Turn]) -> Any:
    """Return the turns as Converse wants them: by turns of the user and the model, where tools belong to the user."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        content: list[dict[str, Any]] = []
        if turn.role == "tool":
            content = [{"toolResult": {"toolUseId": turn.call_id, "content": [{"text": turn.text}]}}]
        elif turn.text.strip():
            content = [{"text": turn.text}]
        content += [
            {"toolUse": {"toolUseId": call.id, "name": call.name, "input": _arguments(call)}} for call in turn.calls
        ]
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        elif content:
            messages.append({"role": role, "content": content})
    # A conversation begins and ends with the user. What was blank was left out above.
    nothing = {"role": "user", "content": [{"text": "(nothing)"}]}
    begins = [] if messages and messages[0]["role"] == "user" else [nothing]
    ends = [] if not messages or messages[-1]["role"] == "user" else [nothing]
    return [*begins, *messages, *ends]


def _arguments(call: ToolCall) -> Any:
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _translate(error: AwsError) -> Exception | None:
    if error.code in ("ThrottlingException", "ServiceQuotaExceededException"):
        return RateLimited("The text model is throttling requests. Try again later.")
    if error.code == "ValidationException":
        return Conflict(_REFUSED)
    return None


class OpenAITextModel:
    """A model behind an endpoint with `/chat/completions`."""

    def __init__(self, base: str, model: str, key: Callable[[], str], seconds: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = OpenAIEndpoint(base, key, "The text model", min(seconds, TIMEOUT_SECONDS))
        self.model = model

    def write(self, prompt: Prompt) -> GeneratedText:
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        tools = {"tools": [{"type": "function", "function": asdict(tool)} for tool in prompt.tools]}
        response = self._endpoint.post(
            "/chat/completions",
            {
                "model": self.model,
                "messages": [*system, *(_openai_message(turn) for turn in prompt.turns)],
                "max_tokens": prompt.max_tokens,
                "temperature": prompt.temperature,
                **(tools if prompt.tools else {}),
            },
            refusal=_REFUSED,
        )
        try:
            usage = response.get("usage") or {}
            message = response["choices"][0]["message"]
            calls = tuple(
                ToolCall(str(call["id"]), str(call["function"]["name"]), str(call["function"]["arguments"]))
                for call in message.get("tool_calls") or ()
            )
            tokens = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
            return GeneratedText(str(message.get("content") or ""), *tokens, calls)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise Unavailable("The text model's response cannot be read.") from None


def _openai_message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in turn.calls
        ]
    return message | ({"tool_call_id": turn.call_id} if turn.role == "tool" else {})
