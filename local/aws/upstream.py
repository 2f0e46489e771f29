"""Check that the functions of MiniStack that this package replaces have not changed."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any


class UpstreamChanged(RuntimeError):
    """MiniStack's code differs from the version for which the replacement was written."""


def fingerprint(function: Callable[..., Any]) -> str:
    """Return the first 12 hex digits of the SHA-256 of a function's source."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def check_sources(relies_on: Mapping[str, tuple[Callable[..., Any], str]]) -> None:
    """Compare each function's source with its known fingerprint.

    Raises:
        UpstreamChanged: a source differs. The message names the functions and what to do.
    """
    changed = [
        f"{name} is now {current}"
        for name, (function, expected) in relies_on.items()
        if (current := fingerprint(function)) != expected
    ]
    if changed:
        raise UpstreamChanged(
            f"local/aws was not written for ministack {version('ministack')}: {'; '.join(changed)}. "
            "Read what changed there, adapt the code that relies on it, then update the fingerprints."
        )
