"""Patterns of log subscriptions, as CloudWatch Logs documents them for text."""

import pytest

from local.aws.monitoring.log_subscriptions import matches


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR here", "an ERROR", False),
        ("?ERROR ?WARN", "a WARN", True),
        ("?ERROR ?WARN", "all is well", False),
    ],
)
def test_a_pattern_matches_words(pattern: str, message: str, expected: bool) -> None:
    assert matches(pattern, message) is expected
