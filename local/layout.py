"""The directories, key files and preferred ports of the local cloud."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# By how many seconds the clock of mail and workflows is ahead (make clock).
CLOCK_FILE = "clock"
# The source of SES's events on the default bus.
SES_SOURCE = "local.ses"
BUILD = ROOT / ".aws-sam/build"
EMBEDDINGS = ROOT / ".aws-sam/embeddings"

# Documented in docs/guides/local.md. If a port is in use, the next free one is used and reported.
PORTS = {
    "api": 8080,
    "aws": 4566,
    "postgres": 54320,
    "qdrant": 6333,
    "qdrant-grpc": 6334,
    "mail": 8025,
    "smtp": 1025,
}


def ports_above(offset: int) -> dict[str, int]:
    """Return preferred ports of another local cloud, which runs beside that of `make run`: 8080 becomes 20080.

    They are below 32768, where Linux takes no ports for connections from here.
    """
    return {part: offset + port % 10_000 for part, port in PORTS.items()}


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below `home`, which is .local except in tests."""

    home: Path

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def endpoints(self) -> Path:
        return self.home / "endpoints.json"

    @property
    def key_file(self) -> Path:
        return self.home / "keys/wrapping.key"

    def directory(self, part: str) -> Path:
        return self.home / part

    def secret(self, name: str) -> str:
        """Return a random text that is created once and stored, so that links and passwords survive a restart."""
        path = self.home / "keys" / name
        return self._read_or_create(path, secrets.token_urlsafe(32).encode()).decode()

    def wrapping_key(self) -> Path:
        """Return the path of the wrapping key's file, which is created on the first call."""
        self._read_or_create(self.key_file, secrets.token_bytes(32))
        return self.key_file

    def write_endpoints(self, endpoints: dict[str, Any]) -> None:
        partial = self.endpoints.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(endpoints, indent=2) + "\n")
        partial.rename(self.endpoints)

    def _read_or_create(self, path: Path, content: bytes) -> bytes:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = path.with_suffix(".partial")
            partial.touch(mode=0o600)
            partial.write_bytes(content)
            partial.rename(path)
        return path.read_bytes()
