"""Tests of the cost of an environment."""

from math import fsum
from pathlib import Path

import pytest
import yaml

from scripts.cost import cost_at_rest, cost_of_answered_mails, read_prices, read_values, resources_of
from scripts.deployment_checks import DeploymentRefused

PRICES = read_prices()


def dollars_at_rest(environment: str) -> dict[str, float]:
    items = cost_at_rest(resources_of(environment, read_values(environment)), PRICES)
    return {item.name: item.dollars for item in items}


def test_the_small_profile_costs_less_than_100_dollars_at_rest() -> None:
    small = dollars_at_rest("dev")
    assert small["nat_gateway"] == pytest.approx(0.045 * 730)
    assert 40 < fsum(small.values()) < 100
    assert "rds_proxy_vcpu" not in small


def test_prod_has_two_of_the_database_three_nodes_a_proxy_and_a_gateway_in_each_zone() -> None:
    prod = dollars_at_rest("prod")
    # A database with a standby, and a reader.
    assert prod["db.m7g.large"] == pytest.approx(3 * 0.168 * 730)
    assert prod["m7g.large"] == pytest.approx(3 * 0.0816 * 730)
    assert prod["nat_gateway"] == pytest.approx(3 * 0.045 * 730)
    assert prod["rds_proxy_vcpu"] == pytest.approx(2 * 0.015 * 730)


def test_own_parts_cost_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAMETERS", "DatabaseHost=db QdrantHost=q SubnetIds=a,b SecurityGroupIds=c")
    assert not {"nat_gateway", "db.t4g.micro", "t4g.small"} & dollars_at_rest("dev").keys()


def test_a_class_without_a_price_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAMETERS", "DatabaseClass=db.x9.huge")
    with pytest.raises(DeploymentRefused, match=r"no price of db\.x9\.huge"):
        dollars_at_rest("dev")


def test_answered_mails_are_proportional() -> None:
    one, thousand = (fsum(item.dollars for item in cost_of_answered_mails(number, PRICES)) for number in (1, 1_000))
    assert thousand == pytest.approx(1_000 * one)


def test_every_price_has_a_source_and_a_date() -> None:
    document = yaml.safe_load((Path(__file__).parents[3] / "scripts/prices.yaml").read_text())
    assert document["date"]
    for kind in ("hour", "month", "use"):
        for name, entry in document[kind].items():
            assert entry["price"] > 0, name
            assert entry["source"].startswith("aws.amazon.com/"), name
