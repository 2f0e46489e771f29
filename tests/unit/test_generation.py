"""Text and values of a schema, by a model that answers as it likes; and the two ways to reach one."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from email_sender.adapters.json_schemas import JsonSchemaChecker
from email_sender.adapters.text_models import BedrockText, OpenAIText
from email_sender.errors import Conflict, InvalidInput, RateLimited, Unavailable
from email_sender.workflows.generation import Generated, Prompt, generate
from tests.fakes.text_model import serving

SCHEMA = {"type": "object", "required": ["urgent"], "properties": {"urgent": {"type": "boolean"}}}


class Says:
    """A model that gives these texts, one after the other."""

    model = "m"

    def __init__(self, *texts: str) -> None:
        self._texts: Iterator[str] = iter(texts)
        self.asked: list[Prompt] = []

    def write(self, prompt: Prompt) -> Generated:
        self.asked.append(prompt)
        return Generated(next(self._texts), 10, 2)


def made(*texts: str, schema: dict[str, Any] | None = SCHEMA) -> tuple[Any, Says]:
    model = Says(*texts)
    return generate(model, Prompt("Is it urgent?"), schema, JsonSchemaChecker()), model


def test_a_text_is_given_as_it_came() -> None:
    answer, model = made("Yes.", schema=None)
    assert (answer.text, answer.data, answer.input_tokens, answer.output_tokens) == ("Yes.", None, 10, 2)
    assert model.asked == [Prompt("Is it urgent?")]


@pytest.mark.parametrize(
    "text", ['{"urgent": true}', '```json\n{"urgent": true}\n```', '  ```\n{"urgent": true}\n```\n']
)
def test_values_are_read_also_from_a_block_of_markdown(text: str) -> None:
    answer, model = made(text)
    assert answer.data == {"urgent": True}
    assert json.dumps(SCHEMA) in model.asked[0].text


@pytest.mark.parametrize("wrong", ["Yes.", '{"urgent": "very"}', "{}", '{"urgent": NaN}', "", "[" * 99_999])
def test_a_wrong_answer_is_asked_for_once_more_with_what_is_wrong(wrong: str) -> None:
    answer, model = made(wrong, '{"urgent": false}')
    assert (answer.data, answer.input_tokens) == ({"urgent": False}, 20)
    assert "Your last answer was not so" in model.asked[1].text
    with pytest.raises(Conflict, match="did not keep to the schema"):
        made(wrong, wrong)


# ---- Endpoints ---------------------------------------------------------------------------------------------------


def test_an_endpoint_is_asked_as_openai_says() -> None:
    with serving(lambda text: text.upper()) as server:
        model = OpenAIText(f"http://127.0.0.1:{server.server_port}/v1/", "small", lambda: "key")
        assert model.write(Prompt("hello", "be kind", 9, 0.5)) == Generated("HELLO", 11, 7)
    (asked,) = server.asked
    assert asked == {
        "model": "small",
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}],
        "max_tokens": 9,
        "temperature": 0.5,
    }


@pytest.mark.parametrize("base", ["ftp://models.example/v1", "http://models.example/v1", "models", ""])
def test_an_endpoint_is_https(base: str) -> None:
    with pytest.raises(InvalidInput, match="https"):
        OpenAIText(base, "small", lambda: "")


def test_an_endpoint_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        OpenAIText("http://127.0.0.1:1/v1", "small", lambda: "").write(Prompt("hello"))


class FakeBedrock:
    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.asked: dict[str, Any] = {}

    def converse(self, **asked: Any) -> Any:
        self.asked = asked
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def bedrock(answer: Any) -> tuple[BedrockText, FakeBedrock]:
    client: Any = FakeBedrock(answer)
    return BedrockText(lambda: client, "m"), client


def test_bedrock_is_asked_by_converse() -> None:
    model, client = bedrock(
        {
            "output": {"message": {"content": [{"text": "He"}, {"reasoningContent": {}}, {"text": "llo"}]}},
            "usage": {"inputTokens": 3, "outputTokens": 1},
        }
    )
    assert model.write(Prompt("hi", "be kind", 9, 0.5)) == Generated("Hello", 3, 1)
    assert client.asked["system"] == [{"text": "be kind"}]
    assert client.asked["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "Converse"), RateLimited),
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "Converse"), Unavailable),
        (EndpointConnectionError(endpoint_url="https://bedrock"), Unavailable),
    ],
)
def test_bedrocks_refusals_are_told_by_name(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        bedrock(error)[0].write(Prompt("hi"))
