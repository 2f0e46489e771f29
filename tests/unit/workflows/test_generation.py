"""Tests for text and structured generation with a scripted model, and for the OpenAI and Bedrock adapters."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from socket import create_server
from time import monotonic
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from email_sender.adapters.documents.json_schemas import JsonSchemaChecker
from email_sender.adapters.models.text_models import BedrockTextModel, OpenAITextModel
from email_sender.errors import Conflict, InvalidInput, RateLimited, Unavailable
from email_sender.workflows.generation import GeneratedText, Prompt, SchemaMismatch, Tool, ToolCall, Turn, generate
from tests.fakes.text_model import serve_text_model

SCHEMA = {"type": "object", "required": ["urgent"], "properties": {"urgent": {"type": "boolean"}}}


class ScriptedModel:
    """Return the given texts, one per call. With `calls`, the first one comes with these calls of tools."""

    model = "m"

    def __init__(self, *texts: str, calls: Sequence[ToolCall] = ()) -> None:
        self._texts: Iterator[str] = iter(texts)
        self._calls = calls
        self.prompts: list[Prompt] = []

    def write(self, prompt: Prompt) -> GeneratedText:
        self.prompts.append(prompt)
        return GeneratedText(next(self._texts), 10, 2, self._calls if len(self.prompts) == 1 else ())


def generate_with(*texts: str, schema: dict[str, Any] | None = SCHEMA) -> tuple[Any, ScriptedModel]:
    model = ScriptedModel(*texts)
    return generate(model, Prompt.of("Is it urgent?"), schema, JsonSchemaChecker()), model


def test_plain_text_is_returned_unchanged() -> None:
    answer, model = generate_with("Yes.", schema=None)
    assert (answer.text, answer.data, answer.input_tokens, answer.output_tokens) == ("Yes.", None, 10, 2)
    assert model.prompts == [Prompt.of("Is it urgent?")]


@pytest.mark.parametrize(
    "text", ['{"urgent": true}', '```json\n{"urgent": true}\n```', '  ```\n{"urgent": true}\n```\n']
)
def test_structured_output_is_also_read_from_a_markdown_code_block(text: str) -> None:
    answer, model = generate_with(text)
    assert answer.data == {"urgent": True}
    assert json.dumps(SCHEMA) in model.prompts[0].turns[-1].text


@pytest.mark.parametrize("invalid_text", ["Yes.", '{"urgent": "very"}', "{}", '{"urgent": NaN}', "", "[" * 99_999])
def test_invalid_output_is_requested_once_more_with_the_problem(invalid_text: str) -> None:
    answer, model = generate_with(invalid_text, '{"urgent": false}')
    assert (answer.data, answer.input_tokens) == ({"urgent": False}, 20)
    assert "Your last answer did not match the schema" in model.prompts[1].turns[-1].text
    with pytest.raises(SchemaMismatch, match="does not match the schema"):
        generate_with(invalid_text, invalid_text)


CALL = ToolCall("c1", "look_up", '{"name": "Ann"}')
TOOL = Tool("look_up", "Look a person up.", {"type": "object", "properties": {"name": {"type": "string"}}})
TALK = [Turn("user", "Who is it?"), Turn("assistant", "", [CALL]), Turn("tool", "Ann Example", call_id="c1")]


def test_calls_of_tools_come_before_the_answer_and_need_not_match_the_schema() -> None:
    model = ScriptedModel("", '{"urgent": true}', calls=[CALL])
    prompt = Prompt(TALK[:1], tools=[TOOL])
    first = generate(model, prompt, SCHEMA, JsonSchemaChecker())
    assert (first.calls, first.data) == ([CALL], None)
    assert generate(model, replace(prompt, turns=TALK), SCHEMA, JsonSchemaChecker()).data == {"urgent": True}
    # The schema stands where the user spoke last, before the results of tools.
    assert [json.dumps(SCHEMA) in turn.text for turn in model.prompts[1].turns] == [True, False, False]


# ---- Endpoints ---------------------------------------------------------------------------------------------------


def test_the_openai_adapter_sends_a_chat_completion_request() -> None:
    with serve_text_model(lambda text: text.upper()) as server:
        model = OpenAITextModel(f"http://127.0.0.1:{server.server_port}/v1/", "small", lambda: "key")
        assert model.write(Prompt.of("hello", "be kind", 9, 0.5)) == GeneratedText("HELLO", 11, 7)
    (request,) = server.requests
    assert request == {
        "model": "small",
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}],
        "max_tokens": 9,
        "temperature": 0.5,
    }


def test_the_openai_adapter_sends_tools_and_their_results() -> None:
    with serve_text_model(lambda _text: ("It is Ann.", [("c2", "look_up", "{")])) as server:
        model = OpenAITextModel(f"http://127.0.0.1:{server.server_port}/v1/", "small", lambda: "")
        answer = model.write(Prompt(TALK, tools=[TOOL]))
    assert (answer.text, answer.calls) == ("It is Ann.", (ToolCall("c2", "look_up", "{"),))
    (request,) = server.requests
    function = {"name": "look_up", "arguments": CALL.arguments}
    assert request["messages"] == [
        {"role": "user", "content": "Who is it?"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "content": "Ann Example", "tool_call_id": "c1"},
    ]
    described = {"name": "look_up", "description": "Look a person up.", "parameters": TOOL.parameters}
    assert request["tools"] == [{"type": "function", "function": described}]


@pytest.mark.parametrize("base", ["ftp://models.example/v1", "http://models.example/v1", "models", ""])
def test_an_endpoint_without_https_is_rejected(base: str) -> None:
    with pytest.raises(InvalidInput, match="https"):
        OpenAITextModel(base, "small", lambda: "")


def test_a_request_that_the_endpoint_refuses_is_no_outage() -> None:
    with serve_text_model(lambda _text: "", status=400) as server:
        model = OpenAITextModel(f"http://127.0.0.1:{server.server_port}/v1", "small", lambda: "")
        with pytest.raises(Conflict, match="refused the request"):
            model.write(Prompt.of("x" * 10))


@pytest.mark.parametrize(
    ("turns", "roles"),
    [
        ([Turn("assistant", "Yes?"), Turn("user", "Who?")], ["user", "assistant", "user"]),
        ([Turn("user", "A"), Turn("assistant", "B"), Turn("user", " \n")], ["user", "assistant", "user"]),
        ([Turn("user", "")], ["user"]),
        ([Turn("user", "A"), Turn("assistant", "\n\n", [CALL]), Turn("tool", "", call_id="c1")],
         ["user", "assistant", "user"]),
    ],
)  # fmt: skip
def test_a_conversation_of_bedrock_begins_and_ends_with_the_user(turns: list[Turn], roles: list[str]) -> None:
    model, client = bedrock({"output": {"message": {"content": []}}, "usage": {"inputTokens": 1, "outputTokens": 1}})
    model.write(Prompt(turns, system=" "))
    messages = client.request["messages"]
    assert [message["role"] for message in messages] == roles
    texts = [part["text"] for message in messages for part in message["content"] if "text" in part]
    assert all(text.strip() for text in texts)
    assert client.request["system"] == []


def test_an_unreachable_endpoint_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        OpenAITextModel("http://127.0.0.1:1/v1", "small", lambda: "").write(Prompt.of("hello"))


def test_an_endpoint_that_does_not_answer_in_time_is_unavailable() -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        model = OpenAITextModel(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", "small", lambda: "", seconds=0.2)
        began = monotonic()
        with pytest.raises(Unavailable, match="did not answer"):
            model.write(Prompt.of("hello"))
    assert monotonic() - began < 10


class FakeBedrock:
    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.request: dict[str, Any] = {}

    def converse(self, **request: Any) -> Any:
        self.request = request
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def bedrock(answer: Any) -> tuple[BedrockTextModel, FakeBedrock]:
    client: Any = FakeBedrock(answer)
    return BedrockTextModel(lambda: client, "m"), client


def test_the_bedrock_adapter_calls_converse() -> None:
    model, client = bedrock(
        {
            "output": {"message": {"content": [{"text": "He"}, {"reasoningContent": {}}, {"text": "llo"}]}},
            "usage": {"inputTokens": 3, "outputTokens": 1},
        }
    )
    assert model.write(Prompt.of("hi", "be kind", 9, 0.5)) == GeneratedText("Hello", 3, 1)
    assert client.request["system"] == [{"text": "be kind"}]
    assert client.request["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5}


def test_the_bedrock_adapter_sends_tools_and_their_results() -> None:
    use = {"toolUseId": "c2", "name": "look_up", "input": {"name": "Bob"}}
    usage = {"inputTokens": 3, "outputTokens": 1}
    model, client = bedrock({"output": {"message": {"content": [{"toolUse": use}]}}, "usage": usage})
    turns = [*TALK, Turn("tool", "Bob Example", call_id="c0"), Turn("assistant", ""), Turn("user", "And he?")]
    answer = model.write(Prompt(turns, tools=[TOOL, Tool("think", "", {"type": "object"})]))
    assert (answer.text, answer.calls) == ("", (ToolCall("c2", "look_up", '{"name": "Bob"}'),))
    results = [
        {"toolResult": {"toolUseId": call, "content": [{"text": f"{name} Example"}]}}
        for call, name in (("c1", "Ann"), ("c0", "Bob"))
    ]
    assert client.request["messages"] == [
        {"role": "user", "content": [{"text": "Who is it?"}]},
        {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "c1", "name": "look_up", "input": {"name": "Ann"}}}],
        },
        # A turn without content is left out, and results of tools are the user's.
        {"role": "user", "content": [*results, {"text": "And he?"}]},
    ]
    look_up, think = (tool["toolSpec"] for tool in client.request["toolConfig"]["tools"])
    assert look_up["inputSchema"] == {"json": TOOL.parameters}
    assert "description" not in think


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "Converse"), RateLimited),
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "Converse"), Unavailable),
        (ClientError({"Error": {"Code": "ValidationException"}}, "Converse"), Conflict),
        (EndpointConnectionError(endpoint_url="https://bedrock"), Unavailable),
    ],
)
def test_bedrock_errors_become_domain_errors(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        bedrock(error)[0].write(Prompt.of("hi"))
