"""Parse ISO 8601 durations of fixed length: P1W, P3D, PT2S, P1DT12H.

Months and years are not supported, because their length varies: a timeout of one month would be 28 to 31 days.
"""

import re

YEAR = 365 * 24 * 3600  # Step Functions ends any execution after a year

_DURATION = re.compile(
    r"P(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,8})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)
_SECONDS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def parse_duration(text: str) -> int:
    """Return the duration in seconds.

    Raises:
        ValueError: `text` is not a supported duration; the message is written for the user.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not a duration such as PT30S, PT15M, P3D or P1W (no months or years)")
    return sum(int(amount) * _SECONDS[unit] for unit, amount in match.groupdict().items() if amount)
