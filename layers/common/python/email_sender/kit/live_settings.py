"""Settings as a sandbox sees them: read when first asked for, again after some seconds, and never a bad one."""

import time
from collections.abc import Callable
from functools import cache

from email_sender.adapters.feature_flags import PowertoolsFeatures
from email_sender.adapters.ssm import SsmSettings
from email_sender.coordination.configuring import Stored
from email_sender.errors import DomainError
from email_sender.kit.clients import client
from email_sender.kit.config import Settings
from email_sender.kit.settings import PlatformSettings, settings_of
from email_sender.kit.telemetry import logger
from email_sender.strict_json import read_unambiguous_json

KEPT_SECONDS = 15.0


class SettingsReader:
    """What is stored, where it is valid; else what was last read of good; else the defaults."""

    def __init__(
        self,
        read: Callable[[], Stored | None],
        taken: Callable[[PlatformSettings], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`taken` is called with each that replaces another."""
        self._read, self._taken, self._clock = read, taken, clock
        self._settings = PlatformSettings()
        self._version = 0
        self._asked_at: float | None = None
        self._said: object = None

    def __call__(self) -> PlatformSettings:
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= KEPT_SECONDS:
            # Before it is asked: what does not answer is not waited for by every invocation.
            self._asked_at = now
            self._refresh()
        return self._settings

    def _refresh(self) -> None:
        stored: Stored | None = None
        try:
            stored = self._read()
            if stored is None:
                if self._version:
                    self._say("there are none any more", None)
                return
            if stored.version == self._version:
                self._said = None
                return
            found = settings_of(read_unambiguous_json(stored.text))
        except DomainError as error:
            self._say(error.detail, stored)
            return
        except ValueError:
            self._say("it is no JSON", stored)
            return
        self._settings, self._version, self._said = found, stored.version, None
        self._taken(found)

    def _say(self, why: str, stored: Stored | None) -> None:
        """Once, and not each time that it is still so."""
        said = (why, stored.version if stored else None)
        if said != self._said:
            self._said = said
            logger.error(
                "settings are not taken", reason=why, version=said[1], used=self._version or "the built-in defaults"
            )


def settings_store() -> SsmSettings:
    # One attempt: who asks goes on with what is known, and asks again soon.
    return SsmSettings(lambda: client("ssm", retries=1), parameter_name(Settings.from_environment().stage))


def parameter_name(stage: str) -> str:
    return f"/email-sender/{stage}/settings"


@cache
def _reader() -> SettingsReader:
    store = settings_store()
    return SettingsReader(store.latest, lambda found: logger.setLevel(found.logging.level))


def live_settings() -> PlatformSettings:
    """Of this sandbox, at most KEPT_SECONDS old where Parameter Store answers."""
    return _reader()()


@cache
def live_features() -> PowertoolsFeatures:
    return PowertoolsFeatures(lambda: live_settings().flags)
