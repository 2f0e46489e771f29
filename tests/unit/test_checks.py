"""Managers' health by the settings, and the settings' own."""

from typing import Any, cast

import pytest

from coordinator.checks import checks
from email_sender.adapters.deployment_probes import DeploymentProbes
from email_sender.adapters.parts import Deployment
from email_sender.coordination.configuring import Configuration, Current
from email_sender.coordination.managers import Status
from email_sender.coordination.observing import Finding
from email_sender.coordination.registry import Graph
from email_sender.errors import Unavailable
from email_sender.kit.settings import complete, settings_of
from tests.fakes.settings import MemorySettings, MemorySettingsLog


class Look:
    def __init__(self) -> None:
        self.facts: dict[str, Any] = {"outbox_pending": 1, "outbox_oldest_seconds": 150.0, "clock_seconds_ago": 200.0}
        self.settings = settings_of({})
        self.store = MemorySettings()
        self.config = Configuration(self.store, MemorySettingsLog(), complete)

    def __call__(self, manager: str) -> Finding:
        made = checks(
            lambda: self.facts,
            lambda: cast("Deployment", type("D", (), {"sources_off": {}})),
            cast("DeploymentProbes", None),
            Graph(),
            lambda: None,
            lambda: None,
            lambda: self.settings,
            self._stored,
        )
        return made[manager]()

    def _stored(self) -> Current:
        return self.config.current()


@pytest.fixture
def look() -> Look:
    return Look()


def test_what_is_late_is_what_the_settings_say(look: Look) -> None:
    assert look("central-coordinator").status is look("monitoring-manager").status is Status.DEGRADED
    look.settings = settings_of({"health": {"outbox_late_seconds": 150, "clock_late_seconds": 200}})
    assert look("central-coordinator").status is look("monitoring-manager").status is Status.RUNNING


def test_settings_that_fit_are_well_and_counted(look: Look) -> None:
    nothing = look("config-manager")
    assert (nothing.status, nothing.figures["settings_version"], nothing.figures["features"]) == (Status.RUNNING, 0, 3)
    tenant = "01930000-0000-7000-8000-00000000000a"
    flags = {"ai_generate": {"default": False, "tenants": {tenant: True}}}
    look.config.change({"features": flags}, 0, "olga")
    found = look("config-manager")
    assert found.status is Status.RUNNING
    assert found.figures == {"settings_version": 1, "features": 3, "features_off": 1, "tenants_otherwise": 1}


def test_settings_that_do_not_fit_are_a_degraded_manager_that_says_why(look: Look) -> None:
    look.store.write('{"health": {"outbox_late_seconds": 1}, "api_key": "hunter2"}')
    found = look("config-manager")
    assert found.status is Status.DEGRADED
    assert found.reason is not None
    assert "Version 1" in found.reason
    assert "/health/outbox_late_seconds" in found.reason
    assert "hunter2" not in found.reason
    look.config.change({}, 1, "olga")
    assert look("config-manager").status is Status.RUNNING


def test_a_store_that_does_not_answer_is_a_failed_manager(look: Look) -> None:
    look.store.down = True
    with pytest.raises(Unavailable, match="store of settings"):
        look("config-manager")
