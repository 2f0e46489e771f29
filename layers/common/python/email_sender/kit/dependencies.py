"""FastAPI dependencies on services of the execution environment."""

from collections.abc import Callable
from typing import Any

from fastapi import Depends


def depends_on(build: Callable[[], Any]) -> Any:
    """Return a dependency on the result of `build`.

    The dependency is asynchronous although it awaits nothing. FastAPI runs plain functions in a thread pool, which adds
    half a millisecond to a request and creates the service outside the main thread.
    """

    async def dependency() -> Any:
        return build()

    return Depends(dependency)
