"""A check that the parts of MiniStack which are replaced are those that were read when the replacement was written."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any


class UpstreamChanged(RuntimeError):
    """MiniStack's own code is not what the replacement was written for."""


def fingerprint(function: Callable[..., Any]) -> str:
    """The first 12 hex digits of the SHA-256 of a function's source."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def check_sources(relies_on: Mapping[str, tuple[Callable[..., Any], str]]) -> None:
    """Compare each function's source with its known fingerprint.

    Raises:
        UpstreamChanged: it names those that differ and says what to do.
    """
    changed = [
        f"{name} is now {now}"
        for name, (function, known) in relies_on.items()
        if (now := fingerprint(function)) != known
    ]
    if changed:
        raise UpstreamChanged(
            f"ministack {version('ministack')} is not the one that local/aws was written for: {'; '.join(changed)}. "
            "Read what changed there, adapt what relies on it, then update the fingerprints."
        )
