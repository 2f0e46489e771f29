"""Zip archives unpacked once, whatever the number of sandboxes that need them."""

import hashlib
import shutil
import tempfile
import time
import zipfile
from functools import lru_cache
from io import BytesIO
from pathlib import Path

KEEP_UNUSED_SECONDS = 3 * 24 * 3600


class ArchiveCache:
    """Directories named by the SHA-256 of the archive they were unpacked from.

    A 40 MB layer behind eighteen functions is unpacked once, not once a sandbox, and not again after a restart. The
    directories are shared: like /var/task and /opt on Lambda, they are not for a function to write to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        self._forget_unused()

    def unpack(self, archive: bytes) -> Path:
        """The directory that holds the archive's files."""
        target = self._root / _digest(archive)
        if not target.is_dir():
            # Another thread may do the same at the same time: both unpack aside, and the first rename wins.
            aside = Path(tempfile.mkdtemp(prefix="unpacking-", dir=self._root))
            with zipfile.ZipFile(BytesIO(archive)) as files:
                files.extractall(aside)  # zipfile drops "..", drive letters and leading slashes
            try:
                aside.rename(target)
            except OSError:
                shutil.rmtree(aside, ignore_errors=True)
        target.touch()
        return target

    def _forget_unused(self) -> None:
        oldest = time.time() - KEEP_UNUSED_SECONDS
        for entry in self._root.iterdir():
            if entry.name.startswith("unpacking-") or entry.stat().st_mtime < oldest:
                shutil.rmtree(entry, ignore_errors=True)


@lru_cache(maxsize=16)
def _digest(archive: bytes) -> str:
    """Asked for at each start of a sandbox, for the same bytes object, whose own hash Python keeps."""
    return hashlib.sha256(archive).hexdigest()
