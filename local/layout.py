"""Where the local cloud keeps its things, and which ports it likes."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUILD = ROOT / ".aws-sam/build"
EMBEDDINGS = ROOT / ".aws-sam/embeddings"

# Documented in docs/guides/local.md; the next free one is taken, with a message, where one is in use.
PORTS = {
    "api": 8080,
    "aws": 4566,
    "postgres": 54320,
    "qdrant": 6333,
    "qdrant-grpc": 6334,
    "mail": 8025,
    "smtp": 1025,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """`home` is .local unless a test says otherwise."""

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
        """A random text, made once and kept: links and passwords survive a restart."""
        path = self.home / "keys" / name
        return self._kept(path, secrets.token_urlsafe(32).encode()).decode()

    def wrapping_key(self) -> Path:
        self._kept(self.key_file, secrets.token_bytes(32))
        return self.key_file

    def write_endpoints(self, endpoints: dict[str, Any]) -> None:
        partial = self.endpoints.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(endpoints, indent=2) + "\n")
        partial.rename(self.endpoints)

    def _kept(self, path: Path, fresh: bytes) -> bytes:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = path.with_suffix(".partial")
            partial.touch(mode=0o600)
            partial.write_bytes(fresh)
            partial.rename(path)
        return path.read_bytes()
