"""Artefacts as archives whose bytes depend on their files alone, so that what did not change is not sent again."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import yaml

# Every file is dated like this: an archive's bytes must not depend on when it was checked out or built.
_DATE = (1980, 1, 1, 0, 0, 0)


def digest(content: bytes) -> str:
    """40 hex digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:40]


def tree_digest(root: Path) -> str:
    """A digest of the names, sizes and contents below `root`: hex, 40 digits."""
    whole = hashlib.sha256()
    for path, name in _files(root):
        whole.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:40]


def zip_tree(root: Path) -> bytes:
    """The files below `root` as an archive, lightly compressed: the emulator keeps each in memory and in its state."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, name in _files(root):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def state_machine_json(path: Path) -> bytes:
    """A definition in Amazon States Language as JSON. CloudFormation takes YAML from S3 too; MiniStack does not."""
    return json.dumps(yaml.safe_load(path.read_text())).encode()


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    """(path, name below `root`), in an order that does not depend on the file system; compiled modules of a build are
    part of it."""
    start = len(str(root)) + 1
    for directory, directories, names in os.walk(root):
        directories.sort()
        below = f"{directory[start:]}/".removeprefix("/")
        yield from ((Path(directory, name), below + name) for name in sorted(names))
