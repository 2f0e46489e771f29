"""Tell a state that MiniStack saved completely from one that it did not, and drop the latter.

MiniStack saves its state on a graceful stop, one file for each service. If it is killed while it saves, the files
do not belong together: a stack without its layers cannot be updated, and a function without its code would make the
next deployment wait forever. The state can be dropped, because a start deploys everything again
(docs/guides/local.md).
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SERVICES = "services"
_MARK = "complete"

type Services = Mapping[str, Callable[[], Any]]
type SaveAll = Callable[[Services], None]


def drop_incomplete_state(directory: Path) -> str | None:
    """Remove a state that was not saved to its end. Return a message about it, or None if nothing was removed."""
    if not any(directory.glob("*.json")) or (directory / _MARK).is_file():
        return None
    shutil.rmtree(directory)
    return "Dropped the saved state: the emulator was killed while it saved it."


def marked(save_all: SaveAll, directory: Path) -> SaveAll:
    """Return `save_all`, but the directory has a mark unless the process ended in between."""

    def save(services: Services) -> None:
        mark = directory / _MARK
        mark.unlink(missing_ok=True)
        save_all(services)
        directory.mkdir(parents=True, exist_ok=True)
        mark.touch()

    return save
