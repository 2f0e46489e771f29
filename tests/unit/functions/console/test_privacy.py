"""The day of a consent, as a date field sends it."""

from datetime import UTC, datetime

import pytest

from console_lambda.http.routes import privacy


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-01-31", "2026-01-31T12:00:00+00:00"),
        # Today's noon is to come: the API refuses a consent of the future.
        ("2026-11-30", "2026-11-30T00:00:00+00:00"),
        ("soon", "2026-11-30T00:00:00+00:00"),
        ("", "2026-11-30T00:00:00+00:00"),
    ],
)
def test_a_day_becomes_a_time_that_is_not_to_come(monkeypatch: pytest.MonkeyPatch, sent: str, stored: str) -> None:
    monkeypatch.setattr(privacy, "now", lambda: datetime(2026, 11, 30, 8, 0, tzinfo=UTC))
    assert privacy._time_of(sent).isoformat() == stored
