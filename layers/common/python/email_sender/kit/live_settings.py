"""The platform settings of an execution environment: read at first use, then refreshed; never an invalid version."""

import time
from collections.abc import Callable
from functools import cache

from email_sender.adapters.aws.ssm import SsmSettings
from email_sender.adapters.feature_flags import PowertoolsFeatures
from email_sender.coordination.configuration import StoredVersion
from email_sender.errors import DomainError
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import Settings
from email_sender.kit.platform_settings import PlatformSettings, parse_settings
from email_sender.kit.telemetry import log_level, logger
from email_sender.strict_json import read_unambiguous_json

MAX_AGE_SECONDS = 15.0


class SettingsReader:
    """Returns the stored settings if they are valid, else the last valid ones it has read, else the defaults."""

    def __init__(
        self,
        read: Callable[[], StoredVersion | None],
        on_change: Callable[[PlatformSettings], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_change` is called with the new settings whenever they replace others."""
        self._read, self._on_change, self._clock = read, on_change, clock
        self._settings = PlatformSettings()
        self._version = 0
        self._read_at: float | None = None
        self._reported: object = None

    def __call__(self) -> PlatformSettings:
        now = self._clock()
        if self._read_at is None or now - self._read_at >= MAX_AGE_SECONDS:
            # Set before reading: if the store does not respond, not every invocation waits for it.
            self._read_at = now
            self._refresh()
        return self._settings

    def _refresh(self) -> None:
        stored_settings: StoredVersion | None = None
        try:
            stored_settings = self._read()
            if stored_settings is None:
                if self._version:
                    self._report("The stored settings were deleted.", None)
                return
            if stored_settings.version == self._version:
                self._reported = None
                return
            settings = parse_settings(read_unambiguous_json(stored_settings.text))
        except DomainError as error:
            self._report(error.detail, stored_settings)
            return
        except ValueError:
            self._report("The stored settings are not valid JSON.", stored_settings)
            return
        self._settings, self._version, self._reported = settings, stored_settings.version, None
        self._on_change(settings)

    def _report(self, reason: str, stored_settings: StoredVersion | None) -> None:
        """Log a problem once, not at every refresh."""
        report = (reason, stored_settings.version if stored_settings else None)
        if report != self._reported:
            self._reported = report
            logger.error(
                "settings not applied", reason=reason, version=report[1], used=self._version or "the built-in defaults"
            )


def settings_store() -> SsmSettings:
    # One attempt: the caller continues with the settings it has and tries again soon.
    return SsmSettings(lambda: client("ssm", max_attempts=1), parameter_name(Settings.from_environment().stage))


def parameter_name(stage: str) -> str:
    return f"/email-sender/{stage}/settings"


@cache
def _reader() -> SettingsReader:
    store = settings_store()
    return SettingsReader(store.latest, lambda settings: log_level.set_usual(settings.logging.level))


def live_settings() -> PlatformSettings:
    """Return the settings, at most MAX_AGE_SECONDS old while Parameter Store responds."""
    return _reader()()


@cache
def live_features() -> PowertoolsFeatures:
    return PowertoolsFeatures(lambda: live_settings().flags)
