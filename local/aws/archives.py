"""A cache of unpacked zip archives, shared by all execution environments."""

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
    """Directories named by the SHA-256 of the archive from which they were unpacked.

    A 40 MB layer of eighteen functions is unpacked once, not for each execution environment and not after each restart.
    The directories are shared: as with /var/task and /opt on Lambda, functions must not write to them.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        self._forget_unused()

    def unpack(self, archive: bytes) -> Path:
        """Return the directory with the archive's files. Unpack the archive if that has not happened yet."""
        target = self._root / _digest(archive)
        if not target.is_dir():
            # Another thread may unpack the same archive. Both use a temporary folder, and the first rename wins.
            partial_folder = Path(tempfile.mkdtemp(prefix="unpacking-", dir=self._root))
            with zipfile.ZipFile(BytesIO(archive)) as files:
                files.extractall(partial_folder)  # zipfile drops "..", drive letters and leading slashes
            try:
                partial_folder.rename(target)
            except OSError:
                shutil.rmtree(partial_folder, ignore_errors=True)
        target.touch()
        return target

    def _forget_unused(self) -> None:
        oldest = time.time() - KEEP_UNUSED_SECONDS
        for entry in self._root.iterdir():
            if entry.name.startswith("unpacking-") or entry.stat().st_mtime < oldest:
                shutil.rmtree(entry, ignore_errors=True)


@lru_cache(maxsize=16)
def _digest(archive: bytes) -> str:
    """Return the SHA-256. Cached: each start of an execution environment needs it for the same bytes object."""
    return hashlib.sha256(archive).hexdigest()
