"""AWS's limits: the stack stays below 80 % of each, and the documented table is current."""

import pytest

from tests.aws.limits import HEADROOM, PAGE, Limit, limits, package_limits, render


@pytest.mark.parametrize("limit", limits(), ids=lambda limit: f"{limit.service}: {limit.measure}")
def test_the_stack_stays_below_a_limit(limit: Limit) -> None:
    assert 0 < limit.part <= HEADROOM, f"{limit.where or 'The stack'} uses {limit.used:,} of {limit.allowed:,}."


def test_functions_fit_with_their_layers() -> None:
    for limit in package_limits():
        assert 0 < limit.part <= HEADROOM, f"{limit.where} has {limit.used} MB of {limit.allowed} MB."


def test_the_documented_table_is_current() -> None:
    assert PAGE.read_text() == render(), "Run `python -m tests.aws.limits`."
