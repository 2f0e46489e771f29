"""What a route is given of the sandbox's services."""

from collections.abc import Callable
from typing import Any

from fastapi import Depends


def provided(build: Callable[[], Any]) -> Any:
    """A dependency on what `build` gives.

    Asynchronous, although it waits for nothing: FastAPI calls a plain function in a thread of its own pool, which costs
    a request half a millisecond, and takes what it makes out of the main thread.
    """

    async def dependency() -> Any:
        return build()

    return Depends(dependency)
