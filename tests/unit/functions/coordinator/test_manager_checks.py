"""Tests for the managers' health checks, whose limits come from the settings."""

from dataclasses import replace
from typing import Any, cast

import pytest

from coordinator_lambda.manager_checks import build_checks
from email_sender.adapters.aws.deployed_resources import Deployment
from email_sender.adapters.aws.deployment_probes import DeploymentProbes
from email_sender.adapters.postgres.replication import ReaderState, Replication
from email_sender.coordination.configuration import Configuration, CurrentSettings
from email_sender.coordination.lifecycle import Status
from email_sender.coordination.manager_status import Finding
from email_sender.coordination.registry import ManagerGraph
from email_sender.errors import Unavailable
from email_sender.kit.platform_settings import parse_settings, with_defaults
from tests.fakes.settings import MemorySettings, MemorySettingsLog

PRIMARY = Replication(
    accepts_writes=True, timeline=1, started_seconds_ago=90.4, standbys=1, has_reader=False, reader=None
)


class ChecksScenario:
    def __init__(self) -> None:
        self.facts: dict[str, Any] = {"outbox_pending": 1, "outbox_oldest_seconds": 150.0, "clock_seconds_ago": 200.0}
        self.settings = parse_settings({})
        self.replication = PRIMARY
        self.engine: dict[str, bool] = {"10.0.1.7": True, "10.0.2.7": True}
        self.store = MemorySettings()
        self.config = Configuration(self.store, MemorySettingsLog(), with_defaults)

    def __call__(self, manager: str) -> Finding:
        checks_by_manager = build_checks(
            lambda: self.facts,
            lambda: cast("Deployment", type("D", (), {"sources_off": {}})),
            cast("DeploymentProbes", None),
            ManagerGraph(),
            lambda: None,
            lambda: None,
            lambda: self.replication,
            {"engine": lambda: self.engine, "database": lambda: {"10.0.1.9": True}},
            lambda: self.settings,
            self._current_settings,
        )
        return checks_by_manager[manager]()

    def _current_settings(self) -> CurrentSettings:
        return self.config.current()


@pytest.fixture
def scenario() -> ChecksScenario:
    return ChecksScenario()


def test_lateness_limits_come_from_the_settings(scenario: ChecksScenario) -> None:
    assert scenario("central-coordinator").status is scenario("monitoring-manager").status is Status.DEGRADED
    scenario.settings = parse_settings({"health": {"outbox_late_seconds": 150, "clock_late_seconds": 200}})
    assert scenario("central-coordinator").status is scenario("monitoring-manager").status is Status.RUNNING


def test_valid_settings_are_running_and_counted(scenario: ChecksScenario) -> None:
    default_finding = scenario("config-manager")
    assert (
        default_finding.status,
        default_finding.figures["settings_version"],
        default_finding.figures["features"],
    ) == (Status.RUNNING, 0, 3)
    tenant = "01930000-0000-7000-8000-00000000000a"
    flags = {"ai_generate": {"default": False, "tenants": {tenant: True}}}
    scenario.config.change({"features": flags}, 0, "olga")
    finding = scenario("config-manager")
    assert finding.status is Status.RUNNING
    assert finding.figures == {"settings_version": 1, "features": 3, "features_off": 1, "tenants_otherwise": 1}


def test_invalid_settings_degrade_the_manager_with_a_reason(scenario: ChecksScenario) -> None:
    scenario.store.write('{"health": {"outbox_late_seconds": 1}, "api_key": "hunter2"}')
    finding = scenario("config-manager")
    assert finding.status is Status.DEGRADED
    assert finding.reason is not None
    assert "Version 1" in finding.reason
    assert "/health/outbox_late_seconds" in finding.reason
    assert "hunter2" not in finding.reason
    scenario.config.change({}, 1, "olga")
    assert scenario("config-manager").status is Status.RUNNING


def test_an_unavailable_settings_store_makes_the_check_fail(scenario: ChecksScenario) -> None:
    scenario.store.down = True
    with pytest.raises(Unavailable, match="settings store"):
        scenario("config-manager")


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, Status.RUNNING, None),
        ({"has_reader": True, "reader": ReaderState(0, 0)}, Status.RUNNING, None),
        ({"has_reader": True, "reader": ReaderState(512, 29)}, Status.RUNNING, None),
        ({"has_reader": True, "reader": ReaderState(512, 31)}, Status.DEGRADED, "The reader is 31 s behind"),
        ({"has_reader": True}, Status.DEGRADED, "The reader does not respond"),
        ({"accepts_writes": False, "timeline": None}, Status.FAILED, "accepts no writes"),
    ],
)
def test_replication_is_judged_by_the_primary_and_by_its_reader(
    scenario: ChecksScenario, changes: dict[str, Any], status: Status, reason: str | None
) -> None:
    scenario.replication = replace(PRIMARY, **changes)
    finding = scenario("replication-manager")
    assert finding.status is status
    assert (reason or "") in (finding.reason or "")
    assert (finding.figures["started_seconds_ago"], finding.figures["standbys"]) == (90, 1)


@pytest.mark.parametrize(
    ("engine", "status", "reason"),
    [
        ({"10.0.1.7": True, "10.0.2.7": True}, Status.RUNNING, None),
        ({"10.0.1.7": True, "10.0.2.7": False}, Status.DEGRADED, "Of the engine's 2 addresses, 10.0.2.7 accept"),
        ({"10.0.1.7": False, "10.0.2.7": False}, Status.FAILED, "10.0.1.7, 10.0.2.7 accept no connections"),
    ],
)
def test_a_dead_address_degrades_and_only_dead_ones_fail(
    scenario: ChecksScenario, engine: dict[str, bool], status: Status, reason: str | None
) -> None:
    scenario.engine = engine
    finding = scenario("load-balancer")
    assert finding.status is status
    assert (reason or "") in (finding.reason or "")
    assert finding.figures == {
        "engine_addresses": 2, "engine_addresses_in_use": sum(engine.values()), "database_addresses": 1,
        "database_addresses_in_use": 1,
    }  # fmt: skip
