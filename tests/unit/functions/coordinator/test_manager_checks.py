"""Tests for the managers' health checks, whose limits come from the settings."""

from typing import Any, cast

import pytest

from coordinator_lambda.manager_checks import build_checks
from email_sender.adapters.aws.deployed_resources import Deployment
from email_sender.adapters.aws.deployment_probes import DeploymentProbes
from email_sender.coordination.configuration import Configuration, CurrentSettings
from email_sender.coordination.lifecycle import Status
from email_sender.coordination.manager_status import Finding
from email_sender.coordination.registry import ManagerGraph
from email_sender.errors import Unavailable
from email_sender.kit.platform_settings import parse_settings, with_defaults
from tests.fakes.settings import MemorySettings, MemorySettingsLog


class ChecksScenario:
    def __init__(self) -> None:
        self.facts: dict[str, Any] = {"outbox_pending": 1, "outbox_oldest_seconds": 150.0, "clock_seconds_ago": 200.0}
        self.settings = parse_settings({})
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
