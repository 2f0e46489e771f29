"""events/<area>/*.json, replayed on the deployed functions: `local/samples.py` defines the expected responses."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.samples import EXPECTED, SAMPLES, difference, functions, name_of
from tests.conftest import Platform


def test_every_function_has_a_sample_event_and_every_sample_event_a_function() -> None:
    sampled_functions = {name_of(path).split(".")[0] for path in SAMPLES}
    assert sampled_functions == set(functions())
    assert {name_of(path) for path in SAMPLES} == set(EXPECTED)


@pytest.fixture(scope="module")
def sample_responses(platform: Platform) -> dict[str, tuple[str, Any]]:
    """Return the error and the body for each sample, invoked in parallel: most of the time is cold starts."""
    function_ids = functions()

    def replay(path: Path) -> tuple[str, Any]:
        function = platform.function_name(function_ids[name_of(path).split(".")[0]])
        response = platform.aws("lambda").invoke(FunctionName=f"{function}:live", Payload=path.read_bytes())
        return response.get("FunctionError", ""), json.loads(response["Payload"].read())

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(map(name_of, SAMPLES), threads.map(replay, SAMPLES), strict=True))


@pytest.mark.parametrize("name", [name_of(path) for path in SAMPLES])
def test_a_sample_event_returns_the_expected_response(sample_responses: dict[str, tuple[str, Any]], name: str) -> None:
    error, body = sample_responses[name]
    assert difference(name, body, failed=bool(error)) is None
