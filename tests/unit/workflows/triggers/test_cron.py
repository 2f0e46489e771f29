"""Tests for cron expressions in the syntax of EventBridge Scheduler."""

import pytest

from email_sender.workflows.triggers.cron import cron_problems


@pytest.mark.parametrize(
    "cron",
    [
        "0 9 ? * MON *",
        "0/5 * * * ? *",
        "*/15 8-18 ? * MON-FRI *",
        "0 0 L * ? *",
        "0 0 15W * ? *",
        "0 12 ? * 6#3 *",
        "0 12 ? * FRIL 2027-2029",
        "0,30 0 1,15 jan,JUL ? 2199",
    ],
)
def test_an_expression_that_aws_accepts_has_no_problems(cron: str) -> None:
    assert cron_problems(cron) == []


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("", "six fields"),
        ("0 9 * * 1", "six fields"),
        ("60 9 ? * MON *", "'60' is not a minute"),
        ("0 24 ? * MON *", "not a hour"),
        ("0 9 32 * ? *", "not a day of month"),
        ("0 9 0 * ? *", "not a day of month"),
        ("0 9 ? 13 MON *", "JAN to DEC"),
        ("0 9 ? * MOO *", "SUN to SAT"),
        ("0 9 ? * 0 *", "not a day of week"),
        ("0 9 ? * MON 1969", "not a year"),
        ("0/0 9 ? * MON *", "not a minute"),
        ("*-5 9 ? * MON *", "not a minute"),
        ("1,,2 9 ? * MON *", "not a minute"),
        ("0 9 * * MON *", "must be ?"),
        ("0 9 ? * ? *", "must be ?"),
        ("0 9 ? * MON#6 *", "not a day of week"),
        ("99999999999999999999 9 ? * MON *", "not a minute"),
    ],
)
def test_an_expression_that_aws_rejects_has_a_problem(cron: str, words: str) -> None:
    assert any(words in problem for problem in cron_problems(cron)), cron_problems(cron)
