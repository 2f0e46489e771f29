"""events/<area>/*.json, replayed on the deployed functions: `local/samples.py` says what each has to give."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.samples import EXPECTED, SAMPLES, difference, functions, name_of
from tests.conftest import Platform


def test_every_function_has_a_sample_and_every_sample_a_function() -> None:
    sampled = {name_of(path).split(".")[0] for path in SAMPLES}
    assert sampled == set(functions())
    assert {name_of(path) for path in SAMPLES} == set(EXPECTED)


@pytest.fixture(scope="module")
def answers(platform: Platform) -> dict[str, tuple[str, Any]]:
    """The error and the body that each sample gave, several at a time: most of each is a function's first start."""
    named = functions()

    def replay(path: Path) -> tuple[str, Any]:
        function = platform.function(named[name_of(path).split(".")[0]])
        answer = platform.aws("lambda").invoke(FunctionName=f"{function}:live", Payload=path.read_bytes())
        return answer.get("FunctionError", ""), json.loads(answer["Payload"].read())

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(map(name_of, SAMPLES), threads.map(replay, SAMPLES), strict=True))


@pytest.mark.parametrize("name", [name_of(path) for path in SAMPLES])
def test_a_sample_gives_what_it_should(answers: dict[str, tuple[str, Any]], name: str) -> None:
    error, body = answers[name]
    assert difference(name, body, failed=bool(error)) is None
