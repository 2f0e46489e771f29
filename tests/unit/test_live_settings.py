"""What a sandbox sees of the settings: never a bad one."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from email_sender.coordination.configuring import Stored
from email_sender.kit.live_settings import KEPT_SECONDS, SettingsReader
from email_sender.kit.settings import PlatformSettings
from email_sender.kit.telemetry import logger
from tests.fakes.settings import AT, MemorySettings


class Sandbox:
    def __init__(self) -> None:
        self.now, self.store, self.asked = 0.0, MemorySettings(), 0
        self.taken: list[PlatformSettings] = []
        self.read = SettingsReader(self._latest, self.taken.append, lambda: self.now)

    def _latest(self) -> Stored | None:
        self.asked += 1
        return self.store.latest()

    def later(self) -> int:
        self.now += KEPT_SECONDS
        return self.read().notifications.max_an_hour


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "email_sender.kit.live_settings.logger.error",
        lambda message, **keys: lines.append({"message": message, **keys}),
    )
    return lines


def stored(limit: Any) -> str:
    return json.dumps({"notifications": {"max_an_hour": limit}})


def test_where_nothing_is_stored_the_defaults_hold_and_nobody_is_told(
    sandbox: Sandbox, said: list[dict[str, Any]]
) -> None:
    assert sandbox.read() == PlatformSettings()
    assert (said, sandbox.taken) == ([], [])


def test_it_is_read_again_after_its_seconds_and_not_before(sandbox: Sandbox) -> None:
    sandbox.store.write(stored(7))
    assert sandbox.read().notifications.max_an_hour == 7
    sandbox.store.write(stored(8))
    sandbox.now += KEPT_SECONDS - 0.1
    assert sandbox.read().notifications.max_an_hour == 7
    assert sandbox.asked == 1
    assert sandbox.later() == 8
    assert [each.notifications.max_an_hour for each in sandbox.taken] == [7, 8]


BAD: list[Callable[[MemorySettings], object]] = [
    lambda store: store.write(stored("8")),
    lambda store: store.write(stored(10**9)),
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


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_one_never_arrives_and_the_last_good_one_stays(
    sandbox: Sandbox, said: list[dict[str, Any]], spoil: Callable[[MemorySettings], object]
) -> None:
    sandbox.store.write(stored(7))
    assert sandbox.read().notifications.max_an_hour == 7
    spoil(sandbox.store)
    assert [sandbox.later() for _ in range(3)] == [7, 7, 7]
    assert len(said) == 1, "once, and not every fifteen seconds"
    assert said[0]["used"] == 1
    assert "hunter2" not in str(said)
    sandbox.store.down = False
    sandbox.store.versions = sandbox.store.versions or [Stored(1, "", AT)]
    sandbox.store.write(stored(9))
    assert sandbox.later() == 9
    assert len(said) == 1


@pytest.mark.parametrize("spoil", BAD)
def test_where_no_good_one_was_seen_the_defaults_hold(
    sandbox: Sandbox, said: list[dict[str, Any]], spoil: Callable[[MemorySettings], object]
) -> None:
    spoil(sandbox.store)
    assert sandbox.read() == PlatformSettings()
    assert [each["used"] for each in said] == (["the built-in defaults"] if said else [])


def test_two_different_mistakes_are_two_lines(sandbox: Sandbox, said: list[dict[str, Any]]) -> None:
    sandbox.store.write("no json")
    sandbox.read()
    sandbox.store.write(stored(0))
    sandbox.later()
    assert [each["version"] for each in said] == [1, 2]


def test_what_does_not_answer_is_not_asked_by_every_invocation(sandbox: Sandbox) -> None:
    sandbox.store.down = True
    for _ in range(100):
        sandbox.read()
    assert sandbox.asked == 1


def test_the_level_of_logs_follows(monkeypatch: pytest.MonkeyPatch) -> None:
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
