"""Reproducible archives: their bytes depend only on the files, so unchanged artefacts are not uploaded again."""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

# The date of every file: an archive must not depend on the time of the checkout or the build.
_DATE = (1980, 1, 1, 0, 0, 0)


def digest(content: bytes) -> str:
    """Return the first 40 hex digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:40]


def tree_digest(root: Path) -> str:
    """Return a digest of the names, sizes and contents of the files below `root`, as 40 hex digits."""
    whole = hashlib.sha256()
    for path, name in _files(root):
        whole.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:40]


def zip_tree(root: Path) -> bytes:
    """Return the files below `root` as a zip archive without compression.

    Compressing takes 8 s of the first start. Without it, the emulator has 500 MB more in memory.
    """
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, name in _files(root):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield (path, name below `root`) in an order independent of the file system, compiled modules included."""
    start = len(str(root)) + 1
    for directory, directories, names in os.walk(root):
        directories.sort()
        prefix = f"{directory[start:]}/".removeprefix("/")
        yield from ((Path(directory, name), prefix + name) for name in sorted(names))
