"""Tests for answers of the sandbox: it runs code of tenants, so an answer may be anything."""

import pytest

from email_sender.adapters.aws.lambda_sandbox import parse_answer
from email_sender.errors import InvalidInput


@pytest.mark.parametrize(
    "text",
    ["5", "[]", "{}", '{"runs": 5, "error": null}', '{"runs": {"a": [{"outputs": [[5]]}]}, "error": null}',
     '{"runs": {}, "error": "text"}'],
)  # fmt: skip
def test_an_answer_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="something else than items"):
        parse_answer(text)


def test_characters_that_the_database_cannot_store_are_replaced() -> None:
    answer = parse_answer('{"runs": {"a": [{"outputs": [[{"k": "\\ud83d x \\u0000", "😀": 1}]]}]}, "error": null}')
    assert answer.runs["a"][0].outputs == [[{"k": "\ufffd x \ufffd", "😀": 1}]]
