"""Tests for the settings cached by an execution environment: it never uses an invalid version."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from email_sender.coordination.configuration import StoredVersion
from email_sender.kit.live_settings import MAX_AGE_SECONDS, SettingsReader
from email_sender.kit.platform_settings import PlatformSettings
from email_sender.kit.telemetry import logger
from tests.fakes.settings import AT, MemorySettings


class SettingsReaderScenario:
    def __init__(self) -> None:
        self.now, self.store, self.store_reads = 0.0, MemorySettings(), 0
        self.applied_settings: list[PlatformSettings] = []
        self.read = SettingsReader(self._latest, self.applied_settings.append, lambda: self.now)

    def _latest(self) -> StoredVersion | None:
        self.store_reads += 1
        return self.store.latest()

    def read_after_expiry(self) -> int:
        self.now += MAX_AGE_SECONDS
        return self.read().notifications.max_an_hour


@pytest.fixture
def scenario() -> SettingsReaderScenario:
    return SettingsReaderScenario()


@pytest.fixture
def logged_errors(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "email_sender.kit.live_settings.logger.error",
        lambda message, **keys: lines.append({"message": message, **keys}),
    )
    return lines


def settings_json(limit: Any) -> str:
    return json.dumps({"notifications": {"max_an_hour": limit}})


def test_without_stored_settings_the_defaults_apply_and_nothing_is_logged(
    scenario: SettingsReaderScenario, logged_errors: list[dict[str, Any]]
) -> None:
    assert scenario.read() == PlatformSettings()
    assert (logged_errors, scenario.applied_settings) == ([], [])


def test_settings_are_read_again_only_after_the_cache_expires(scenario: SettingsReaderScenario) -> None:
    scenario.store.write(settings_json(7))
    assert scenario.read().notifications.max_an_hour == 7
    scenario.store.write(settings_json(8))
    scenario.now += MAX_AGE_SECONDS - 0.1
    assert scenario.read().notifications.max_an_hour == 7
    assert scenario.store_reads == 1
    assert scenario.read_after_expiry() == 8
    assert [settings.notifications.max_an_hour for settings in scenario.applied_settings] == [7, 8]


STORE_FAILURES: list[Callable[[MemorySettings], object]] = [
    lambda store: store.write(settings_json("8")),
    lambda store: store.write(settings_json(10**9)),
    lambda store: store.write('{"notifications": {"max_an_hour": NaN}}'),
    lambda store: store.write('{"notifications": {"max_an_hour": 8, "max_an_hour": 9}}'),
    lambda store: store.write('{"password": "hunter2"}'),
    lambda store: store.write("no json"),
    lambda store: store.write(""),
    lambda store: store.write("[" * 8_000),
    lambda store: store.write("null"),
    lambda store: setattr(store, "down", True),
    lambda store: store.versions.clear(),
]


@pytest.mark.parametrize("break_store", STORE_FAILURES)
def test_an_invalid_version_is_never_used_and_the_last_valid_one_stays(
    scenario: SettingsReaderScenario,
    logged_errors: list[dict[str, Any]],
    break_store: Callable[[MemorySettings], object],
) -> None:
    scenario.store.write(settings_json(7))
    assert scenario.read().notifications.max_an_hour == 7
    break_store(scenario.store)
    assert [scenario.read_after_expiry() for _ in range(3)] == [7, 7, 7]
    assert len(logged_errors) == 1, "logged once, not every fifteen seconds"
    assert logged_errors[0]["used"] == 1
    assert "hunter2" not in str(logged_errors)
    scenario.store.down = False
    scenario.store.versions = scenario.store.versions or [StoredVersion(1, "", AT)]
    scenario.store.write(settings_json(9))
    assert scenario.read_after_expiry() == 9
    assert len(logged_errors) == 1


@pytest.mark.parametrize("break_store", STORE_FAILURES)
def test_without_any_valid_version_the_defaults_apply(
    scenario: SettingsReaderScenario,
    logged_errors: list[dict[str, Any]],
    break_store: Callable[[MemorySettings], object],
) -> None:
    break_store(scenario.store)
    assert scenario.read() == PlatformSettings()
    assert [entry["used"] for entry in logged_errors] == (["the built-in defaults"] if logged_errors else [])


def test_two_different_failures_are_logged_separately(
    scenario: SettingsReaderScenario, logged_errors: list[dict[str, Any]]
) -> None:
    scenario.store.write("no json")
    scenario.read()
    scenario.store.write(settings_json(0))
    scenario.read_after_expiry()
    assert [entry["version"] for entry in logged_errors] == [1, 2]


def test_an_unavailable_store_is_not_read_on_every_call(scenario: SettingsReaderScenario) -> None:
    scenario.store.down = True
    for _ in range(100):
        scenario.read()
    assert scenario.store_reads == 1


def test_the_log_level_follows_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from email_sender.kit import live_settings

    store = MemorySettings()
    store.write('{"logging": {"level": "WARNING"}}')
    monkeypatch.setattr(live_settings, "settings_store", lambda: store)
    live_settings._reader.cache_clear()
    before = logger.log_level
    try:
        assert live_settings.live_settings().logging.level == "WARNING"
        assert logger.log_level == logging.WARNING
    finally:
        logger.setLevel(before)
        live_settings._reader.cache_clear()
