"""python -m local.clock FORWARD: move the clock of mail and workflows in the running local cloud.

Waits, approvals and reminders that are due by then go on within a minute. The clock stays ahead until `make clock
RESET=1`.
"""

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.layout import CLOCK_FILE, ROOT

_DURATION = re.compile(r"(?:(\d{1,4})d)?\s*(?:(\d{1,4})h)?\s*(?:(\d{1,5})m)?")


def parse_forward(text: str) -> timedelta:
    """Return the duration of `4d`, `2h`, `30m` or a combination such as `4d12h`.

    Raises:
        ValueError: the text is no duration. The message says what to write.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise ValueError(f"{text!r} is no duration. Write days, hours or minutes, such as 4d, 12h or 4d12h.")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def move(home: Path, forward: timedelta) -> datetime:
    """Move the clock on, and return its time."""
    path = home / CLOCK_FILE
    ahead = timedelta(seconds=float(path.read_text())) if path.is_file() else timedelta()
    ahead += forward
    partial_path = path.with_suffix(".partial")
    partial_path.write_text(str(ahead.total_seconds()))
    partial_path.rename(path)
    return datetime.now(UTC) + ahead


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.clock", description="Move the clock of the local cloud.")
    parser.add_argument("forward", nargs="?", default="", help="how far, such as 4d, 12h or 4d12h")
    parser.add_argument("--reset", action="store_true", help="go back to the real time")
    parser.add_argument("--home", type=Path, default=ROOT / ".local", help="the local cloud's folder")
    options = parser.parse_args()
    if not options.home.is_dir():
        print("There is no local cloud yet. Start it with `make run`.", file=sys.stderr)
        return 1
    if options.reset:
        (options.home / CLOCK_FILE).unlink(missing_ok=True)
        print("Mail and workflows go by the real time again.")
        return 0
    try:
        moment = move(options.home, parse_forward(options.forward))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"For mail and workflows it is now {moment:%Y-%m-%d %H:%M} UTC. What is due goes on within a minute.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
