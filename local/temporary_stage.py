"""A stage of its own, for commands that break things: a folder that they create, mark and remove."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.layout import Layout

_MARK = "CREATED_FOR_A_TEMPORARY_STAGE"


class NotTemporary(RuntimeError):
    """The folder is somebody's own. The message names it."""


@contextmanager
def temporary_stage(home: Path) -> Iterator[Layout]:
    """Create the folder `home`, and remove it afterwards. What an earlier command left there is removed first.

    Raises:
        NotTemporary: the folder exists and was not created by this function.
    """
    if home.exists():
        _remove(home)
    home.mkdir(parents=True)
    (home / _MARK).touch()
    try:
        yield Layout(home)
    finally:
        _remove(home)


def _remove(home: Path) -> None:
    if not (home / _MARK).is_file():
        raise NotTemporary(f"{home} was not created by this command, which removes its folder. Give it another one.")
    shutil.rmtree(home)
