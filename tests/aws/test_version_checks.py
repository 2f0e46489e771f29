"""The requests that a new version has to answer, sent to the deployed functions."""

import pytest

from gateway_lambda.version_checks import CHECKS, CheckFailed, check_version
from tests.conftest import Platform


@pytest.mark.parametrize("function", CHECKS)
def test_the_deployed_functions_answer_the_checks(platform: Platform, function: str) -> None:
    name = platform.function_name(function)
    for _ in range(2):
        assert check_version(platform.aws("lambda"), name, "live") == len(CHECKS[function])


def test_a_function_that_answers_otherwise_is_found(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKS, "MessagingFunction", CHECKS["CoordinatorFunction"])
    with pytest.raises(CheckFailed, match="GET /events"):
        check_version(platform.aws("lambda"), platform.function_name("MessagingFunction"), "live")
